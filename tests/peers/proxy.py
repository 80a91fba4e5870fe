"""A forward proxy (proxy.py of PyPI) in a process of its own; only it knows the names below `.test`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peers.certificates import Certificate

_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class ForwardProxy:
    """`url` has the login, if the proxy asks for one."""

    url: str
    log: Path

    def asked(self, port: int) -> list[str]:
        """Each connection or request to this port that went through it, such as `CONNECT far.test`."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removesuffix(f":{port}") for line in lines if line.endswith(f":{port}")]


@contextmanager
def forward_proxy(
    directory: Path, *, login: str | None = None, certificate: Certificate | None = None
) -> Iterator[ForwardProxy]:
    """The proxy; with `login` (user:password) it asks for it, with a certificate it speaks TLS."""
    directory.mkdir(exist_ok=True)
    port_file, log = directory / "port", directory / "asked"
    argv = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0", "--port-file", str(port_file)]
    argv += ["--num-acceptors", "1", "--num-workers", "1", "--timeout", "60", "--data-dir", str(directory)]
    argv += ["--log-level", "ERROR", "--plugins", "peers.far_side.FarSide"]
    argv += ["--basic-auth", login] if login else []
    argv += ["--cert-file", str(certificate.file), "--key-file", str(certificate.key)] if certificate else []
    with (directory / "output").open("w") as output:
        process = subprocess.Popen(
            argv,
            env={**os.environ, "PYTHONPATH": str(_TESTS), "FAR_SIDE_LOG": str(log)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield ForwardProxy(_url(process, port_file, login, certificate), log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _url(process: subprocess.Popen[bytes], port_file: Path, login: str | None, certificate: Certificate | None) -> str:
    end = time.monotonic() + 30
    while not (port_file.exists() and port_file.read_text().strip()):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the proxy did not come up: {(port_file.parent / 'output').read_text()}")
        time.sleep(0.02)
    scheme = "https" if certificate else "http"
    return f"{scheme}://{f'{login}@' if login else ''}localhost:{port_file.read_text().split()[0]}"

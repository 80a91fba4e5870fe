"""Certificates of a test authority for 127.0.0.1 and localhost, made by openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    file: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def make_certificate(directory: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> Certificate:
    """A certificate that is its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("needs Debian package: openssl")
    made = Certificate(directory / "cert.pem", directory / "key.pem")
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=vidd-test "
        f"-addext subjectAltName={names} -keyout {made.key} -out {made.file}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return made

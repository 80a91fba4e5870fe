"""One large file through the publishers, against `curl -T` to the same TLS server.

    python bench/upload.py [--size 1GiB] [--rounds 3] [--only youtube] [--dir DIR]

Runs are interleaved, after one of each that is not counted. vidd's time is that of the publisher, since its daemon is
running already; curl's is that of its process. The server takes bytes and throws them away.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ByteSize, TypeAdapter

from vidd.model.job import Job
from vidd.model.media import Artifact
from vidd.model.publication import Publication
from vidd.pipelines.registry import module_of
from vidd.ports import Encoder, PublishContext, Tools

if TYPE_CHECKING:
    from collections.abc import Iterator

MEBI = 2**20
KINDS = ("youtube", "facebook")


@dataclass
class Run:
    """One upload: seconds, and MB of peak resident memory."""

    seconds: float
    rss: float


class _Clock:
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _account(kind: str, url: str, ca: Path) -> Any:
    if kind == "youtube":
        from vidd.integrations.youtube.account import Account as YouTube  # noqa: PLC0415 - each run loads only its own kind

        person = {"client_id": "c", "client_secret": "s", "refresh_token": "r"}
        return YouTube(**person, token_url=f"{url}/token", api_url=url, ca=ca)
    from vidd.integrations.facebook.account import Account as Facebook  # noqa: PLC0415 - as above

    return Facebook(page="1", token="t", url=url, video_url=url, ca=ca)


async def _publish(kind: str, url: str, directory: Path) -> float:
    """One upload by the publisher, as the engine would ask for it; its seconds."""

    async def save(_token: object) -> None:
        return None

    now = datetime.now(UTC)
    tools = Tools(directory, Encoder(Path("ffmpeg")), _Clock(), {"far": _account(kind, url, directory / "cert.pem")})
    job = Job("bench", "key", "p", "s", "file:///talk.mp4", "talk.mp4", now, now)
    file = directory / "big.mp4"
    artifacts = {"talk": Artifact("talk", file.name, file.stat().st_size, "video/mp4")}
    module = module_of("publishers", kind)
    context = PublishContext(
        job, directory, tools, None, artifacts, {"title": "A talk"}, Publication("bench", kind, kind, now), {},
        lambda *_: None, save, save,
    )  # fmt: skip
    begun = time.perf_counter()
    await module.publish(module.Options(account="far"), context)
    return time.perf_counter() - begun


def _measured(argv: list[str]) -> tuple[float, float, str]:
    begun = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        printed = child.stdout.read() if child.stdout else ""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{argv[0]} ended with {child.returncode}")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024 / 1e6, printed


def _upload(who: str, url: str, directory: Path) -> Run:
    if who == "curl":
        file, ca = str(directory / "big.mp4"), str(directory / "cert.pem")
        argv = ["curl", "--silent", "--show-error", "--fail", "--cacert", ca, "--output", os.devnull, "-T", file]
        seconds, rss, _ = _measured([*argv, f"{url}/put"])
        return Run(seconds, rss)
    _, rss, printed = _measured([sys.executable, __file__, "--work", who, "--url", url, "--dir", str(directory)])
    return Run(float(printed), rss)


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    certificate, key = directory / "cert.pem", directory / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    argv = [sys.executable, str(Path(__file__).with_name("receiver.py")), str(certificate), str(key)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip() if server.stdout else ""
            yield f"https://127.0.0.1:{port}"
        finally:
            server.terminate()


def _file(path: Path, size: int) -> None:
    block = os.urandom(MEBI)
    with path.open("wb") as file:
        for _ in range(size // MEBI):
            file.write(block)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1GiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--work", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        print(asyncio.run(_publish(asked.work, asked.url, asked.dir)))
        return
    size = int(TypeAdapter(ByteSize).validate_python(asked.size))
    kinds = [asked.only] if asked.only else list(KINDS)
    runs: dict[str, list[Run]] = {who: [] for who in ("curl", *kinds)}
    with tempfile.TemporaryDirectory(dir=asked.dir) as name:
        directory = Path(name)
        _file(directory / "big.mp4", size)
        with _server(directory) as url:
            for number in range(asked.rounds + 1):
                for who in ("curl", *kinds) if number % 2 else (*reversed(kinds), "curl"):
                    run = _upload(who, url, directory)
                    if number:
                        runs[who].append(run)
    print(f"{size / MEBI:.0f} MiB, {asked.rounds} rounds; load average {os.getloadavg()[0]:.1f}")
    print(f"{'':10}{'MB/s':>8}{'of curl -T':>12}{'worst pair':>12}{'RSS':>9}")
    for who, mine in runs.items():
        pairs = [peer.seconds / run.seconds for peer, run in zip(runs["curl"], mine, strict=True)]
        speed = size / 1e6 / statistics.median(run.seconds for run in mine)
        rss = max(run.rss for run in mine)
        print(f"{who:10}{speed:8.0f}{statistics.median(pairs):12.2f}{min(pairs):12.2f}{rss:6.0f} MB")


if __name__ == "__main__":
    main()

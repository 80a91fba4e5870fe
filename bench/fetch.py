"""What a cut of a long recording reads from a web server: vidd's fetch of the needed bytes, the whole, and ffmpeg's own.

    python bench/fetch.py [--size 2GiB] [--start 3000] [--seconds 300] [--latency 0] [--rounds 3] [--dir DIR]

The recording is a minute of 720p again and again, once with its index at the front and once at the end. The server
counts the bytes it hands to the network; `--latency` (milliseconds) is how long it thinks before each answer. The peer is
`ffmpeg -ss START -i URL -t SECONDS -c copy`, which makes a file that starts at a keyframe, where vidd's fetch leaves
what a cut exact to the frame, with fades, is then made of. Rounds are interleaved, seconds are medians. That the
packets of the cut are the same in both files is compared at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from common import Run, measured, table
from pydantic import ByteSize, TypeAdapter

from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.model.job import Job
from vidd.ports import Encoder, StepContext, Tools
from vidd.steps import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MEGA = 1e6
_BLOCK = 2**18
_SETTINGS = {
    "steps": [
        {"name": "fetch", "kind": "fetch", "options": {}},
        {"name": "trim", "kind": "trim", "options": {"source": "source"}},
    ]
}
_WAYS = ("vidd, the cut", "ffmpeg, the cut", "vidd, the whole")


@dataclass
class Count:
    """What the server did since it was last looked at."""

    sent: int = 0
    requests: int = 0

    def taken(self) -> tuple[int, int]:
        """Bytes and requests; begins anew."""
        now = (self.sent, self.requests)
        self.sent = self.requests = 0
        return now


class Clock:
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def work(url: str, directory: Path, start: float, end: float, *, ranged: bool) -> None:
    """The fetch step, as the engine would call it."""
    now = datetime.now(UTC)
    tools = Tools(directory, Encoder(default_ffmpeg()), Clock())
    job = Job("b", "b", "p", "s", url, "a.mp4", now, now, facts={"start": start, "end": end}, settings=_SETTINGS)
    bench = StepContext(job, directory, tools, None, {}, {}, lambda *_: None)
    outcome = await fetch.run(fetch.Options(ranged=ranged), bench)
    if ("window" in outcome.artifacts[0].facts) is not ranged:
        raise SystemExit(f"not what was to be measured: {outcome.artifacts[0].facts}")


@contextmanager
def serving(root: Path, count: Count, latency: float) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = root / Path(self.path).name
            size = path.stat().st_size
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else 0
            end = min(size, int(asked[2]) + 1) if asked and asked[2] else size
            count.requests += 1
            time.sleep(latency)
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.send_header("Content-Length", str(end - start))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{path.name}"')
            self.end_headers()
            with path.open("rb") as file:
                file.seek(start)
                while start < end:
                    data = file.read(min(_BLOCK, end - start))
                    try:
                        self.wfile.write(data)
                    except OSError:
                        self.close_connection = True
                        return
                    start += len(data)
                    count.sent += len(data)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def ffmpeg(*words: object) -> list[str]:
    return [str(default_ffmpeg()), "-nostdin", "-loglevel", "error", "-y", *map(str, words)]


def make(root: Path, size: int) -> float:
    """The two recordings; seconds of each."""
    minute = root / "minute.mp4"
    subprocess.run(
        ffmpeg(
            *("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=60"),
            *("-f", "lavfi", "-i", "sine=frequency=220:sample_rate=48000:duration=60"),
            *("-vf", "noise=alls=12:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "3M", "-maxrate", "4M"),
            *("-bufsize", "6M", "-pix_fmt", "yuv420p", "-g", "100", "-bf", "2", "-c:a", "aac", minute),
        ),
        check=True,
    )
    times = max(1, round(size / minute.stat().st_size))
    again = ("-stream_loop", times - 1, "-i", minute, "-c", "copy")
    subprocess.run(ffmpeg(*again, root / "end.mp4"), check=True)
    subprocess.run(ffmpeg(*again, "-movflags", "+faststart", root / "front.mp4"), check=True)
    return times * 60.0


def once(way: str, url: str, place: Path, span: tuple[float, float]) -> Run:
    start, end = span
    if way.startswith("ffmpeg"):
        return measured(ffmpeg("-ss", start, "-i", url, "-t", end - start, "-c", "copy", place / "cut.mp4"))
    line = [sys.executable, __file__, "--work", url, "--place", place, "--start", start, "--seconds", end - start]
    return measured([str(word) for word in [*line, *(["--whole"] if "whole" in way else [])]])


def packets(path: Path, span: tuple[float, float]) -> bytes:
    line = ffmpeg("-ss", span[0], "-i", path, "-t", span[1] - span[0], "-c", "copy", "-f", "md5", "-")
    return subprocess.run(line, check=True, capture_output=True).stdout


def compare(
    root: Path, where: str, span: tuple[float, float], asked: argparse.Namespace
) -> Mapping[str, list[tuple[Run, int, int]]]:
    runs: dict[str, list[tuple[Run, int, int]]] = defaultdict(list)
    count = Count()
    with serving(root, count, asked.latency / 1000) as address:
        for number in range(asked.rounds):
            for way in _WAYS if number % 2 == 0 else reversed(_WAYS):
                with tempfile.TemporaryDirectory(dir=root) as name:
                    count.taken()
                    run = once(way, f"{address}/{where}.mp4", Path(name), span)
                    runs[way].append((run, *count.taken()))
                    made = Path(name) / "source.mp4"
                    if made.exists() and packets(made, span) != packets(root / f"{where}.mp4", span):
                        raise SystemExit(f"{way}: the packets of the cut are not those of the recording")
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="2GiB")
    parser.add_argument("--start", type=float, default=3000.0)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds before each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    span = (asked.start, asked.start + asked.seconds)
    if asked.work:
        asyncio.run(work(asked.work, asked.place, *span, ranged=not asked.whole))
        return
    with tempfile.TemporaryDirectory(prefix="vidd-bench-", dir=asked.dir) as name:
        root = Path(name)
        length = make(root, int(TypeAdapter(ByteSize).validate_python(asked.size)))
        if span[1] > length:
            raise SystemExit(f"the recording is only {length:g} s long: make it larger (--size) or cut earlier")
        size = (root / "front.mp4").stat().st_size
        minutes = asked.seconds / length * size
        rows = []
        for where in ("front", "end"):
            runs = compare(root, where, span, asked)
            for way in _WAYS:
                sent, requests = (statistics.median(run[place] for run in runs[way]) for place in (1, 2))
                wall, used = (
                    statistics.median(getattr(run[0], what) for run in runs[way]) for what in ("seconds", "cpu")
                )
                cells = [
                    f"{sent / _MEGA:.1f}",
                    f"{sent / minutes:.2f}",
                    f"{requests:.0f}",
                    f"{wall:.2f}",
                    f"{used:.2f}",
                ]
                rows.append([f"index at the {where}: {way}", *cells])
    table(
        f"{asked.seconds:g} s ({minutes / _MEGA:.1f} MB) out of {length:g} s ({size / _MEGA:.0f} MB), {asked.rounds} rounds,"
        f" medians, {asked.latency:g} ms latency (target: 1.20 of the cut)",
        ["", "MB sent", "of the cut", "requests", "wall s", "CPU s"],
        rows,
    )


if __name__ == "__main__":
    main()

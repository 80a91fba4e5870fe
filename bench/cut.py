"""A talk cut out of a recording with fades: our edges lane against the full encode and against plain copying.

    python bench/cut.py [--quick] [--seconds 480] [--sizes 1280x720,1920x1080] [--codecs h264,open,hevc] [--smartcut PATH]

All in one run on one machine, seconds of CPU with children's. `copy` is `-c copy` of the same stretch, which is not
frame-exact and does not fade: the floor. smartcut (in an environment of its own, `--smartcut` is its program) cuts
without fades. The picture is a minute of moving test sources, repeated by copying.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import Run, measured, table

from vidd.ffmpeg import args
from vidd.ffmpeg.args import Cut
from vidd.ffmpeg.edges import edges
from vidd.ffmpeg.probe import close_probers, probe
from vidd.ffmpeg.run import default_ffmpeg
from vidd.model.media import Media
from vidd.ports import Encoder

_FADE, _START = 3.0, 61.4
CODECS = {
    "h264": ["-c:v", "libx264", "-preset", "veryfast", "-g", "100"],
    "open": ["-c:v", "libx264", "-preset", "veryfast", "-g", "100", "-x264-params", "open-gop=1"],
    "hevc": [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-g",
        "100",
        "-tag:v",
        "hvc1",
        "-x265-params",
        "log-level=error",
    ],
}


@dataclass(frozen=True)
class Measured:
    """One lane's cost; `memory` is the most resident memory of one of its processes (MB)."""

    run: Run
    memory: float


def make(directory: Path, codec: str, size: str, seconds: float) -> Path:
    """A recording a minute longer than the cut on both sides, made of one minute."""
    minute, path = directory / "minute.mp4", directory / f"{codec}-{size}.mp4"
    ffmpeg = [str(default_ffmpeg()), "-nostdin", "-loglevel", "error", "-y"]
    half = 30
    sources = [f"testsrc2=size={size}:rate=25:duration={half}", f"mandelbrot=size={size}:rate=25:maxiter=200"]
    subprocess.run(
        [
            *ffmpeg,
            *(word for one in sources for word in ("-f", "lavfi", "-t", str(half), "-i", one)),
            *("-filter_complex", "[0:v][1:v]concat=n=2,noise=alls=6:allf=t,format=yuv420p[v]", "-map", "[v]"),
            *(*CODECS[codec], "-crf", "26", str(minute)),
        ],
        check=True,
    )
    loops = str(int(seconds + 2 * _START) // 60 + 1)
    noise = f"anoisesrc=amplitude=0.1:duration={60 * int(loops)}:sample_rate=48000"
    subprocess.run(
        [
            *(*ffmpeg, "-stream_loop", loops, "-i", str(minute), "-f", "lavfi", "-i", noise),
            *("-c:v", "copy", "-c:a", "aac", "-b:a", "128k", "-shortest", str(path)),
        ],
        check=True,
    )
    minute.unlink()
    return path


async def ours(source: Path, output: Path, seconds: float, fade: float) -> None:
    media = await probe(source)
    try:
        made = await edges(
            Encoder(default_ffmpeg(), nice=0, threads=0, stall=60.0),
            source,
            output,
            media,
            Cut(_START, _START + seconds, fade),
            name=source.name,
            crf=23,
            preset="veryfast",
            audio_bitrate=128_000,
            progress=lambda *_: None,
            observe=lambda _: None,
        )
    finally:
        await close_probers()
    print(json.dumps(made.to_json()))


def full(source: Path, output: Path, media: Media, seconds: float) -> list[str]:
    cut = Cut(_START, _START + seconds, _FADE)
    argv = args.trim(source, output, media, cut, seek=_START - 1, crf=23, preset="veryfast", audio_bitrate=128_000)
    return [str(default_ffmpeg()), *argv]


def copied(source: Path, output: Path, seconds: float) -> list[str]:
    words = ["-nostdin", "-loglevel", "error", "-y", "-ss", str(_START), "-i", str(source), "-t", str(seconds)]
    return [str(default_ffmpeg()), *words, "-c", "copy", str(output)]


def run(argv: list[str], said: Path) -> Measured:
    """Run it under time(1) of our own: this program again, which knows its children's memory."""
    done = measured([sys.executable, __file__, "--watch", str(said), *argv])
    return Measured(done, float(said.read_text()))


def watch(said: Path, argv: list[str]) -> None:
    import resource  # noqa: PLC0415 - only here

    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    said.write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000))


def main() -> None:
    if sys.argv[1:2] == ["--watch"]:
        watch(Path(sys.argv[2]), sys.argv[3:])
        return
    if sys.argv[1:2] == ["--ours"]:
        asyncio.run(ours(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 s of 640x360")
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--sizes", default="1280x720,1920x1080")
    parser.add_argument("--codecs", default=",".join(CODECS))
    parser.add_argument("--smartcut")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.sizes = 60.0, "640x360"
    rows = []
    with tempfile.TemporaryDirectory(prefix="vidd-cut-", dir=os.environ.get("TMPDIR")) as name:
        directory = Path(name)
        for size in options.sizes.split(","):
            rows += [compare(directory, codec, size, options) for codec in options.codecs.split(",")]
    head = (
        "codec, size",
        "ours cpu s",
        "MB",
        "full cpu s",
        "MB",
        "full/ours",
        "copy cpu s",
        "ours, no fades",
        "MB",
        "smartcut",
        "MB",
    )
    table(f"{options.seconds:g} s with fades of {_FADE:g} s", head, rows)


def compare(directory: Path, codec: str, size: str, options: argparse.Namespace) -> list[str]:
    source, seconds, said = make(directory, codec, size, options.seconds), options.seconds, directory / "said"
    media = asyncio.run(look(source))
    words = [sys.executable, __file__, "--ours", str(source), str(directory / "ours.mp4"), str(seconds)]
    mine, plain = run([*words, str(_FADE)], said), run([*words, "0"], said)
    floor = run(copied(source, directory / "copy.mp4", seconds), said)
    whole = run(full(source, directory / "full.mp4", media, seconds), said)
    peer = None
    if options.smartcut:
        spoken = ["--keep", f"{_START},{_START + seconds}"]
        peer = run([options.smartcut, str(source), str(directory / "peer.mp4"), *spoken], said)
    source.unlink()
    return [
        f"{codec} {size}",
        f"{mine.run.cpu:.1f}",
        f"{mine.memory:.0f}",
        f"{whole.run.cpu:.1f}",
        f"{whole.memory:.0f}",
        f"{whole.run.cpu / mine.run.cpu:.1f}",
        f"{floor.run.cpu:.2f}",
        f"{plain.run.cpu:.1f}",
        f"{plain.memory:.0f}",
        *((f"{peer.run.cpu:.1f}", f"{peer.memory:.0f}") if peer else ("-", "-")),
    ]


async def look(source: Path) -> Media:
    try:
        return await probe(source)
    finally:
        await close_probers()


if __name__ == "__main__":
    main()

"""A talk cut out of a recording with fades: vidd's trim step against the full encode, smartcut and plain copying.

    python bench/cut.py [--quick] [--seconds 480,2280] [--sizes 1280x720,1920x1080] [--codecs h264,open,hevc]
                        [--whole 120] [--dir DIR]

All in one run on one machine; seconds are those of CPU, with children's, and wall beside them. `vidd` is the step as the
daemon runs it, the check of the result included; `check` is its share of that. `full` encodes all
of it by the same ffmpeg (x264 veryfast) in one run; of a cut longer than `--whole` seconds only so much is encoded, and
the rest reckoned (marked ~), since it is linear. `copy` is `-c copy` of the same stretch, which is not frame-exact and
does not fade: the floor. smartcut, the nearest peer in Python, cannot fade, so it is compared with a cut without fades;
it is installed into an environment of its own. The picture is a minute of moving test sources, repeated by copying.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common import Run, measured, table

from vidd.media.ffmpeg.args.common import Cut, CutSource, EncodeSettings, trim_args
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.media.probe.client import probe_report
from vidd.model.job import Job
from vidd.model.media import Artifact, Media
from vidd.ports import Encoder, StepContext, Tools
from vidd.steps import trim

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
            *(word for source in sources for word in ("-f", "lavfi", "-t", str(half), "-i", source)),
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


class Clock:
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def ours(source: Path, directory: Path, seconds: float, fade: float) -> None:
    """The trim step, as the engine would call it."""
    media = Media.from_json(await probe_report(source))
    now, facts = datetime.now(UTC), {"start": _START, "end": _START + seconds}
    job = Job("b", "b", "p", "s", str(source), source.name, now, now, facts=facts)
    tools = Tools(directory, Encoder(default_ffmpeg(), nice=0, stall=60.0), Clock())
    artifacts = {"source": Artifact("source", os.path.relpath(source, directory), media.size, media=media)}
    options = trim.Options(fade=fade, crf=23, audio_bitrate=128_000, open_gops=True)
    try:
        outcome = await trim.run(options, StepContext(job, directory, tools, None, artifacts, {}, lambda *_: None))
    finally:
        await tools.encoder.shared.close()
    if outcome.facts["lane"] not in {"edges", "copy"}:
        raise SystemExit(f"not what was to be measured: {outcome.artifacts[0].facts}")
    (directory / "check").write_text(str(outcome.artifacts[0].facts["check"]["cpu"]))


def full(source: Path, output: Path, media: Media, seconds: float) -> list[str]:
    cut = Cut(_START, _START + seconds, _FADE)
    argv = trim_args(CutSource(source, media, cut, _START - 1), output, EncodeSettings(23, "veryfast", 128_000))
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


def smartcut(directory: Path) -> Path:
    """Its program, in an environment of its own: it wants another PyAV than ours."""
    home = directory / "smartcut"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "smartcut==1.7"]
    subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    return home / "bin/smartcut"


def main() -> None:
    if sys.argv[1:2] == ["--watch"]:
        watch(Path(sys.argv[2]), sys.argv[3:])
        return
    if sys.argv[1:2] == ["--ours"]:
        asyncio.run(ours(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 s of 640x360")
    parser.add_argument("--seconds", default="480,2280")
    parser.add_argument("--sizes", default="1280x720,1920x1080")
    parser.add_argument("--codecs", default=",".join(CODECS))
    parser.add_argument("--whole", type=float, default=120.0, help="seconds of the full encode that are really encoded")
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.sizes = "60", "640x360"
    rows = []
    with tempfile.TemporaryDirectory(prefix="vidd-cut-", dir=options.dir) as name:
        directory = Path(name)
        peer = smartcut(directory)
        for size in options.sizes.split(","):
            for codec in options.codecs.split(","):
                for seconds in map(float, options.seconds.split(",")):
                    source = make(directory, codec, size, seconds)
                    rows.append(
                        compare(Talk(source, f"{codec} {size.partition('x')[2]}p", seconds), peer, options.whole)
                    )
                    print(*rows[-1], file=sys.stderr, flush=True)
                    source.unlink()
    head = (
        *("recording, s", "vidd cpu", "wall", "MB", "full cpu", "wall", "MB", "full/vidd", "check", "copy"),
        *("no fades: vidd", "MB", "smartcut", "MB"),
    )
    table(
        f"seconds of CPU; fades of {_FADE:g} s (x264 and x265 sources; targets: 25 at 480 s, 70 at 2280 s)", head, rows
    )


@dataclass(frozen=True)
class Talk:
    """What is cut: a recording, how it is called in the table, and how long the cut is."""

    source: Path
    name: str
    seconds: float


def compare(talk: Talk, peer: Path, whole: float) -> list[str]:
    """One row: every way once, one after the other."""
    source, seconds, directory = talk.source, talk.seconds, talk.source.parent
    said, encoded = directory / "said", min(whole, seconds)
    media = asyncio.run(look(source))
    words = [sys.executable, __file__, "--ours", str(source), str(directory), str(seconds)]
    mine = run([*words, str(_FADE)], said)
    check = float((directory / "check").read_text())
    plain = run([*words, "0"], said)
    floor = run(copied(source, directory / "copy.mp4", seconds), said)
    full_run = run(full(source, directory / "full.mp4", media, encoded), said)
    spoken = ["--keep", f"{_START},{_START + seconds}"]
    other = run([str(peer), str(source), str(directory / "peer.mp4"), *spoken], said)
    for path in directory.glob("*.mp4"):
        if path != source:
            path.unlink()
    times, mark = seconds / encoded, "~" if encoded < seconds else ""
    return [
        f"{talk.name}, {seconds:g}",
        f"{mine.run.cpu:.1f}",
        f"{mine.run.seconds:.1f}",
        f"{mine.memory:.0f}",
        f"{mark}{full_run.run.cpu * times:.0f}",
        f"{mark}{full_run.run.seconds * times:.0f}",
        f"{full_run.memory:.0f}",
        f"{mark}{full_run.run.cpu * times / mine.run.cpu:.0f}",
        f"{check:.1f}",
        f"{floor.run.cpu:.2f}",
        f"{plain.run.cpu:.1f}",
        f"{plain.memory:.0f}",
        f"{other.run.cpu:.1f}",
        f"{other.memory:.0f}",
    ]


async def look(source: Path) -> Media:
    """What the recording holds."""
    return Media.from_json(await probe_report(source))


if __name__ == "__main__":
    main()

"""720p at 2 Mbit/s and 480p at 1 Mbit/s, both at 30 frames a second: the step transcode against two runs of ffmpeg.

    python bench/renditions.py [--seconds 60] [--size 1920x1080] [--rounds 3]

The peer runs ffmpeg once a rendition, with the same arguments as vidd. `one decode` is vidd's single run of both, `step` a process
that does all of the step: how the frames are made (for deinterlacing), the encode, and the check of both files; `step, HLS` packs the ladder, too.
Seconds are those of CPU, with children's; rounds are interleaved, ratios are medians of the rounds' own.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from common import make_clip, measured, table

from vidd.engine.clock import SystemClock
from vidd.media.ffmpeg.args.common import Rendition, RenditionSettings, transcode_args
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.media.probe.client import probe_report
from vidd.model.job import Job
from vidd.model.media import Artifact, Media
from vidd.ports import Encoder, StepContext, Tools
from vidd.steps import transcode

SIZES = [
    {"height": 720, "video_bitrate": "2M", "fps": 30},
    {"height": 480, "video_bitrate": "1M", "fps": 30},
]
RENDITIONS = [
    Rendition("720p", 1280, 720, 2_000_000, 128_000, None),
    Rendition("480p", 854, 480, 1_000_000, 128_000, None),
]


async def step(source: Path, *, hls: bool) -> None:
    """The whole step, in this process and its children."""
    directory = source.parent
    now = datetime.now(UTC)
    job = Job("j", "key", "talks", "folder", source.as_uri(), source.name, now, now)
    tools = Tools(directory, Encoder(default_ffmpeg(), nice=0), SystemClock(), observe=lambda _: None)
    artifacts = {"source": Artifact("source", source.name, source.stat().st_size)}
    context = StepContext(job, directory, tools, None, artifacts, {}, lambda *_: None)
    options = transcode.Options.model_validate({"renditions": SIZES, "hls": hls})
    await transcode.run(options, context)
    await tools.encoder.shared.close()


def ffmpeg(source: Path, media: Media, renditions: list[Rendition], out: Path) -> list[str]:
    outputs = [(rendition, out / f"{rendition.name}.mp4") for rendition in renditions]
    return [str(default_ffmpeg()), *transcode_args(source, outputs, media, RenditionSettings("veryfast"))]


def compare(source: Path, rounds: int) -> None:
    media = Media.from_json(asyncio.run(probe_report(source)))
    used = defaultdict[str, list[float]](list)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            used["two runs"].append(sum(measured(ffmpeg(source, media, [size], place)).cpu for size in RENDITIONS))
            used["one decode"].append(measured(ffmpeg(source, media, RENDITIONS, place)).cpu)
            for called, flag in (("step", "--step"), ("step, HLS", "--hls")):
                directory = place / flag.strip("-")
                directory.mkdir()
                shutil.copy2(source, directory / "in.mp4")
                used[called].append(measured([sys.executable, __file__, flag, str(directory / "in.mp4")]).cpu)
    rows = [
        [name, f"{median(times):.1f}", f"{median(a / b for a, b in zip(times, used['two runs'], strict=True)):.2f}"]
        for name, times in used.items()
    ]
    table(f"{source.name}, medians of {rounds} rounds", ["", "CPU s", "of two runs"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--hls", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step or given.hls:
        asyncio.run(step(given.step or given.hls, hls=bool(given.hls)))
        return
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / f"{given.size}, {given.seconds:g} s.mp4"
        make_clip(source, given.size, given.seconds)
        compare(source, given.rounds)


if __name__ == "__main__":
    main()

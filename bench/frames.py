"""Frames of a recording as tasks: vidd's frames step against an OpenCV loop that pipes into x264, as annotation services have it.

    python bench/frames.py [--quick] [--seconds 60] [--size 1920x1080] [--rate 5] [--rounds 3] [--dir DIR]

Both take the same frames of the same recording, write each as a JPEG file (quality 90) and as H.264 (x264 veryfast, at
its default for vidd and crf 20 for the peer, which are equally good: PSNR of the films' luma is in the table) in films of 120
frames. The peer decodes with OpenCV, writes with OpenCV, and pipes the pictures into the same ffmpeg; it is installed into
an environment of its own. vidd also hashes each picture, and knows which one it is. Seconds are those of CPU, with
children's; the rounds are interleaved. `prune off` is vidd without leaving packets out.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from common import Run, measured, table
from cut import Clock, make

from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.model.job import Job
from vidd.model.media import Artifact
from vidd.ports import Encoder, StepContext, Tools
from vidd.steps import frames

_PEER = "OpenCV into x264"
PEER = """
import subprocess, sys
import cv2
source, directory, rate, ffmpeg = sys.argv[1:5]
cap = cv2.VideoCapture(source)
fps = cap.get(cv2.CAP_PROP_FPS)
step = round(fps / float(rate))
size = int(cap.get(cv2.CAP_PROP_FRAME_WIDTH)), int(cap.get(cv2.CAP_PROP_FRAME_HEIGHT))
def film(number):
    words = [ffmpeg, "-nostdin", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", "%dx%d" % size,
             "-r", rate, "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", "25", "-pix_fmt", "yuv420p",
             "-movflags", "+faststart", "%s/task-%d.mp4" % (directory, number)]
    words.remove("-nostdin")
    return subprocess.Popen(words, stdin=subprocess.PIPE)
count = taken = 0
out = None
while True:
    there, picture = cap.read()
    if not there:
        break
    count += 1
    if count % step:
        continue
    if taken % 120 == 0:
        if out:
            out.stdin.close(); out.wait()
        out = film(taken // 120)
    cv2.imwrite("%s/%d.jpg" % (directory, taken), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    out.stdin.write(picture.tobytes())
    taken += 1
out.stdin.close(); out.wait()
print(taken)
"""


def peer(directory: Path) -> Path:
    """OpenCV in an environment of its own; its Python."""
    home = directory / "opencv"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "opencv-python-headless>=4.11,<5"]
    subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    (directory / "peer.py").write_text(PEER)
    return home / "bin/python"


async def ours(source: Path, directory: Path, rate: float, *, prune: bool) -> int:
    """The step, as the engine would call it; how many frames."""
    place = directory / "job"
    place.mkdir()
    (place / source.name).hardlink_to(source)
    now = datetime.now(UTC)
    job = Job("b", "b", "p", "s", source.as_uri(), source.name, now, now)
    tools = Tools(directory, Encoder(default_ffmpeg(), nice=0), Clock())
    artifacts = {"source": Artifact("source", source.name, source.stat().st_size)}
    options = frames.Options(rate=rate, images=True, quality=90, preset="veryfast", prune=prune)
    outcome = await frames.run(options, StepContext(job, place, tools, None, artifacts, {}, lambda *_: None))
    return int(outcome.facts["frames"])


@dataclass(frozen=True)
class Made:
    """What a run cost, and its films: MB, and PSNR of luma in dB."""

    run: Run
    size: float
    psnr: float


def once(words: Sequence[str | Path], source: Path, rate: float) -> Made:
    with tempfile.TemporaryDirectory(dir=source.parent) as name:
        run = measured([name if word == "DIR" else word for word in words])
        films = sorted(Path(name).rglob("task-*.mp4"), key=lambda path: int(re.findall(r"task-([0-9]+)", path.name)[0]))
        return Made(run, sum(film.stat().st_size for film in films) / 1e6, psnr(films, source, rate))


def psnr(films: Sequence[Path], source: Path, rate: float) -> float:
    """Of all films' pictures, one after another, beside every so-manieth picture of the recording (25 a second)."""
    listed = films[0].parent / "films.txt"
    listed.write_text("".join(f"file '{film}'\n" for film in films))
    step = round(25 / rate)
    numbered = f"settb=1/1000,setpts=N*1000/{rate:g}"
    graph = f"[0:v]{numbered}[a];[1:v]select='not(mod(n+1,{step}))',{numbered}[b];[a][b]psnr"
    words = [default_ffmpeg(), "-nostdin", "-hide_banner", "-f", "concat", "-safe", "0", "-i", listed, "-i", source]
    said = subprocess.run(
        [*words, "-lavfi", graph, "-an", "-f", "null", "-"], check=True, capture_output=True, text=True
    )
    return float(re.findall(r"PSNR y:([0-9.]+)", said.stderr)[-1])


def main() -> None:
    if sys.argv[1:2] == ["--ours"]:
        source, directory, rate, prune = sys.argv[2:6]
        asyncio.run(ours(Path(source), Path(directory), float(rate), prune=prune == "1"))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 s of 640x360, one round")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.size, options.rounds = 20.0, "640x360", 1
    with tempfile.TemporaryDirectory(prefix="vidd-frames-", dir=options.dir) as name:
        directory = Path(name)
        python = peer(directory)
        source = make(directory, "h264", options.size, options.seconds)
        own = [sys.executable, __file__, "--ours", source, "DIR", f"{options.rate:g}"]
        ways: dict[str, list[str | Path]] = {
            "vidd": [*own, "1"],
            _PEER: [python, directory / "peer.py", source, "DIR", f"{options.rate:g}", default_ffmpeg()],
            "vidd, prune off": [*own, "0"],
        }
        found: dict[str, list[Made]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, words in ways.items():
                found[way].append(once(words, source, options.rate))
    floor = median(result.run.cpu for result in found[_PEER])
    rows = [
        [
            way,
            f"{median(result.run.cpu for result in made):.1f}",
            f"{median(result.run.seconds for result in made):.1f}",
            f"{median(result.run.cpu for result in made) / floor:.2f}",
            f"{made[0].size:.1f}",
            f"{made[0].psnr:.2f}",
        ]
        for way, made in found.items()
    ]
    title = (
        f"{options.size}, {options.rate:g} frames a second, {options.rounds} rounds, medians (target: 0.80 of the peer)"
    )
    table(title, ("way", "cpu s", "wall s", "of the peer", "films MB", "PSNR dB"), rows)


if __name__ == "__main__":
    main()

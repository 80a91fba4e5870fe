"""Tiny videos of people in scenes, and a step's context."""

from __future__ import annotations

from pathlib import Path

from footage.clips import FFMPEG, ffmpeg

from builders.engine import HeldClock, job
from vidd.model.media import Artifact
from vidd.ports import Encoder, StepContext, Tools

# Of each scene: seconds, luma of the room, and whether the person has a shadow.
SCENES = ((1.2, 20, True), (0.8, 50, False), (1.0, 5, False))


def people(path: Path, scenes: tuple[tuple[float, int, bool], ...] = SCENES, rate: int = 25) -> Path:
    """A bright block that walks through rooms of different darkness, in the first with a dim one beside it."""
    inputs, chains = [], []
    for at, (seconds, room, shadow) in enumerate(scenes):
        inputs += ["-f", "lavfi", "-i", f"color=black:s=96x64:r={rate}:d={seconds}"]
        dim = "between(X,20+N,30+N)*between(Y,20,50)*110" if shadow else "0"
        walker = f"if(between(X,10+N,20+N)*between(Y,16,50),235,max({room},{dim}))"
        chains.append(f"[{at}:v]format=yuv420p,geq=lum='{walker}':cb=128:cr=128[v{at}];")
    joined = "".join(f"[v{at}]" for at in range(len(scenes)))
    graph = "".join(chains) + f"{joined}concat=n={len(scenes)}"
    ffmpeg(*inputs, "-filter_complex", graph, "-c:v", "libx264", "-preset", "ultrafast", "-crf", 8, "-g", 12, path)
    return path


def context(
    directory: Path, video: Path | None = None, *, facts=None, accounts=None, step="analyse", reserve=0, **changes
):
    """A context with the video as its source; `told` is what progress was."""
    place = directory / "jobs" / "job-1"
    place.mkdir(parents=True, exist_ok=True)
    artifacts = {}
    if video is not None:
        source = place / f"source{video.suffix}"
        if not source.exists():
            source.hardlink_to(video)
        artifacts["source"] = Artifact("source", source.name, source.stat().st_size)
    told: list[tuple] = []
    tools = Tools(directory, Encoder(FFMPEG, nice=0, disk_reserve=reserve), HeldClock(), accounts=accounts or {})
    made = StepContext(
        job(name=f"cm8ek9jj2003oqe0cfeqcou7s{video.suffix if video else '.mp4'}", **changes),
        place, tools, None, artifacts, facts or {}, lambda *now: told.append(now), step=step,
    )  # fmt: skip
    return made, told

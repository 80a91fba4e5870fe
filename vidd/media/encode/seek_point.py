"""Finds where decoding can begin when an encode resumes in the middle: a seek is trusted only where two of them agree.

Only MP4, MOV and Matroska give every frame its time wherever reading begins. There, two seeks to different keyframes
must show the same frames at the same times. In other containers, and where they do not agree, decoding begins where it
began at first, so that it is the same again; the frames that exist already are then decoded, but not encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from vidd.errors import Refused
from vidd.media.ffmpeg.args.common import input_args
from vidd.media.ffmpeg.process import read_counter
from vidd.media.probe.client import Prober
from vidd.processes import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vidd.model.media import Media
    from vidd.ports import Encoder

_CONTAINERS = ("mov", "matroska")
# A later seek must save this many seconds to be worth it, and must begin this long before the frame.
_WORTH, _LEAD = 10, 2.0
# The keyframes of the two seeks are so far from each other that whole seconds lie between them.
_APART = 1.5


@dataclass(frozen=True, slots=True)
class SeekTarget:
    """The frame that is shown `at` (seconds from the file's start); the first run seeked to `first_seek`.

    `filters(seek)` are those that begin with that frame after a seek, on the result's clock of `scale` ticks a second;
    `tick` is its time there, where one frame must be shown exactly then.
    """

    at: float
    first_seek: float
    filters: Callable[[float], list[str]]
    scale: int
    tick: int | None


async def find_seek_point(
    encoder: Encoder, source: Path, media: Media, target: SeekTarget, *, name: str
) -> tuple[float, str]:
    """Seconds to seek to for the target, and, where that is the first seek again, the reason."""
    first = target.first_seek
    if target.at - _LEAD - first < _WORTH:
        return first, "It is near the beginning."
    if not media.container.startswith(_CONTAINERS):
        return first, f"In this container ({media.container}) a frame is found reliably only by reading up to it."
    keyframes = await encoder.shared.get(Prober).keyframes(source, target.at - _LEAD, name)
    near, far = seek_candidates(keyframes, first)
    if near is None or far is None:
        return first, "It has too few keyframes to resume from."
    frames = [await _frame_hashes(encoder, source, seek, target) for seek in (near, far)]
    if not frames[0] or frames[0] != frames[1] or (target.tick is not None and frames[0][0][0] != target.tick):
        return first, "Seeks to two places in it do not show the same frames at the same times."
    return near, ""


def seek_candidates(keyframes: list[float], first: float) -> tuple[float | None, float | None]:
    """Two times to seek to, each just after another keyframe (seconds, in order), whole seconds from the `first` seek."""
    near: float | None = None
    for keyframe in reversed(keyframes):
        seek = first + ceil(keyframe - first)
        if seek - first < _WORTH:
            break
        if near is None:
            near, limit = seek, keyframe - _APART
        elif keyframe <= limit:
            return near, seek
    return near, None


async def _frame_hashes(encoder: Encoder, source: Path, seek: float, target: SeekTarget) -> list[tuple[int, str]]:
    """The tick and the hash of the first two frames after a seek; empty where they do not come."""
    lines: list[str] = []
    argv = [
        *("-nostdin", "-hide_banner", "-loglevel", "error"),
        *input_args(source, encoder.threads, seek),
        *("-map", "0:V:0", "-filter:v", ",".join(target.filters(seek))),
        *("-frames:v", "2", "-fps_mode:v", "passthrough", "-enc_time_base:v", f"1:{target.scale}"),
        *("-f", "framehash", "-"),
    ]
    try:
        ended = await run.run(
            [encoder.path, *argv],
            on_line=lines.append,
            progress_mark=read_counter,
            limits=run.Limits(quiet=encoder.stall, nice=encoder.nice, memory=encoder.memory),
        )
    except Refused:
        return []
    rows = [line.split(",") for line in lines if line[:1].isdigit()]
    return [(int(row[2]), row[-1].strip()) for row in rows if len(row) > 4] if ended.code == 0 else []

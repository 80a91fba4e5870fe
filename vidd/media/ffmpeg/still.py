"""A frame of a video as a small JPEG, made by a child."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.media.ffmpeg.args.common import format_seconds, input_args
from vidd.processes import run

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import Encoder

_WIDTH = 480
_DEADLINE = 30.0
_LOOK_BACK = 2.0
"""Seconds before the wanted frame at which decoding begins, so that it is exact."""


def still_args(source: Path, target: Path, seconds: float) -> list[str]:
    """The arguments that write the frame at `seconds` from the file's start."""
    seek = max(0.0, seconds - _LOOK_BACK)
    exact = ["-ss", format_seconds(seconds - seek)] if seconds > seek else []
    return [
        *("-nostdin", "-hide_banner", "-loglevel", "error", "-y"),
        *input_args(source, 1, seek),
        *exact,
        *("-map", "0:v:0", "-frames:v", "1", "-vf", f"scale='min({_WIDTH},iw)':-2", "-q:v", "5"),
        *("-f", "image2", "-update", "1", f"file:{target}"),
    ]


async def take_still(encoder: Encoder, source: Path, target: Path, seconds: float) -> bool:
    """Write the frame as `target`; False where the file has none there, or cannot be read."""
    part = target.with_name(f".{target.name}.part")
    limits = run.Limits(deadline=_DEADLINE, nice=encoder.nice, memory=encoder.memory)
    try:
        ended = await run.run([encoder.path, *still_args(source, part, seconds)], limits=limits)
        if ended.code != 0 or not part.is_file() or part.stat().st_size == 0:
            return False
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return True

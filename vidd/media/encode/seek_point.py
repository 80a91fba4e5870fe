"""Where decoding begins when an encode goes on in the middle: a seek is believed only where two of them agree.

Only MP4, MOV and Matroska say of each picture when it is shown, wherever reading begins. There, two seeks to different
keyframes must show the same pictures at the same times. Everywhere else, and where they do not agree, decoding begins
where it began at first, so that it is the same again; what is there already is then decoded, but not encoded.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from vidd.errors import Refused
from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.process import bytes_read
from vidd.media.probe.client import Prober
from vidd.processes import run as process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vidd.model.media import Media
    from vidd.ports import Encoder

_CONTAINERS = ("mov", "matroska")
# Seconds: so much later a seek must begin than the first one to be worth it; so long before the picture that is wanted.
_WORTH, _LEAD = 10, 2.0
# The keyframes of the two seeks are so far from each other that whole seconds lie between them.
_APART = 1.5


async def whence(
    encoder: Encoder,
    source: Path,
    media: Media,
    *,
    first: float,
    at: float,
    shown: Callable[[float], list[str]],
    scale: int,
    wanted: int | None,
    name: str,
) -> tuple[float, str]:
    """Seconds to seek to so that the picture shown at `at` comes, and, where that is the `first` seek again, why.

    `shown` are, for a seek, the filters that begin with that picture, on the result's clock of `scale` ticks a second;
    `wanted` is its tick there, where one picture must be shown just then.
    """
    if at - _LEAD - first < _WORTH:
        return first, "It is near the beginning."
    if not media.container.startswith(_CONTAINERS):
        return first, f"In this container ({media.container}) no place is found for sure but by reading up to it."
    keyframes = await encoder.shared.get(Prober).keyframes(source, at - _LEAD, name)
    near, far = points(keyframes, first)
    if near is None or far is None:
        return first, "It has too few keyframes to go on from."
    pictures = [await _pictures(encoder, source, seek, shown(seek), scale) for seek in (near, far)]
    if not pictures[0] or pictures[0] != pictures[1] or (wanted is not None and pictures[0][0][0] != wanted):
        return first, "Seeks to two places in it do not show the same pictures at the same times."
    return near, ""


def points(keyframes: list[float], first: float) -> tuple[float | None, float | None]:
    """Two places to seek to, each just after another keyframe (seconds, in order), whole seconds from the `first` one."""
    near: float | None = None
    for one in reversed(keyframes):
        seek = first + ceil(one - first)
        if seek - first < _WORTH:
            break
        if near is None:
            near, limit = seek, one - _APART
        elif one <= limit:
            return near, seek
    return near, None


async def _pictures(
    encoder: Encoder, source: Path, seek: float, filters: list[str], scale: int
) -> list[tuple[int, str]]:
    """When the first two pictures are shown, and a sum of each; none where they do not come."""
    lines: list[str] = []
    argv = [
        *("-nostdin", "-hide_banner", "-loglevel", "error"),
        *args_common.input_of(source, encoder.threads, seek),
        *("-map", "0:V:0", "-filter:v", ",".join(filters)),
        *("-frames:v", "2", "-fps_mode:v", "passthrough", "-enc_time_base:v", f"1:{scale}"),
        *("-f", "framehash", "-"),
    ]
    try:
        ended = await process.run(
            [encoder.path, *argv],
            on_line=lines.append,
            quiet=encoder.stall,
            alive=bytes_read,
            nice=encoder.nice,
            memory=encoder.memory,
        )
    except Refused:
        return []
    fields = [line.split(",") for line in lines if line[:1].isdigit()]
    return [(int(one[2]), one[-1].strip()) for one in fields if len(one) > 4] if ended.code == 0 else []

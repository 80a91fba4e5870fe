"""Where a picture is black or stands still, and where sound is silent, from samples of them. Pure.

A picture is looked at as a thumbnail: `WIDTH` x `HEIGHT` grey cells of one byte, 0 black to 255 white.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH, HEIGHT = 64, 36
# ffmpeg's blackdetect calls a pixel black up to a tenth; a watermark on a black picture covers a cell in 200.
_DARK, _LIT = 25, WIDTH * HEIGHT // 200
# What two encodings of the same picture differ by in the mean of a cell.
_SAME = 2
# K-weighted, over 0.4 s: below the hiss of an open microphone, and above what a muted mixer lets through.
SILENCE = -60.0

Stretch = tuple[float, float]


def is_black(thumbnail: bytes) -> bool:
    """Whether nothing is to be seen, but for a mark in a corner."""
    return sum(cell > _DARK for cell in thumbnail) <= _LIT


def is_same(one: bytes, other: bytes) -> bool:
    """Whether nothing moved between two pictures."""
    return one == other or all(-_SAME <= a - b <= _SAME for a, b in zip(one, other, strict=True))


def runs(marked: Iterable[tuple[float, bool]]) -> list[Stretch]:
    """From the first to the last time of each unbroken series of marked times."""
    found: list[list[float]] = []
    broken = True
    for time, mark in marked:
        if mark and broken:
            found.append([time, time])
        elif mark:
            found[-1][1] = time
        broken = not mark
    return [(first, last) for first, last in found]


def still(pictures: Sequence[tuple[float, bytes]]) -> list[Stretch]:
    """From the first to the last of pictures that are the same, for each series of two or more; black ones are none."""
    pairs = pairwise((time, picture, is_black(picture)) for time, picture in pictures)
    found: list[list[float]] = []
    for (earlier, picture, black), (later, other, _) in pairs:
        if black or not is_same(picture, other):
            continue
        if found and found[-1][1] == earlier:
            found[-1][1] = later
        else:
            found.append([earlier, later])
    return [(first, last) for first, last in found]


def silent(levels: Iterable[tuple[float, float]], window: float, end: float) -> list[Stretch]:
    """Where loudness levels (end of a window of so many seconds, LUFS) are below `SILENCE`.

    From the last level on to `end`, the picture's, there is no sound at all.
    """
    found: list[list[float]] = []
    last = 0.0
    for time, level in levels:
        last = time
        if level >= SILENCE:
            continue
        begin = max(0.0, time - window)
        if found and begin <= found[-1][1]:
            found[-1][1] = time
        else:
            found.append([begin, time])
    if end - last > window:
        if found and found[-1][1] >= last - 1e-6:
            found[-1][1] = end
        else:
            found.append([last, end])
    return [(first, upto) for first, upto in found]

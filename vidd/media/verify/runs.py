"""Finds where video is black or frozen and where audio is silent, from samples of them. Pure.

A frame is compared as a thumbnail: `WIDTH` x `HEIGHT` grey cells of one byte, 0 black to 255 white.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH, HEIGHT = 64, 36
# ffmpeg's blackdetect calls a pixel black up to a tenth; a watermark on a black frame covers a cell in 200.
_MOST_DARK, _MOST_LIT_CELLS = 25, WIDTH * HEIGHT // 200
# What two encodings of the same frame differ by in the mean of a cell.
_NOISE = 2
# K-weighted, over 0.4 s: below the hiss of an open microphone, and above what a muted mixer lets through.
SILENCE = -60.0

Span: TypeAlias = tuple[float, float]
"""From a first to a last time, in seconds."""


def is_black(thumbnail: bytes) -> bool:
    """Whether nothing is visible, except for a mark in a corner."""
    return sum(cell > _MOST_DARK for cell in thumbnail) <= _MOST_LIT_CELLS


def is_same(thumbnail: bytes, other: bytes) -> bool:
    """Whether nothing moved between two frames."""
    return thumbnail == other or all(-_NOISE <= a - b <= _NOISE for a, b in zip(thumbnail, other, strict=True))


def runs(marked: Iterable[tuple[float, bool]]) -> list[Span]:
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


def frozen(thumbnails: Sequence[tuple[float, bytes]]) -> list[Span]:
    """From the first to the last time of each series of two or more frames that are the same and not black."""
    pairs = pairwise((time, thumbnail, is_black(thumbnail)) for time, thumbnail in thumbnails)
    found: list[list[float]] = []
    for (earlier, before, black), (later, after, _) in pairs:
        if black or not is_same(before, after):
            continue
        if found and found[-1][1] == earlier:
            found[-1][1] = later
        else:
            found.append([earlier, later])
    return [(first, last) for first, last in found]


def silent(levels: Iterable[tuple[float, float]], window: float, end: float) -> list[Span]:
    """Where loudness levels (end of a window of so many seconds, LUFS) are below `SILENCE`.

    From the last level on to `end`, the video's, there is no audio at all.
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
    return [(first, until) for first, until in found]

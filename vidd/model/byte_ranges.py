"""Byte ranges of a file: (start, end), without the byte at `end`. A list is in order, and its ranges do not touch."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ByteRange = tuple[int, int]


class NotInParts(Exception):
    """vidd cannot read this file in parts, so it must fetch all of it. `sentence` says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def merge(*several: Iterable[ByteRange], gap: int = 0) -> list[ByteRange]:
    """The union of several lists; ranges that are at most `gap` bytes apart become one range."""
    found: list[ByteRange] = []
    for start, end in sorted(item for item in chain(*several) if item[0] < item[1]):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def subtract(wanted: Iterable[ByteRange], present: Iterable[ByteRange]) -> list[ByteRange]:
    """The parts of `wanted` that are not in `present`."""
    known, missing = merge(present), []
    for start, end in merge(wanted):
        at = start
        for begin, stop in known:
            if begin >= end:
                break
            if stop > at:
                missing.append((at, begin))
                at = stop
        missing.append((at, end))
    return [item for item in missing if item[0] < item[1]]


def total_size(byte_ranges: Iterable[ByteRange]) -> int:
    """The number of bytes in all ranges together."""
    return sum(end - start for start, end in byte_ranges)


def split(byte_ranges: Iterable[ByteRange], size: int) -> Iterator[ByteRange]:
    """The same bytes in ranges of at most `size` bytes."""
    for start, end in byte_ranges:
        yield from ((at, min(end, at + size)) for at in range(start, end, size))

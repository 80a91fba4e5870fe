"""Stretches of a file: (start, end) in bytes, the end not included. Lists of them are ordered and do not touch."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ByteRange = tuple[int, int]


class NotInParts(Exception):
    """The file cannot be read in parts, and is to be fetched whole. The sentence says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def merge(*several: Iterable[ByteRange], gap: int = 0) -> list[ByteRange]:
    """All of these as one list; those that are no more than `gap` bytes apart become one."""
    found: list[ByteRange] = []
    for start, end in sorted(span for span in chain(*several) if span[0] < span[1]):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def subtract(wanted: Iterable[ByteRange], there: Iterable[ByteRange]) -> list[ByteRange]:
    """What of `wanted` is not in `there`."""
    holes, left = merge(there), []
    for start, end in merge(wanted):
        at = start
        for begin, stop in holes:
            if begin >= end:
                break
            if stop > at:
                left.append((at, begin))
                at = stop
        left.append((at, end))
    return [span for span in left if span[0] < span[1]]


def total_size(byte_ranges: Iterable[ByteRange]) -> int:
    """How many bytes they are together."""
    return sum(end - start for start, end in byte_ranges)


def split(byte_ranges: Iterable[ByteRange], size: int) -> Iterator[ByteRange]:
    """The same in ranges of `size` bytes at most."""
    for start, end in byte_ranges:
        yield from ((at, min(end, at + size)) for at in range(start, end, size))

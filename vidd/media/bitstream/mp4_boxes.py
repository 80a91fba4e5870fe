"""Finds the index in the boxes of an MP4 or MOV file (ISO/IEC 14496-12, 4.2; QuickTime File Format, "Atoms").

Only headers are read, and only so many of them, since a foreign file may claim anything.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.model.byte_ranges import NotInParts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from vidd.model.byte_ranges import ByteRange

    Read = Callable[[int, int], Awaitable[bytes]]

_MOST_BOXES = 512
_LARGEST_INDEX = 64 * 2**20
# Metadata beside the index (cover images, places, XMP); a larger box is something else.
_LARGEST_OTHER = 2**20
_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_FRAGMENTS = frozenset({b"moof", b"sidx", b"ssix", b"styp", b"mfra", b"mvex"})
# A header, and what a reader may look at behind that of an empty box.
_HEADER = 32


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its contents are from `body` to before `end`."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The contents of `moov`, the byte ranges around the media data, and where ranges of media data end."""

    moov: bytes
    around: tuple[ByteRange, ...]
    ends: tuple[int, ...]


def header(data: bytes, at: int, offset: int, limit: int) -> Box:
    """The box whose header is at `data[at:]`, which is at `offset` of what it lies in and may go to `limit`."""
    if len(data) - at < 8:
        raise NotInParts("Its index is damaged: a box has no header.")
    size, kind = struct.unpack_from(">I4s", data, at)
    body = 8
    if size == 1:
        if len(data) - at < 16:
            raise NotInParts("Its index is damaged: a box has no header.")
        size, body = struct.unpack_from(">Q", data, at + 8)[0], 16
    elif size == 0:
        size = limit - offset
    if size < body or offset + size > limit:
        raise NotInParts("Its index is damaged: a box is longer than what it lies in.")
    return Box(kind, offset, offset + body, offset + size)


def children(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes from `start` to `end` of these bytes."""
    at, number = start, 0
    while end - at >= 8:
        number += 1
        if number > _MOST_BOXES:
            raise NotInParts("Its index has too many boxes.")
        box = header(data, at, at, end)
        yield box
        at = box.end


async def find_index(read: Read, size: int) -> Layout:
    """Walk the boxes from the file's first to its last; `read` gives the bytes from start to before end."""
    moov: bytes | None = None
    around: list[ByteRange] = []
    ends: list[int] = [size]
    at = number = 0
    while size - at >= 8:
        number += 1
        head = await read(at, min(size, at + _HEADER))
        if number == 1 and head[4:8] not in _FIRST:
            raise NotInParts("It is no MP4 or MOV file, and only the index of those is known.")
        box = header(head, 0, at, size)
        _refuse_unusual(box, head)
        around.append((at, min(size, at + _HEADER)))
        if box.kind == b"moov":
            if moov is not None or box.end - box.body > _LARGEST_INDEX:
                raise NotInParts("It has two indices, or one that is too large.")
            # With the next box's header, which then needs no request of its own.
            moov = (await read(box.body, min(size, box.end + _HEADER)))[: box.end - box.body]
            around.append((at, box.end))
        elif box.kind == b"mdat":
            ends += [box.start, box.end]
        elif box.kind not in {b"free", b"skip", b"wide"}:
            around.append((at, box.end))
        if number > _MOST_BOXES or (
            box.kind not in {b"moov", b"mdat", b"free", b"skip"} and box.end - at > _LARGEST_OTHER
        ):
            raise NotInParts("Its boxes are unusual.")
        at = box.end
    if moov is None:
        raise NotInParts("It has no index (moov).")
    around.append((at, size))
    return Layout(moov, tuple(around), tuple(sorted(ends)))


def _refuse_unusual(box: Box, head: bytes) -> None:
    if box.kind in _FRAGMENTS:
        raise NotInParts("It is a fragmented MP4 file, which has no index of the whole.")
    inner = head[box.body - box.start + 4 : box.body - box.start + 8]
    if box.kind in {b"free", b"skip"} and inner in {b"mvhd", b"cmov"}:
        raise NotInParts("Its index is hidden in a free box.")

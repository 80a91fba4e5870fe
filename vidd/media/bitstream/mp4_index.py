"""Which bytes of an MP4 or MOV file a cut needs, so that every reader of it finds there what it finds in the whole file.

A reader opens the file (its boxes, the first samples of each track), seeks to a keyframe before the cut, and reads on
until it is past the end. What is computed here is on the safe side of all that; what is unusual is read whole.
"""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING

from vidd.media.bitstream.mp4_boxes import children, find_index
from vidd.media.bitstream.mp4_tracks import track_of
from vidd.model.byte_ranges import NotInParts, merged, size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.media.bitstream.mp4_boxes import Layout
    from vidd.media.bitstream.mp4_tracks import Track
    from vidd.model.byte_ranges import ByteRange
    from vidd.model.span import Span

__all__ = ["find_index", "needed"]

_MOST_TRACKS = 64
# ffmpeg is told to seek this much before the cut, and sound wants to have been decoded a little before it is heard.
_SEEK, _PREROLL = 1.0, 0.5
# A reader that opens a file decodes some pictures to learn their delay (20 at most), and no more than 5 MB (probesize).
_OPENED_PICTURES, _OPENED_SECONDS, _OPENED_BYTES = 48, 1.0, 5_000_000
# ffmpeg reads ahead while the last pictures still pass through decoder and filters.
_AHEAD = 64
# Sound may begin a packet or two before its edit says (priming).
_PRIMING = 0.1
_LARGEST_SLACK = 30.0
_GAP, _MOST_REQUESTS = 2**16, 512
_NEARLY_ALL = 0.9


def needed(layout: Layout, size: int, span: Span, margin: float) -> list[ByteRange]:
    """The stretches of a file of `size` bytes that a cut of `span` needs, `margin` seconds more at both ends.

    NotInParts where that cannot be told, or is nearly everything.
    """
    tracks = _tracks(layout.moov)
    low, high = _begins(tracks)
    ends = array("Q", sorted(chain(layout.ends, *(one.offsets for one in tracks))))
    start = span.start + low - _SEEK - margin
    end = None if span.end is None else span.end + high
    # A reader seeks in the picture track and takes the keyframe's time for all others.
    back = min(one.second(one.keyframe_by(start - one.slack)) for one in tracks if one.handler == b"vide")
    found = list(layout.around)
    for one in tracks:
        found += _opening(one, ends)
        first = one.keyframe_by(min(start, back) - one.slack - (0 if one.handler == b"vide" else _PREROLL))
        if one.handler == b"vide" and one.second(one.keyframe_by(start - one.slack)) <= back:
            first = one.keyframe_by(start - one.slack)
        found += one.byte_ranges(first, _after(one, end, margin), ends)
    return _worth_it(_near(found), size)


def _tracks(moov: bytes) -> list[Track]:
    boxes = list(children(moov, 0, len(moov)))
    kinds = [one.kind for one in boxes]
    if b"mvex" in kinds:
        raise NotInParts("It is a fragmented MP4 file, which has no index of the whole.")
    if b"cmov" in kinds or kinds.count(b"mvhd") != 1 or kinds.count(b"trak") > _MOST_TRACKS:
        raise NotInParts("Its index is compressed, or has too many tracks.")
    film = next(one for one in boxes if one.kind == b"mvhd")
    at = film.body + (20 if moov[film.body] == 1 else 12)
    scale = int.from_bytes(moov[at : at + 4])
    if film.end - film.body < 100 or not scale:
        raise NotInParts("Its index is damaged: it has no clock.")
    tracks = [one for box in boxes if box.kind == b"trak" if (one := track_of(moov, box, scale))]
    if not any(one.handler == b"vide" for one in tracks):
        raise NotInParts("It has no picture that its index knows.")
    if any(one.slack > _LARGEST_SLACK for one in tracks):
        raise NotInParts("Its pictures are shown long after they are decoded.")
    return tracks


def _begins(tracks: Sequence[Track]) -> tuple[float, float]:
    """The earliest and the latest second of the film that a reader may take for the file's start."""
    low = min(one.begins for one in tracks) - _PRIMING
    high = min(
        max(one.begins, one.second(0)) + one.slack + one.second(min(1, one.count - 1)) - one.second(0)
        for one in tracks
        if one.handler in {b"vide", b"soun"}
    )
    if high - low > _LARGEST_SLACK:
        raise NotInParts("Its index does not say well enough when it begins.")
    return low, high


def _opening(one: Track, ends: array[int]) -> list[ByteRange]:
    """What is read of a track when the file is opened: from where its edit begins, and from its very beginning."""
    begin = one.keyframe_by(one.begins - one.slack)
    seen = one.first_at(one.begins + one.slack)
    stop = max(seen + 2, one.first_at(one.begins + one.slack + _OPENED_SECONDS))
    if one.handler == b"vide":
        stop = max(stop, seen + _OPENED_PICTURES)
    stop = min(stop, one.count)
    found = one.byte_ranges(begin, stop, ends)
    while stop - begin > 1 and size_of(found) > _OPENED_BYTES:
        stop = begin + (stop - begin) // 2
        found = one.byte_ranges(begin, stop, ends)
    return found if not begin else found + one.byte_ranges(0, 1, ends)


def _after(one: Track, end: float | None, margin: float) -> int:
    if end is None:
        return one.count
    ahead = _AHEAD if one.handler == b"vide" else 1
    return min(one.count, max(one.first_at(end + margin + one.slack), one.first_at(end + one.slack) + ahead))


def _near(found: list[ByteRange]) -> list[ByteRange]:
    """Stretches near each other are one request; the more there are, the farther apart they may be."""
    gap = _GAP
    near = merged(found, gap=gap)
    while len(near) > _MOST_REQUESTS:
        gap *= 2
        near = merged(near, gap=gap)
    return near


def _worth_it(found: list[ByteRange], size: int) -> list[ByteRange]:
    if found and found[-1][1] > size:
        raise NotInParts("Its index speaks of bytes behind its end.")
    if size_of(found) > _NEARLY_ALL * size:
        raise NotInParts("The cut needs nearly all of it.")
    return found

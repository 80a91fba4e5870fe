"""Computes which bytes of an MP4 or MOV file a cut needs, so that a reader finds there what it finds in the whole file.

A reader opens the file (its boxes, the first samples of each track), seeks to a keyframe before the cut, and reads on
until it is past the end. The result is on the safe side of all that; an unusual file is read whole.
"""

from __future__ import annotations

import struct
from array import array
from itertools import chain
from typing import TYPE_CHECKING

from vidd.media.bitstream.mp4_boxes import children, find_index
from vidd.media.bitstream.mp4_tracks import track_of
from vidd.model.byte_ranges import NotInParts, merge, total_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.media.bitstream.mp4_boxes import Layout
    from vidd.media.bitstream.mp4_tracks import Track
    from vidd.model.byte_ranges import ByteRange
    from vidd.model.span import Span

__all__ = ["find_index", "needed"]

_MOST_TRACKS = 64
# Seconds that ffmpeg seeks before the cut, and that an audio decoder needs before the first sample it must get right.
_SEEK, _PREROLL = 1.0, 0.5
# A reader that opens a file decodes some frames to learn their delay (20 at most), and no more than 5 MB (probesize).
_OPENED_FRAMES, _OPENED_SECONDS, _OPENED_BYTES = 48, 1.0, 5_000_000
# ffmpeg reads ahead while the last frames still pass through decoder and filters.
_AHEAD = 64
# Audio may begin a packet or two before its edit says (priming).
_PRIMING = 0.1
_LARGEST_SLACK = 30.0
_GAP, _MOST_REQUESTS = 2**16, 512
_NEARLY_ALL = 0.9


def needed(layout: Layout, size: int, span: Span, margin: float) -> list[ByteRange]:
    """The byte ranges of a file of `size` bytes that a cut of `span` needs, with `margin` more seconds at both ends.

    NotInParts if they cannot be computed, or are nearly everything.
    """
    try:
        return _needed(layout, size, span, margin)
    except (ArithmeticError, LookupError, ValueError, struct.error):
        # Its numbers are a stranger's: whatever they lead to, the whole file can still be read.
        raise NotInParts("Its index is damaged.") from None


def _needed(layout: Layout, size: int, span: Span, margin: float) -> list[ByteRange]:
    tracks = _tracks(layout.moov)
    low, high = _begins(tracks)
    ends = array("Q", sorted(chain(layout.ends, *(track.offsets for track in tracks))))
    start = span.start + low - _SEEK - margin
    end = None if span.end is None else span.end + high
    # A reader seeks in the video track and takes the keyframe's time for all others.
    back = min(track.second(track.keyframe_by(start - track.slack)) for track in tracks if track.handler == b"vide")
    found = list(layout.around)
    for track in tracks:
        found += _opening(track, ends)
        first = track.keyframe_by(min(start, back) - track.slack - (0 if track.handler == b"vide" else _PREROLL))
        if track.handler == b"vide" and track.second(track.keyframe_by(start - track.slack)) <= back:
            first = track.keyframe_by(start - track.slack)
        found += track.byte_ranges(first, _after(track, end, margin), ends)
    return _worth_it(_near(found), size)


def _tracks(moov: bytes) -> list[Track]:
    boxes = list(children(moov, 0, len(moov)))
    kinds = [box.kind for box in boxes]
    if b"mvex" in kinds:
        raise NotInParts("It is a fragmented MP4 file, which has no index of the whole.")
    if b"cmov" in kinds or kinds.count(b"mvhd") != 1 or kinds.count(b"trak") > _MOST_TRACKS:
        raise NotInParts("Its index is compressed, or has too many tracks.")
    movie = next(box for box in boxes if box.kind == b"mvhd")
    at = movie.body + (20 if moov[movie.body] == 1 else 12)
    scale = int.from_bytes(moov[at : at + 4])
    if movie.end - movie.body < 100 or not scale:
        raise NotInParts("Its index is damaged: it has no clock.")
    tracks = [track for box in boxes if box.kind == b"trak" if (track := track_of(moov, box, scale))]
    if not any(track.handler == b"vide" for track in tracks):
        raise NotInParts("Its index has no video.")
    if any(track.slack > _LARGEST_SLACK for track in tracks):
        raise NotInParts("Its frames are shown long after they are decoded.")
    return tracks


def _begins(tracks: Sequence[Track]) -> tuple[float, float]:
    """The earliest and the latest second of the movie that a reader may take for the file's start."""
    low = min(track.begins for track in tracks) - _PRIMING
    high = min(
        max(track.begins, track.second(0)) + track.slack + track.second(min(1, track.count - 1)) - track.second(0)
        for track in tracks
        if track.handler in {b"vide", b"soun"}
    )
    if high - low > _LARGEST_SLACK:
        raise NotInParts("Its index does not say well enough when it begins.")
    return low, high


def _opening(track: Track, ends: array[int]) -> list[ByteRange]:
    """What is read of a track when the file is opened: from where its edit begins, and from its very beginning."""
    begin = track.keyframe_by(track.begins - track.slack)
    seen = track.first_at(track.begins + track.slack)
    stop = max(seen + 2, track.first_at(track.begins + track.slack + _OPENED_SECONDS))
    if track.handler == b"vide":
        stop = max(stop, seen + _OPENED_FRAMES)
    stop = min(stop, track.count)
    found = track.byte_ranges(begin, stop, ends)
    while stop - begin > 1 and total_size(found) > _OPENED_BYTES:
        stop = begin + (stop - begin) // 2
        found = track.byte_ranges(begin, stop, ends)
    return found if not begin else found + track.byte_ranges(0, 1, ends)


def _after(track: Track, end: float | None, margin: float) -> int:
    if end is None:
        return track.count
    ahead = _AHEAD if track.handler == b"vide" else 1
    return min(track.count, max(track.first_at(end + margin + track.slack), track.first_at(end + track.slack) + ahead))


def _near(found: list[ByteRange]) -> list[ByteRange]:
    """Ranges near each other become one request; the more there are, the farther apart they may be."""
    gap = _GAP
    near = merge(found, gap=gap)
    while len(near) > _MOST_REQUESTS:
        gap *= 2
        near = merge(near, gap=gap)
    return near


def _worth_it(found: list[ByteRange], size: int) -> list[ByteRange]:
    if found and found[-1][1] > size:
        raise NotInParts("Its index lists bytes behind its end.")
    if total_size(found) > _NEARLY_ALL * size:
        raise NotInParts("The cut needs nearly all of it.")
    return found

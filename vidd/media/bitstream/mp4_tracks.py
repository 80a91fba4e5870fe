"""Reads the sample tables of a track (ISO/IEC 14496-12, 8.6 and 8.7): when each sample is decoded, and where it lies.

Tables stay compressed arrays of numbers, so that neither eight hours nor a false count costs memory.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import mul
from typing import TYPE_CHECKING, Literal

from vidd.media.bitstream.mp4_boxes import children
from vidd.model.byte_ranges import NotInParts

if TYPE_CHECKING:
    from vidd.media.bitstream.mp4_boxes import Box
    from vidd.model.byte_ranges import ByteRange

_TABLES = {b"stsz", b"stz2", b"stco", b"co64", b"stsc", b"stts", b"ctts", b"stss"}
_NORMAL_RATE = 0x00010000


@dataclass(frozen=True, slots=True)
class Track:
    """One track. Samples and chunks are numbered from 0.

    A sample that is decoded at tick `t` belongs to second `t / scale + shift` of the movie, give or take `slack` seconds
    (that is how far showing may be from decoding). `begins` is the second of the movie in which its first edit starts.
    """

    handler: bytes
    scale: int
    shift: float
    begins: float
    slack: float
    count: int
    size: int
    sizes: array[int]
    offsets: array[int]
    chunk_runs: tuple[array[int], array[int], array[int]]
    time_runs: tuple[array[int], array[int], array[int]]
    sync: array[int] | None

    def second(self, sample: int) -> float:
        """When a sample is decoded, in seconds of the movie."""
        last, ticks, deltas = self.time_runs
        run = min(bisect_right(last, sample), len(last) - 1)
        begin = last[run - 1] if run else 0
        return ((ticks[run - 1] if run else 0) + (sample - begin) * deltas[run]) / self.scale + self.shift

    def first_at(self, second: float) -> int:
        """The first sample that is decoded at or after this second of the movie; `count` if none is."""
        last, ticks, deltas = self.time_runs
        wanted = (second - self.shift) * self.scale
        run = bisect_left(ticks, wanted)
        if run == len(ticks):
            return self.count
        begin, at = (last[run - 1], ticks[run - 1]) if run else (0, 0)
        over = -(-(wanted - at) // deltas[run]) if deltas[run] else 0
        return int(min(max(begin, begin + over), self.count))

    def keyframe_by(self, second: float) -> int:
        """The last sample to start decoding with that is decoded at or before this second; the first where none is."""
        sample = max(0, self.first_at(second))
        if sample == self.count or self.second(sample) > second:
            sample = max(0, sample - 1)
        if self.sync is None:
            return sample
        place = bisect_right(self.sync, sample + 1) - 1
        return self.sync[place] - 1 if place >= 0 else 0

    def byte_ranges(self, first: int, stop: int, ends: array[int]) -> list[ByteRange]:
        """Where the samples from `first` to before `stop` lie. `ends` are the places where a chunk may end."""
        found: list[ByteRange] = []
        starts, chunks, per = self.chunk_runs
        run = max(0, bisect_right(starts, first) - 1)
        chunk = chunks[run] + (first - starts[run]) // per[run]
        while chunk < len(self.offsets):
            if run + 1 < len(chunks) and chunk >= chunks[run + 1]:
                run += 1
            begin = starts[run] + (chunk - chunks[run]) * per[run]
            if begin >= stop:
                break
            found.append(self._chunk_range(chunk, begin, max(first, begin), min(stop, begin + per[run]), ends))
            chunk += 1
        return found

    def _chunk_range(self, chunk: int, begin: int, first: int, stop: int, ends: array[int]) -> ByteRange:
        offset = self.offsets[chunk]
        if self.size and self.handler == b"soun":
            # QuickTime counts plain and old compressed audio in units that are not these bytes: take the whole chunk.
            place = bisect_right(ends, offset)
            return offset, ends[place] if place < len(ends) else offset
        if self.size:
            return offset + (first - begin) * self.size, offset + (stop - begin) * self.size
        start = offset + sum(self.sizes[begin:first])
        return start, start + sum(self.sizes[first:stop])


def track_of(moov: bytes, trak: Box, movie_scale: int) -> Track | None:
    """A `trak` box as a track; None if it has no samples. NotInParts if it is damaged or unusual."""
    found = _leaves(moov, trak)
    header = _full(moov, found, b"mdhd")
    scale = struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0]
    handler = bytes(_full(moov, found, b"hdlr")[8:12])
    if not scale or b"stz2" in found:
        raise NotInParts("Its index has tables of a rare kind.")
    if b"dref" in found and not _within(_full(moov, found, b"dref")):
        raise NotInParts("Its index refers to another file.")
    sizes = _full(moov, found, b"stsz")
    size, count = struct.unpack_from(">II", sizes, 4)
    if not count:
        return None
    table = array("I") if size else _table(sizes, 12, count, "I")
    wide = b"co64" in found
    offsets = _counted(_full(moov, found, b"co64" if wide else b"stco"), "Q" if wide else "I")
    time_runs, slack = _times(moov, found, count)
    empty, media = _edit(_full(moov, found, b"elst") if b"elst" in found else b"", movie_scale)
    sync = _counted(_full(moov, found, b"stss"), "I") if b"stss" in found else None
    if sync is not None and (not sync or sync[0] < 1 or any(a >= b for a, b in pairwise(sync))):
        raise NotInParts("Its index has no keyframes, or not in their order.")
    return Track(
        handler=handler,
        scale=scale,
        shift=empty - media / scale,
        begins=empty,
        slack=slack / scale,
        count=count,
        size=size,
        sizes=table,
        offsets=offsets,
        chunk_runs=_chunks(_counted(_full(moov, found, b"stsc"), "I", 3), len(offsets), count),
        time_runs=time_runs,
        sync=sync,
    )


def _leaves(moov: bytes, trak: Box) -> dict[bytes, Box]:
    """The tables of a track by their names. None may come twice."""
    found: dict[bytes, Box] = {}
    inside = {b"mdia", b"minf", b"stbl", b"edts", b"dinf"}
    todo = [trak]
    while todo:
        for box in children(moov, todo[0].body, todo[0].end):
            if box.kind in inside:
                todo.append(box)
            if box.kind in found and box.kind in _TABLES | inside | {b"mdhd", b"elst", b"dref"}:
                raise NotInParts("Its index has a table twice.")
            # minf of QuickTime has a hdlr of its own, which is not the track's.
            found.setdefault(box.kind, box)
        todo.pop(0)
    return found


def _full(moov: bytes, found: dict[bytes, Box], kind: bytes) -> memoryview:
    if kind not in found or found[kind].end - found[kind].body < 8:
        raise NotInParts(f"Its index has no {kind.decode()}.")
    return memoryview(moov)[found[kind].body : found[kind].end]


def _table(data: memoryview, at: int, count: int, code: Literal["I", "Q"]) -> array[int]:
    numbers = array(code)
    if len(data) - at < count * numbers.itemsize:
        raise NotInParts("Its index is damaged: a table is cut off.")
    numbers.frombytes(data[at : at + count * numbers.itemsize])
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _counted(data: memoryview, code: Literal["I", "Q"], columns: int = 1) -> array[int]:
    return _table(data, 8, struct.unpack_from(">I", data, 4)[0] * columns, code)


def _within(dref: memoryview) -> bool:
    """Whether all the data is in this file (8.7.2: the flag of each entry)."""
    data = bytes(dref)
    return all(data[box.body + 3] & 1 for box in children(data, 8, len(data)) if box.end - box.body >= 4)


def _times(moov: bytes, found: dict[bytes, Box], count: int) -> tuple[tuple[array[int], array[int], array[int]], int]:
    """(samples and ticks up to the end of each run, ticks of a sample), and the most ticks from decoding to showing."""
    table = _counted(_full(moov, found, b"stts"), "I", 2)
    counts, deltas = table[0::2], table[1::2]
    last, ticks = array("Q", accumulate(counts)), array("Q", accumulate(map(mul, counts, deltas)))
    if not last or last[-1] != count or ticks[-1] >= 2**53 or any(delta >= 2**31 for delta in deltas):
        raise NotInParts("Its index does not say when each sample comes.")
    slack = 0
    if b"ctts" in found:
        shown = _counted(_full(moov, found, b"ctts"), "I", 2)[1::2]
        signed = array("i", shown.tobytes())
        slack = max(0, max(signed, default=0)) - min(0, min(signed, default=0))
    return (last, ticks, deltas), slack


def _chunks(table: array[int], chunks: int, count: int) -> tuple[array[int], array[int], array[int]]:
    """(first sample, first chunk, samples per chunk) of each run of chunks."""
    first, per = array("Q", (number - 1 for number in table[0::3] if number)), table[1::3]
    following = [*first[1:], chunks]
    runs = [after - before for before, after in zip(first, following, strict=False)]
    if len(first) != len(per) or not first or first[0] or min(runs) < 0 or not min(per):
        raise NotInParts("Its index does not say where each sample is.")
    starts = array(
        "Q", accumulate((chunks_in_run * samples for chunks_in_run, samples in zip(runs, per, strict=True)), initial=0)
    )
    if starts[-1] != count:
        raise NotInParts("Its index counts other samples in one table than in another.")
    return starts[:-1], first, per


def _edit(elst: bytes | memoryview, movie_scale: int) -> tuple[float, int]:
    """(seconds of nothing before the track begins, tick of the media it then begins with)."""
    if not elst:
        return 0.0, 0
    wide = elst[0] == 1
    form = ">QqI" if wide else ">IiI"
    number = struct.unpack_from(">I", elst, 4)[0]
    if number > 64 or len(elst) < 8 + number * struct.calcsize(form):
        raise NotInParts("It is put together from many edits.")
    edits = [struct.unpack_from(form, elst, 8 + index * struct.calcsize(form)) for index in range(number)]
    empty = 0
    while edits and edits[0][1] == -1:
        empty += edits.pop(0)[0]
    if not edits:
        return empty / movie_scale, 0
    if len(edits) > 1 or edits[0][1] < 0 or edits[0][2] != _NORMAL_RATE:
        raise NotInParts("It is put together from several edits.")
    return empty / movie_scale, edits[0][1]

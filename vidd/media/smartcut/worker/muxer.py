"""What the cutter's child does last: put the encoded edges and the copied packets into one file. Never imported by the daemon.

All times are ticks of the result's clock. Copied samples keep every byte; a stream with start codes gets lengths.
"""

from __future__ import annotations

from array import array
from contextlib import ExitStack
from fractions import Fraction
from heapq import merge
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import av

from vidd.files.disk_space import retry_if_full
from vidd.media.bitstream import nal, obu, parameter_sets
from vidd.media.probe.worker.reader import open_media, video_streams
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.worker import open_gop
from vidd.media.smartcut.worker.encoded_parts import TAGS
from vidd.media.smartcut.worker.open_gop import meeting
from vidd.media.smartcut.worker.packet_scan import Scan, from_keyframe, units_of
from vidd.media.smartcut.worker.timing import Picture, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer, OutputContainer

    from vidd.media.ffmpeg.timebase import Ticks
    from vidd.media.smartcut.plan import Plan
    from vidd.media.smartcut.worker.encoded_parts import Part

# Where one has no time, it is asked for, and not believed to the type checker.
Packet: TypeAlias = Any

# What a sample holds besides pictures, by unit type, and MP4 keeps elsewhere: delimiters and parameter sets.
_ELSEWHERE = {"h264": {7, 8, 9}, "hevc": {32, 33, 34, 35}}
_SETS = {"h264": {7, 8}, "hevc": {32, 33, 34}, "av1": {obu.SEQUENCE}}
# Where the type stands in a unit's first byte.
_TYPE = {"h264": (0, 31), "hevc": (1, 63), "av1": (3, 15)}
_JOINING = "the parts were joined"


class Edge:
    """An encoded head or tail, with its parameter sets under names of their own; its time 0 is `at` in the result."""

    def __init__(self, path: Path, codec: str, names: tuple[int, int, int], at: int = 0) -> None:
        self._path, self._codec, self._names, self._at = path, codec, names, at
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SmartCutUnavailable("None of the pictures at an edge could be decoded.")
            self.header = container.streams.video[0].codec_context.extradata or b""
        self.own, self._size = sets, _ = parameter_sets.sets_of_header(codec, self.header)
        self.sets = parameter_sets.Sets(*(tuple(map(self._named, kind)) for kind in sets.all))

    def pictures(self) -> Iterator[Picture]:
        """In the order they are decoded."""
        for packet in self.packets():
            data = bytes(packet)
            if self._codec != "av1":
                data = nal.to_sample(self._named(one) for one in nal.split_by_length(data, self._size))
            yield Picture(self._at + _there(packet.pts), data, packet.is_keyframe)

    def packets(self) -> Iterator[Packet]:
        """As the encoder made them."""
        with av.open(str(self._path)) as container:
            yield from (packet for packet in container.demux(container.streams.video[0]) if packet.size)

    def units(self) -> Iterator[tuple[int, list[bytes]]]:
        """The same by their times, in units."""
        for packet in self.packets():
            yield self._at + _there(packet.pts), nal.split_by_length(bytes(packet), self._size)

    def _named(self, unit: bytes) -> bytes:
        return nal.rename_hevc(unit, *self._names) if self._codec == "hevc" else unit


class Track:
    """The picture of the result: head, copied packets, tail. `source` is the file that is copied from, known as `name`.

    `before` and `after` are whole parts around them.
    """

    def __init__(
        self,
        source: Path,
        name: str,
        scan: Scan,
        plan: Plan,
        *,
        ticks: Ticks,
        edges: list[Edge | None],
        before: Sequence[Part] = (),
        after: Sequence[Part] = (),
    ) -> None:
        self._source, self._name = source, name
        self.before, self.after = before, after
        self.scan, self.plan, self.ticks = scan, plan, ticks
        self.head, self.lead, self.tail = edges
        self.stand_ins: dict[int, bytes] = {}
        # A seek to a picture that only begins to renew what is seen (intra refresh) would show rubbish for a while.
        self._renewing = {scan.pts[at] for at, kind in scan.kinds.items() if kind == "refresh"}
        self.timing = Timing(self._all_times(), ticks.scale)

    def open(self, stack: ExitStack, out: OutputContainer) -> Iterator[tuple[float, Packet]]:
        """Add the track to the result; its packets, each with the time it is decoded (seconds)."""
        container = stack.enter_context(open_media(self._source, self._name))
        stream = video_streams(container)[0]
        try:
            self.prepare(container, stream)
        except (nal.BadUnits, KeyError) as odd:
            raise SmartCutUnavailable(f"The keyframe that copying starts with cannot be joined ({odd}).") from None
        made = out.add_stream_from_template(stream, opaque=True)
        made.codec_context.extradata = self.header(stream.codec_context.extradata or b"")
        made.codec_context.codec_tag = TAGS[self.scan.codec]
        made.time_base = Fraction(1, self.ticks.scale)
        made.metadata.clear()
        last = self.after[-1].last if self.after else max(1, _last(self.scan, stream) * self.ticks.finer)
        return self.timing.packets(self.pictures(container, stream), made, last)

    def _all_times(self) -> array[int]:
        order = array("q")
        rows = [*(part.order for part in self.before), self._times(), *(part.order for part in self.after)]
        if any(max(row) >= min(later) for row, later in pairwise(rows)):
            raise SmartCutUnavailable("What is shown around the talk does not come one after another.")
        for row in rows:
            order.extend(row)
        return order

    def _times(self) -> array[int]:
        """When the talk's pictures are shown, in the order they are decoded; SmartCutUnavailable where the edges are not as wanted."""
        scan, plan, of = self.scan, self.plan, self.ticks.of
        begin, end = _there(plan.head_to), _there(plan.copy_to)
        order = array("q")
        for edge, first, beyond in ((self.head, scan.first, begin), (None, begin, end), (self.tail, end, scan.beyond)):
            wanted = [of(one) for one in scan.pts if first <= one < beyond]
            if first != begin:
                made = [picture.pts for picture in edge.pictures()] if edge else []
                if sorted(made) != sorted(wanted):
                    raise SmartCutUnavailable(
                        f"Of {len(wanted)} pictures at an edge {len(set(made) & set(wanted))} were made at their times."
                    )
                order.extend(made)
            else:
                order.extend(wanted)
        return order

    def header(self, own: bytes) -> bytes:
        """The header of the track with the sets of all its parts; the source's own where nothing is added."""
        edges: list[Edge | Part] = [edge for edge in (self.head, self.lead, self.tail) if edge]
        edges += [*self.before, *self.after]
        if not edges and self.scan.length_size == 4:
            return own
        if self.scan.codec == "av1":
            return obu.av1c(own, [edge.header for edge in edges], self.scan.sets.sps)
        sets = self.scan.sets
        for edge in edges:
            sets += edge.sets
        if self.scan.codec == "h264":
            deep = parameter_sets.avcc_extension(own) or (
                parameter_sets.avcc_extension(edges[0].header) if edges else b""
            )
            return parameter_sets.avcc(sets, deep)
        like = own if self.scan.length_size else edges[0].header if edges else None
        return own if like is None else parameter_sets.hvcc(sets, like)

    def pictures(self, container: InputContainer, stream: Any) -> Iterator[Picture]:
        """All pictures in the order they are decoded."""
        for part in self.before:
            yield from part.pictures(closed=True)
        yield from self.opening()
        yield from self._copied(container, stream)
        if self.tail:
            yield from self.tail.pictures()
        for part in self.after:
            yield from part.pictures(closed=True)

    def prepare(self, container: InputContainer, stream: Any) -> None:
        """What must be known before the header is written."""

    def opening(self) -> Iterator[Picture]:
        """The head."""
        if self.head:
            yield from _closed(self.head.pictures(), self.scan.codec)

    def _copied(self, container: InputContainer, stream: Any) -> Iterator[Picture]:
        begin, end = _there(self.plan.copy_from), _there(self.plan.copy_to)
        for packet in from_keyframe(container, stream, self.scan, begin):
            if self.ticks.of(packet.pts) in self.stand_ins:
                yield Picture(self.ticks.of(packet.pts), self.stand_ins[self.ticks.of(packet.pts)], key=False)
            elif begin <= packet.pts < end:
                key = packet.is_keyframe and packet.pts not in self._renewing
                yield Picture(self.ticks.of(packet.pts), self._sample(packet), key)

    def _sample(self, packet: Packet) -> Packet | bytes:
        scan = self.scan
        try:
            units = units_of(scan, bytes(packet))
        except nal.BadUnits:
            raise SmartCutUnavailable("A packet in the middle is damaged.") from None
        shift, mask = _TYPE[scan.codec]
        kinds = [unit[0] >> shift & mask if unit else -1 for unit in units]
        for unit, kind in zip(units, kinds, strict=True):
            if kind in _SETS[scan.codec] and unit not in scan.sets:
                raise SmartCutUnavailable("The stream's parameters change on the way.")
        if scan.length_size == 4:
            return packet
        if scan.length_size:
            return nal.to_sample(units)
        return nal.to_sample(
            unit for unit, kind in zip(units, kinds, strict=True) if kind not in _ELSEWHERE[scan.codec]
        )


def _there(place: int | None) -> int:
    if place is None:
        raise SmartCutUnavailable("Nothing of the picture is copied.")
    return place


def _closed(pictures: Iterator[Picture], codec: str) -> Iterator[Picture]:
    """The same, and after the last in HEVC an end of sequence: what is copied then starts anew, with its own sets."""
    before: Picture | None = None
    for picture in pictures:
        if before is not None:
            yield before
        before = picture
    if before is not None:
        if codec == "hevc":
            before = Picture(before.pts, bytes(before.data) + nal.to_sample([nal.END_OF_SEQUENCE_HEVC]), before.key)
        yield before


class Bridged(Track):
    """A track whose copied part starts with a keyframe that goes on from what comes before it (H.264, open GOP)."""

    def prepare(self, container: InputContainer, stream: Any) -> None:
        """Read the keyframe and its leading pictures, and number what was encoded to fit."""
        scan, begin, low = self.scan, _there(self.plan.copy_from), _there(self.plan.head_to)
        wanted = sum(low <= one < begin for one in scan.pts)
        originals: dict[int, list[bytes]] = {}
        keyframe: list[bytes] = []
        references = open_gop.Passing(scan.sets)
        for packet in from_keyframe(container, stream, scan, scan.pts[0]):
            units = units_of(scan, bytes(packet))
            if packet.pts == begin:
                keyframe = units
            elif not keyframe:
                references.take(units)
            elif packet.pts < begin:
                originals[self.ticks.of(packet.pts)] = units
            if keyframe and len(originals) == wanted:
                break
        over, self._meeting = meeting(scan.sets, keyframe, wanted, references.held)
        self._over = over
        head = self.head
        if head is None:
            raise SmartCutUnavailable("There is no head to join to the keyframe.")
        self._made = open_gop.Encoded(head.own, over)
        head.sets = self._made.sets
        if self.lead:
            made = open_gop.Encoded(self.lead.own, over)
            self.lead.sets = made.sets
            self.stand_ins = open_gop.stand_ins(self.lead.units(), made, scan.sets, originals)

    def opening(self) -> Iterator[Picture]:
        """The head, numbered anew."""
        head = self.head
        if head:
            count = sum(1 for _ in head.packets())
            for pts, units in open_gop.head(head.units(), count, self._made, self._over, self._meeting):
                yield Picture(pts, nal.to_sample(units), any(unit[0] & 31 == 5 for unit in units))


class Joined(Protocol):
    """A track of the result, of picture or sound."""

    def open(self, stack: ExitStack, out: OutputContainer) -> Iterator[tuple[float, Packet]]:
        """Add the track to the result; its packets, each with the time it is decoded (seconds)."""


def join(output: Path, tracks: Sequence[Joined], *, scale: int) -> None:
    """Write the result: MP4, its index in front, its tracks side by side by their times; `scale` is ticks a second."""
    options = {
        "movflags": "+faststart",
        "video_track_timescale": str(scale),
        "movie_timescale": str(scale),
        "write_tmcd": "0",
    }
    with retry_if_full(_JOINING), ExitStack() as stack:
        out: OutputContainer = stack.enter_context(av.open(str(output), "w", format="mp4", container_options=options))
        flows = [track.open(stack, out) for track in tracks]
        for _, packet in merge(*flows, key=lambda each: each[0]):
            # Here already: whoever has the source open would take this for a fault of the source.
            with retry_if_full(_JOINING):
                out.mux_one(packet)


def _last(scan: Scan, stream: Any) -> int:
    if scan.duration:
        return scan.duration
    rate = stream.average_rate or stream.guessed_rate
    return round(1 / rate / scan.time_base) if rate else 1

"""Joins the encoded edges and the copied packets of a smart cut in one MP4 file.

All times are ticks of the result's clock. Copied samples keep every byte; a stream with start codes gets lengths.
"""

from __future__ import annotations

from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

import av

from vidd.files.disk_space import retry_if_full
from vidd.media.bitstream import nal, obu, parameter_sets
from vidd.media.probe.worker.reader import open_media, video_streams
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.worker.encoded_parts import TAGS
from vidd.media.smartcut.worker.open_gop import (
    EncodedFrames,
    ReferenceTracker,
    reference_marking,
    renumber_lead_in,
    replace_leading,
)
from vidd.media.smartcut.worker.packet_scan import Scan, from_keyframe, units_of
from vidd.media.smartcut.worker.timing import Timing, VideoSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer, OutputContainer

    from vidd.media.bitstream.packet import Packet
    from vidd.media.ffmpeg.timebase import Ticks
    from vidd.media.smartcut.plan import CutPlan
    from vidd.media.smartcut.worker.encoded_parts import Part

# Unit types that do not belong into a sample of MP4: delimiters and parameter sets.
_NOT_IN_SAMPLE = {"h264": {7, 8, 9}, "hevc": {32, 33, 34, 35}}
_SETS = {"h264": {7, 8}, "hevc": {32, 33, 34}, "av1": {obu.SEQUENCE}}
# Shift and mask of the type in a unit's first byte.
_TYPE = {"h264": (0, 31), "hevc": (1, 63), "av1": (3, 15)}
_JOINING = "the parts were joined"


class EncodedEdge:
    """An encoded lead-in or lead-out, whose parameter sets get these `ids`; its time 0 is at `at` in the result."""

    def __init__(self, path: Path, codec: str, ids: tuple[int, int, int], at: int = 0) -> None:
        self._path, self._codec, self._ids, self._at = path, codec, ids, at
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SmartCutUnavailable("None of the frames at an edge could be decoded.")
            self.header = container.streams.video[0].codec_context.extradata or b""
        self.own_sets, self._size = sets, _ = parameter_sets.sets_of_header(codec, self.header)
        self.sets = parameter_sets.Sets(*(tuple(map(self._rename, units)) for units in sets.all))

    def samples(self) -> Iterator[VideoSample]:
        """In the order they are decoded."""
        for packet in self.packets():
            data = bytes(packet)
            if self._codec != "av1":
                data = nal.to_sample(self._rename(unit) for unit in nal.split_by_length(data, self._size))
            yield VideoSample(self._at + _required(packet.pts), data, packet.is_keyframe)

    def packets(self) -> Iterator[Packet]:
        """The encoder's packets."""
        with av.open(str(self._path)) as container:
            yield from (packet for packet in container.demux(container.streams.video[0]) if packet.size)

    def units(self) -> Iterator[tuple[int, list[bytes]]]:
        """(time, units) of the packets."""
        for packet in self.packets():
            yield self._at + _required(packet.pts), nal.split_by_length(bytes(packet), self._size)

    def _rename(self, unit: bytes) -> bytes:
        return nal.rename_hevc(unit, *self._ids) if self._codec == "hevc" else unit


@dataclass(frozen=True, slots=True)
class Edges:
    """The encoded parts of a cut: before the copied packets, in the place of leading frames, and after the copied packets."""

    lead_in: EncodedEdge | None = None
    leading: EncodedEdge | None = None
    lead_out: EncodedEdge | None = None


class VideoTrack:
    """The video of the result: lead-in, copied packets, lead-out. `source` is copied from, and known as `name`.

    `before` and `after` are clips around them.
    """

    def __init__(
        self,
        source: Path,
        name: str,
        scan: Scan,
        plan: CutPlan,
        *,
        ticks: Ticks,
        edges: Edges,
        before: Sequence[Part] = (),
        after: Sequence[Part] = (),
    ) -> None:
        self._source, self._name = source, name
        self.before, self.after = before, after
        self.scan, self.plan, self.ticks = scan, plan, ticks
        self.lead_in, self.leading, self.lead_out = edges.lead_in, edges.leading, edges.lead_out
        self.replacements: dict[int, bytes] = {}
        # After a seek to the start of an intra refresh, frames would be damaged for a while.
        self._refreshes = {scan.pts[index] for index, kind in scan.kinds.items() if kind == "refresh"}
        self.timing = Timing(self._all_times(), ticks.scale)

    def open(self, stack: ExitStack, out: OutputContainer) -> Iterator[tuple[float, Packet]]:
        """Add the track to the result; its packets, each with the time it is decoded (seconds)."""
        container = stack.enter_context(open_media(self._source, self._name))
        stream = video_streams(container)[0]
        try:
            self.prepare(container, stream)
        except (nal.BadUnits, KeyError) as bad:
            raise SmartCutUnavailable(f"The keyframe that copying starts with cannot be joined ({bad}).") from None
        track = out.add_stream_from_template(stream, opaque=True)
        track.codec_context.extradata = self.header(stream.codec_context.extradata or b"")
        track.codec_context.codec_tag = TAGS[self.scan.codec]
        track.time_base = Fraction(1, self.ticks.scale)
        track.metadata.clear()
        last = self.after[-1].last if self.after else max(1, _last(self.scan, stream) * self.ticks.finer)
        return self.timing.packets(self.samples(container, stream), track, last)

    def _all_times(self) -> array[int]:
        order = array("q")
        rows = [*(part.order for part in self.before), self._times(), *(part.order for part in self.after)]
        if any(max(row) >= min(later) for row, later in pairwise(rows)):
            raise SmartCutUnavailable("The clips and the talk do not come one after another.")
        for row in rows:
            order.extend(row)
        return order

    def _times(self) -> array[int]:
        """When the talk's frames are shown, in the order they are decoded; SmartCutUnavailable if frames are missing."""
        scan, plan, tick_of = self.scan, self.plan, self.ticks.of
        begin, end = _required(plan.lead_in_to), _required(plan.copy_to)
        order = array("q")
        for edge, first, beyond in (
            (self.lead_in, scan.first, begin),
            (None, begin, end),
            (self.lead_out, end, scan.beyond),
        ):
            wanted = [tick_of(pts) for pts in scan.pts if first <= pts < beyond]
            if first != begin:
                encoded = [sample.pts for sample in edge.samples()] if edge else []
                if sorted(encoded) != sorted(wanted):
                    raise SmartCutUnavailable(
                        f"Of {len(wanted)} frames at an edge {len(set(encoded) & set(wanted))} were encoded at their times."
                    )
                order.extend(encoded)
            else:
                order.extend(wanted)
        return order

    def header(self, own: bytes) -> bytes:
        """The header of the track with the sets of all its parts; the source's own if nothing is added."""
        edges: list[EncodedEdge | Part] = [edge for edge in (self.lead_in, self.leading, self.lead_out) if edge]
        edges += [*self.before, *self.after]
        if not edges and self.scan.length_size == 4:
            return own
        if self.scan.codec == "av1":
            return obu.av1c(own, [edge.header for edge in edges], self.scan.sets.sps)
        sets = self.scan.sets
        for edge in edges:
            sets += edge.sets
        if self.scan.codec == "h264":
            extension = parameter_sets.avcc_extension(own) or (
                parameter_sets.avcc_extension(edges[0].header) if edges else b""
            )
            return parameter_sets.avcc(sets, extension)
        like = own if self.scan.length_size else edges[0].header if edges else None
        return own if like is None else parameter_sets.hvcc(sets, like)

    def samples(self, container: InputContainer, stream: Any) -> Iterator[VideoSample]:
        """All samples in the order they are decoded."""
        for part in self.before:
            yield from part.samples(end_sequence=True)
        yield from self.lead_in_samples()
        yield from self._copy(container, stream)
        if self.lead_out:
            yield from self.lead_out.samples()
        for part in self.after:
            yield from part.samples(end_sequence=True)

    def prepare(self, container: InputContainer, stream: Any) -> None:
        """Find out what must be known before the header is written."""

    def lead_in_samples(self) -> Iterator[VideoSample]:
        """The samples of the lead-in."""
        if self.lead_in:
            yield from _end_sequence(self.lead_in.samples(), self.scan.codec)

    def _copy(self, container: InputContainer, stream: Any) -> Iterator[VideoSample]:
        begin, end = _required(self.plan.copy_from), _required(self.plan.copy_to)
        for packet in from_keyframe(container, stream, self.scan, begin):
            if self.ticks.of(packet.pts) in self.replacements:
                yield VideoSample(self.ticks.of(packet.pts), self.replacements[self.ticks.of(packet.pts)], key=False)
            elif begin <= packet.pts < end:
                key = packet.is_keyframe and packet.pts not in self._refreshes
                yield VideoSample(self.ticks.of(packet.pts), self._sample(packet), key)

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
            unit for unit, kind in zip(units, kinds, strict=True) if kind not in _NOT_IN_SAMPLE[scan.codec]
        )


def _required(pts: int | None) -> int:
    if pts is None:
        raise SmartCutUnavailable("No video is copied.")
    return pts


def _end_sequence(samples: Iterator[VideoSample], codec: str) -> Iterator[VideoSample]:
    """The same samples; in HEVC an end of sequence follows the last, so that decoding then starts anew with other sets."""
    before: VideoSample | None = None
    for sample in samples:
        if before is not None:
            yield before
        before = sample
    if before is not None:
        if codec == "hevc":
            before = VideoSample(before.pts, bytes(before.data) + nal.to_sample([nal.END_OF_SEQUENCE_HEVC]), before.key)
        yield before


class OpenGopTrack(VideoTrack):
    """A track whose copied part starts with a keyframe that refers to frames before it (H.264, open GOP)."""

    def prepare(self, container: InputContainer, stream: Any) -> None:
        """Read the keyframe and its leading frames, and number what was encoded to fit."""
        scan, begin, low = self.scan, _required(self.plan.copy_from), _required(self.plan.lead_in_to)
        leading = sum(low <= pts < begin for pts in scan.pts)
        originals: dict[int, list[bytes]] = {}
        keyframe: list[bytes] = []
        tracker = ReferenceTracker(scan.sets)
        for packet in from_keyframe(container, stream, scan, scan.pts[0]):
            units = units_of(scan, bytes(packet))
            if packet.pts == begin:
                keyframe = units
            elif not keyframe:
                tracker.take(units)
            elif packet.pts < begin:
                originals[self.ticks.of(packet.pts)] = units
            if keyframe and len(originals) == leading:
                break
        self._sps, self._marking = reference_marking(scan.sets, keyframe, leading, tracker.references)
        if self.lead_in is None:
            raise SmartCutUnavailable("There is no lead-in to join to the keyframe.")
        self._encoded = EncodedFrames(self.lead_in.own_sets, self._sps)
        self.lead_in.sets = self._encoded.sets
        if self.leading:
            encoded = EncodedFrames(self.leading.own_sets, self._sps)
            self.leading.sets = encoded.sets
            self.replacements = replace_leading(self.leading.units(), encoded, scan.sets, originals)

    def lead_in_samples(self) -> Iterator[VideoSample]:
        """The samples of the lead-in, with other numbers."""
        if self.lead_in:
            count = sum(1 for _ in self.lead_in.packets())
            frames = renumber_lead_in(self.lead_in.units(), count, self._encoded, self._sps, self._marking)
            for pts, units in frames:
                yield VideoSample(pts, nal.to_sample(units), any(unit[0] & 31 == 5 for unit in units))


class Track(Protocol):
    """A track of the result, video or audio."""

    def open(self, stack: ExitStack, out: OutputContainer) -> Iterator[tuple[float, Packet]]:
        """Add the track to the result; its packets, each with the time it is decoded (seconds)."""


def join(output: Path, tracks: Sequence[Track], *, scale: int) -> None:
    """Write an MP4 file with its index in front and its tracks interleaved by time; `scale` is ticks a second."""
    options = {
        "movflags": "+faststart",
        "video_track_timescale": str(scale),
        "movie_timescale": str(scale),
        "write_tmcd": "0",
    }
    with retry_if_full(_JOINING), ExitStack() as stack:
        out: OutputContainer = stack.enter_context(av.open(str(output), "w", format="mp4", container_options=options))
        flows = [track.open(stack, out) for track in tracks]
        for _, packet in merge(*flows, key=itemgetter(0)):
            # Caught here already: `open_media` would take it for a fault of the source.
            with retry_if_full(_JOINING):
                out.mux_one(packet)


def _last(scan: Scan, stream: Any) -> int:
    if scan.duration:
        return scan.duration
    rate = stream.average_rate or stream.guessed_rate
    return round(1 / rate / scan.time_base) if rate else 1

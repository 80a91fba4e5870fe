"""Joins encoded files into one video track: the segments of a talk, or an intro, the talk and a closing card.

Nothing is encoded: each part keeps its samples, and begins with a keyframe that needs nothing before it. Parts that
were encoded in different ways have different parameter sets, which then need ids of their own: the encoder of H.264
writes them (`-x264-params sps-id=7`), those of HEVC are written here.
"""

from __future__ import annotations

from array import array
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av

from vidd.media.bitstream import nal, obu, parameter_sets
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.worker.timing import Timing, VideoSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from av.container import OutputContainer

    from vidd.media.bitstream.packet import Packet

TAGS = {"h264": "avc1", "hevc": "hvc1", "av1": "av01"}


class Part:
    """The video of one file, whose time 0 is at `at` on the result's clock of `scale` ticks a second.

    The parameter sets of HEVC get these `ids` (VPS, SPS, PPS); None leaves them, as it must be if a file has several of
    a kind. SmartCutUnavailable if the file holds no video that can be joined.
    """

    def __init__(self, path: Path, *, scale: int, at: int = 0, ids: tuple[int, int, int] | None = None) -> None:
        self.path, self._at, self._ids = path, at, ids
        self.order, self.last = array("q"), 1
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SmartCutUnavailable(f"There is no video in {path.name}.")
            stream = container.streams.video[0]
            context = stream.codec_context
            self.codec, self.header = context.codec.canonical_name, context.extradata or b""
            if self.codec not in TAGS:
                raise SmartCutUnavailable(f"Only H.264, HEVC and AV1 can be joined, and {path.name} is {self.codec}.")
            ticks: Any = stream.time_base
            self._ticks = ((ticks * scale).numerator, (ticks * scale).denominator)
            sets, self._size = parameter_sets.sets_of_header(self.codec, self.header)
            self.sets = parameter_sets.Sets(*(tuple(map(self._rename, units)) for units in sets.all))
            self._read_times(container, stream)

    def samples(self, *, end_sequence: bool) -> Iterator[VideoSample]:
        """In the order they are decoded; with `end_sequence` another sequence of HEVC can follow."""
        unchanged = self._size == 4 and not self._renamed
        with av.open(str(self.path)) as container:
            for number, packet in enumerate(_samples(container, container.streams.video[0])):
                data: Packet | bytes = packet
                if not unchanged:
                    data = nal.to_sample(self._rename(unit) for unit in nal.split_by_length(bytes(packet), self._size))
                if end_sequence and self.codec == "hevc" and number + 1 == len(self.order):
                    data = bytes(data) + nal.to_sample([nal.END_OF_SEQUENCE_HEVC])
                yield VideoSample(self._time(packet), data, packet.is_keyframe)

    def _read_times(self, container: Any, stream: Any) -> None:
        shown: int | None = None
        for packet in _samples(container, stream):
            if not self.order and not packet.is_keyframe:
                raise SmartCutUnavailable(f"The video in {self.path.name} does not begin with a keyframe.")
            time = self._time(packet)
            self.order.append(time)
            if shown is None or time > shown:
                shown, (num, den) = time, self._ticks
                self.last = max(1, packet.duration * num // den)
        if shown is None:
            raise SmartCutUnavailable(f"There is no video in {self.path.name}.")

    def _time(self, packet: Packet) -> int:
        num, den = self._ticks
        time: int = self._at + (packet.pts * num + den // 2) // den
        return time

    @property
    def _renamed(self) -> bool:
        return self.codec == "hevc" and self._ids is not None

    def _rename(self, unit: bytes) -> bytes:
        return nal.rename_hevc(unit, *self._ids) if self._ids and self.codec == "hevc" else unit


class Parts:
    """The video track of a result: all parts, one after another, with the size and colours of the part `like`.

    SmartCutUnavailable if the parts cannot be one track.
    """

    def __init__(self, parts: Sequence[Part], *, scale: int, like: int = 0) -> None:
        self._parts, self._like = parts, parts[like]
        if any(part.codec != self._like.codec for part in parts):
            raise SmartCutUnavailable("The parts are of different codecs.")
        if any(max(before.order) >= min(after.order) for before, after in pairwise(parts)):
            raise SmartCutUnavailable("The parts do not come one after another.")
        order = array("q")
        for part in parts:
            order.extend(part.order)
        self.timing = Timing(order, scale)
        if any(earlier == later for earlier, later in pairwise(self.timing.shown)):
            raise SmartCutUnavailable("Two frames have the same time.")

    def open(self, stack: ExitStack, out: OutputContainer) -> Iterator[tuple[float, Packet]]:
        """Add the track to the result; its packets, each with the time it is decoded (seconds)."""
        template = stack.enter_context(av.open(str(self._like.path))).streams.video[0]
        track = out.add_stream_from_template(template, opaque=True)
        track.codec_context.extradata = self._header()
        track.codec_context.codec_tag = TAGS[self._like.codec]
        track.time_base = Fraction(1, self.timing.scale)
        track.metadata.clear()
        return self.timing.packets(self._samples(), track, self._parts[-1].last)

    def _samples(self) -> Iterator[VideoSample]:
        for part in self._parts:
            yield from part.samples(end_sequence=part is not self._parts[-1])

    def _header(self) -> bytes:
        like, sets = self._like, self._like.sets
        if like.codec == "av1":
            return obu.av1c(like.header, [part.header for part in self._parts], sets.sps)
        for part in self._parts:
            sets += part.sets
        ids = parameter_sets.ids_h264(sets) if like.codec == "h264" else parameter_sets.ids_hevc(sets)
        used = [units for units in sets.all if units]
        if any(len(numbers) != len(units) for numbers, units in zip(ids, used, strict=True)):
            raise SmartCutUnavailable("Two parts have different parameter sets with the same id.")
        if like.codec == "h264":
            return parameter_sets.avcc(sets, parameter_sets.avcc_extension(like.header))
        return parameter_sets.hvcc(sets, like.header)


def _samples(container: Any, stream: Any) -> Iterator[Packet]:
    return (packet for packet in container.demux(stream) if packet.size and packet.pts is not None)

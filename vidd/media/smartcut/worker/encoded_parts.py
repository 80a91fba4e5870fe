"""A picture track made of encoded files only: the segments of a talk, or a sting, the talk and a closing card.

Nothing is encoded: each part keeps its samples, and begins with a keyframe that needs nothing before it. Parts that
were encoded in different ways have different parameter sets, which then need names (ids) of their own: H.264 is given
its name by its encoder (`-x264-params sps-id=7`), HEVC here.

Used in the cutter's child only; the daemon asks for it with `vidd.media.smartcut.concat`.
"""

from __future__ import annotations

from array import array
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import av

from vidd.media.bitstream import nal, obu, parameter_sets
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.worker.timing import Picture, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from av.container import OutputContainer

# Where one has no time, it is asked for, and not believed to the type checker.
Packet: TypeAlias = Any

TAGS = {"h264": "avc1", "hevc": "hvc1", "av1": "av01"}


class Part:
    """One file's picture. `at` is where the file's time 0 lies on the result's clock, which has `scale` ticks a second.

    `names` (VPS, SPS, PPS) are those that HEVC sets get; None leaves them, as it must be where a file has several of a
    kind. SmartCutUnavailable where the file holds no picture that could be joined.
    """

    def __init__(self, path: Path, *, scale: int, at: int = 0, names: tuple[int, int, int] | None = None) -> None:
        self.path, self._at, self._names = path, at, names
        self.order, self.last = array("q"), 1
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SmartCutUnavailable(f"There is no picture in {path.name}.")
            stream = container.streams.video[0]
            context = stream.codec_context
            self.codec, self.header = context.codec.canonical_name, context.extradata or b""
            if self.codec not in TAGS:
                raise SmartCutUnavailable(f"Only H.264, HEVC and AV1 can be joined, and {path.name} is {self.codec}.")
            ticks: Any = stream.time_base
            self._ticks = ((ticks * scale).numerator, (ticks * scale).denominator)
            sets, self._size = parameter_sets.sets_of_header(self.codec, self.header)
            self.sets = parameter_sets.Sets(*(tuple(map(self._named, kind)) for kind in sets.all))
            self._look(container, stream)

    def pictures(self, *, closed: bool) -> Iterator[Picture]:
        """In the order they are decoded; `closed` ends them so that another sequence of HEVC can follow."""
        plain = self._size == 4 and not self._renamed
        with av.open(str(self.path)) as container:
            for number, packet in enumerate(_samples(container, container.streams.video[0])):
                data: Packet | bytes = packet
                if not plain:
                    data = nal.to_sample(self._named(one) for one in nal.split_by_length(bytes(packet), self._size))
                if closed and self.codec == "hevc" and number + 1 == len(self.order):
                    data = bytes(data) + nal.to_sample([nal.END_OF_SEQUENCE_HEVC])
                yield Picture(self._time(packet), data, packet.is_keyframe)

    def _look(self, container: Any, stream: Any) -> None:
        shown: int | None = None
        for packet in _samples(container, stream):
            if not self.order and not packet.is_keyframe:
                raise SmartCutUnavailable(f"The picture in {self.path.name} does not begin with a keyframe.")
            time = self._time(packet)
            self.order.append(time)
            if shown is None or time > shown:
                shown, (num, den) = time, self._ticks
                self.last = max(1, packet.duration * num // den)
        if shown is None:
            raise SmartCutUnavailable(f"There is no picture in {self.path.name}.")

    def _time(self, packet: Packet) -> int:
        num, den = self._ticks
        time: int = self._at + (packet.pts * num + den // 2) // den
        return time

    @property
    def _renamed(self) -> bool:
        return self.codec == "hevc" and self._names is not None

    def _named(self, unit: bytes) -> bytes:
        return nal.rename_hevc(unit, *self._names) if self._names and self.codec == "hevc" else unit


class Parts:
    """The picture of the result: all parts, one after another. `like` is the one whose shape and colours it has.

    SmartCutUnavailable where the parts cannot be one track.
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
        if any(one == other for one, other in pairwise(self.timing.shown)):
            raise SmartCutUnavailable("Two pictures have the same time.")

    def open(self, stack: ExitStack, out: OutputContainer) -> Iterator[tuple[float, Packet]]:
        """Add the track to the result; its packets, each with the time it is decoded (seconds)."""
        template = stack.enter_context(av.open(str(self._like.path))).streams.video[0]
        made = out.add_stream_from_template(template, opaque=True)
        made.codec_context.extradata = self._header()
        made.codec_context.codec_tag = TAGS[self._like.codec]
        made.time_base = Fraction(1, self.timing.scale)
        made.metadata.clear()
        return self.timing.packets(self._pictures(), made, self._parts[-1].last)

    def _pictures(self) -> Iterator[Picture]:
        for part in self._parts:
            yield from part.pictures(closed=part is not self._parts[-1])

    def _header(self) -> bytes:
        like, sets = self._like, self._like.sets
        if like.codec == "av1":
            return obu.av1c(like.header, [part.header for part in self._parts], sets.sps)
        for part in self._parts:
            sets += part.sets
        names = parameter_sets.ids_h264(sets) if like.codec == "h264" else parameter_sets.ids_hevc(sets)
        kinds = [kind for kind in sets.all if kind]
        if any(len(name) != len(kind) for name, kind in zip(names, kinds, strict=True)):
            raise SmartCutUnavailable("Two parts have different parameter sets of the same name.")
        if like.codec == "h264":
            return parameter_sets.avcc(sets, parameter_sets.avcc_extension(like.header))
        return parameter_sets.hvcc(sets, like.header)


def _samples(container: Any, stream: Any) -> Iterator[Packet]:
    return (packet for packet in container.demux(stream) if packet.size and packet.pts is not None)

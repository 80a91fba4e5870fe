"""The sampled frames of a recording, decoded once and in order. Never imported by the daemon.

First all packets are read without decoding, so that it is known which pictures are wanted, and which packets nobody
needs: those are not decoded. Where a packet has no time, which AVI allows, all is decoded, and pictures are counted as
they come.
"""

from __future__ import annotations

import itertools
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.bitstream import droppable
from vidd.media.bitstream.field_pairs import Fields
from vidd.media.ffmpeg import integrity
from vidd.model.sampling import Intervals, end_of, exceeds, rate_of, sampled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# A keyframe may need what comes before it until some pictures later, so reading goes on from the one before.
_KEYFRAMES_BACK = 2
_INDEXED = ("mov", "matroska")


@dataclass
class Pictures:
    """All pictures of a stream: when each is shown (its time base's units, in order), when keyframes are.

    `layers` are those of the packets that nothing in their layer needs, by their time; `highest` is that of the stream.
    """

    times: array[int] = field(default_factory=lambda: array("q"))
    keyframes: array[int] = field(default_factory=lambda: array("q"))
    layers: dict[int, int] = field(default_factory=dict)
    highest: int = 0
    untimed: bool = False

    def droppable(self, time: int) -> bool:
        """Whether nobody needs the packet that is shown then, but who wants to see it."""
        return self.layers.get(time) == self.highest


def pictures(stream: VideoStream, *, prune: bool) -> Pictures:
    """Read all packets of a stream; where `prune`, see which of them nobody needs."""
    found, fields = Pictures(), Fields(stream)
    codec = stream.codec_context.codec.canonical_name
    size = integrity.length_size(codec, stream.codec_context.extradata)
    after = False
    for packet in _container(stream).demux(stream):
        if not packet.size or packet.is_discard:
            continue
        if packet.pts is None:
            return Pictures(untimed=True)
        # Of two fields the first one's time is the picture's.
        alone = fields.alone(packet)
        after = alone and not after
        if after or not alone:
            found.times.append(packet.pts)
            if packet.is_keyframe:
                found.keyframes.append(packet.pts)
        if prune:
            layer, nobody = droppable.need(codec, bytes(packet), size)
            found.highest = max(found.highest, layer)
            if nobody:
                found.layers[packet.pts] = layer
    found.times, found.keyframes = (array("q", sorted(set(one))) for one in (found.times, found.keyframes))
    return found


class Samples:
    """The frames of a recording at `rate` a second. It is opened twice: to be read through, and then to be decoded.

    `total` is how many there are to be, None where only decoding tells; `dropped` packets were not decoded, `lost`
    frames could not be.
    """

    def __init__(self, stream: VideoStream, rate: Fraction, name: str, *, prune: bool) -> None:
        self._rate = rate
        self._all = pictures(stream, prune=prune)
        self.time_base = Fraction(stream.time_base or Fraction(1, 1000))
        times = self._all.times
        self.source_rate = rate_of(times, self.time_base)
        if self._all.untimed:
            average = stream.average_rate or stream.guessed_rate or Fraction(0)
            self.source_rate = Fraction(average)
        if not self.source_rate:
            raise Refused(f"{quoted(name)} has a single picture: hand it in as an image, or send a longer one.")
        if exceeds(rate, self.source_rate):
            raise Refused(
                f"{float(rate):g} frames a second are asked for, and {quoted(name)} has {float(self.source_rate):.5g}: ask for fewer."
            )
        self.wanted = array("q", sampled(times, end_of(times), self.time_base, rate))
        self.begin = times[0] if times else 0
        self.total: int | None = None if self._all.untimed else len(self.wanted)
        self.dropped = self.lost = 0
        if self.total == 0:
            raise Refused(
                f"{quoted(name)} is shorter than {float(1 / rate):g} s, and each frame stands for as much: ask for more a second."
            )

    def frames(self, stream: VideoStream, skip: int) -> Iterator[tuple[int, VideoFrame]]:
        """The frames from number `skip` on, each with its number among the recording's pictures."""
        return self._counted(stream, skip) if self._all.untimed else self._known(stream, skip)

    def _known(self, stream: VideoStream, skip: int) -> Iterator[tuple[int, VideoFrame]]:
        wanted = {self._all.times[number]: number for number in self.wanted[skip:]}
        if not wanted:
            return
        if skip:
            self._go_to(stream, min(wanted))
        for packet in _container(stream).demux(stream):
            if packet.size and packet.pts is not None and packet.pts not in wanted and self._all.droppable(packet.pts):
                self.dropped += 1
                continue
            for frame in _decoded(packet):
                number = wanted.pop(frame.pts, None) if frame.pts is not None else None
                if number is not None and not frame.is_corrupt:
                    yield number, frame
                elif number is not None:
                    self.lost += 1
            if not wanted:
                break
        self.lost += len(wanted)

    def _go_to(self, stream: VideoStream, time: int) -> None:
        """Go on from a keyframe, in containers that have an index; all else is decoded from the beginning."""
        container, back = _container(stream), [one for one in self._all.keyframes if one <= time][-_KEYFRAMES_BACK:]
        if len(back) == _KEYFRAMES_BACK and container.format.name.startswith(_INDEXED):
            container.seek(back[0], stream=stream, backward=True)

    def _counted(self, stream: VideoStream, skip: int) -> Iterator[tuple[int, VideoFrame]]:
        """Each frame is known for one once the next interval begins."""
        intervals: Intervals | None = None
        last: tuple[int, VideoFrame] | None = None
        count = itertools.count()
        for number, frame in enumerate(_in_order(stream)):
            if frame.pts is None:
                continue
            if intervals is None:
                self.begin = frame.pts
                intervals = Intervals(frame.pts, self.time_base, self._rate)
            if last is not None and intervals.of(frame.pts) > intervals.of(last[1].pts or 0) and next(count) >= skip:
                yield last
            last = number, frame
        if last is not None and intervals is not None and last[1].pts is not None:
            over = last[1].pts + round(1 / (self.source_rate * self.time_base)) if self.source_rate else last[1].pts
            if intervals.filled(over) > intervals.of(last[1].pts) and next(count) >= skip:
                yield last


def _container(stream: VideoStream) -> InputContainer:
    return cast("InputContainer", stream.container)


def _in_order(stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in _container(stream).demux(stream):
        yield from _decoded(packet)


def _decoded(packet: Packet[VideoStream]) -> list[VideoFrame]:
    # Damage in the middle costs the frames it hits; they are counted as lost.
    with suppress(av.error.InvalidDataError):
        return packet.decode()
    return []

"""Samples the frames of a recording at a rate, decoded once and in order. Never imported by the daemon.

First all packets are read without decoding, to know which frames are sampled and which packets no sampled frame needs:
those are not decoded. Where a packet has no time, which AVI allows, everything is decoded, and frames are counted as they
come.
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
from vidd.media.bitstream.field_pairs import FieldPairs
from vidd.media.ffmpeg import integrity
from vidd.model.sampling import Intervals, average_rate, end_time, exceeds_rate, sample_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Frames after a keyframe may need frames before it (open GOP), so decoding begins at the keyframe before.
_KEYFRAMES_BACK = 2
_INDEXED_CONTAINERS = ("mov", "matroska")
# That of 30000/1001, as whose multiple a task video can count its time.
_MOST_TICKS = 1001


@dataclass
class FrameIndex:
    """When the frames and the keyframes of a stream are shown (units of its time base, in order).

    `layers` are the temporal layers of the packets that no packet of their layer needs, by time; `highest` is the
    stream's highest layer. `untimed`: a packet had no time, and nothing else is known.
    """

    times: array[int] = field(default_factory=lambda: array("q"))
    keyframes: array[int] = field(default_factory=lambda: array("q"))
    layers: dict[int, int] = field(default_factory=dict)
    highest: int = 0
    untimed: bool = False

    def droppable(self, time: int) -> bool:
        """Whether no other frame needs the packet that is shown then."""
        return self.layers.get(time) == self.highest


def index_frames(stream: VideoStream, *, prune: bool) -> FrameIndex:
    """Read all packets of a stream; with `prune`, find those that no other frame needs."""
    index, fields = FrameIndex(), FieldPairs(stream)
    codec = stream.codec_context.codec.canonical_name
    size = integrity.length_size(codec, stream.codec_context.extradata)
    after = False
    for packet in _container(stream).demux(stream):
        if not packet.size or packet.is_discard:
            continue
        if packet.pts is None:
            return FrameIndex(untimed=True)
        # A frame of two fields is shown at the time of the first.
        alone = fields.is_single_field(packet)
        after = alone and not after
        if after or not alone:
            index.times.append(packet.pts)
            if packet.is_keyframe:
                index.keyframes.append(packet.pts)
        if prune:
            layer, is_unneeded = droppable.need(codec, bytes(packet), size)
            index.highest = max(index.highest, layer)
            if is_unneeded:
                index.layers[packet.pts] = layer
    index.times, index.keyframes = (array("q", sorted(set(times))) for times in (index.times, index.keyframes))
    return index


class FrameSampler:
    """The frames of a recording at `rate` a second. The recording is opened twice: to be indexed, and to be decoded.

    `wanted` are the numbers of the sampled frames, `total` how many there are, None where only decoding tells. `dropped`
    packets were not decoded, `lost` frames could not be decoded. `rate` is that of the samples: the recording's own, where
    that is lower.
    """

    def __init__(self, stream: VideoStream, rate: Fraction, name: str, *, prune: bool) -> None:
        self._index = index_frames(stream, prune=prune)
        self.time_base = Fraction(stream.time_base or Fraction(1, 1000))
        times = self._index.times
        stated = Fraction(stream.average_rate or stream.guessed_rate or 0)
        self.source_rate = stated if self._index.untimed else average_rate(times, self.time_base, stated)
        if not self.source_rate:
            raise Refused(f"{quoted(name)} has a single frame: send it as an image, or send a longer recording.")
        if exceeds_rate(rate, self.source_rate):
            raise Refused(
                f"The rate is {float(rate):g} frames a second, but {quoted(name)} has only {float(self.source_rate):.5g}: set a lower rate."
            )
        if rate > self.source_rate:
            self.rate = self.source_rate.limit_denominator(_MOST_TICKS)
            self.wanted = array("q", range(len(times)))
        else:
            self.rate = rate
            self.wanted = array("q", sample_frames(times, end_time(times), self.time_base, rate))
        self.begin = times[0] if times else 0
        self.total: int | None = None if self._index.untimed else len(self.wanted)
        self.dropped = self.lost = 0
        if self.total == 0:
            raise Refused(
                f"{quoted(name)} is shorter than {float(1 / rate):g} s, the time from one frame to the next: set a higher rate."
            )

    def frames(self, stream: VideoStream, skip: int) -> Iterator[tuple[int, VideoFrame]]:
        """The samples from number `skip` on, each with its number among all frames of the recording."""
        return self._untimed_frames(stream, skip) if self._index.untimed else self._indexed_frames(stream, skip)

    def _indexed_frames(self, stream: VideoStream, skip: int) -> Iterator[tuple[int, VideoFrame]]:
        wanted = {self._index.times[number]: number for number in self.wanted[skip:]}
        if not wanted:
            return
        if skip:
            self._seek(stream, min(wanted))
        for packet in _container(stream).demux(stream):
            if (
                packet.size
                and packet.pts is not None
                and packet.pts not in wanted
                and self._index.droppable(packet.pts)
            ):
                self.dropped += 1
                continue
            for frame in _decode(packet):
                number = wanted.pop(frame.pts, None) if frame.pts is not None else None
                if number is not None and not frame.is_corrupt:
                    yield number, frame
                elif number is not None:
                    self.lost += 1
            if not wanted:
                break
        self.lost += len(wanted)

    def _seek(self, stream: VideoStream, time: int) -> None:
        """Seek to a keyframe, in containers that have an index; others are decoded from the beginning."""
        container, back = (
            _container(stream),
            [keyframe for keyframe in self._index.keyframes if keyframe <= time][-_KEYFRAMES_BACK:],
        )
        if len(back) == _KEYFRAMES_BACK and container.format.name.startswith(_INDEXED_CONTAINERS):
            container.seek(back[0], stream=stream, backward=True)

    def _untimed_frames(self, stream: VideoStream, skip: int) -> Iterator[tuple[int, VideoFrame]]:
        """The samples of a stream without times: the last frame of an interval is known once the next interval begins."""
        intervals: Intervals | None = None
        last: tuple[int, VideoFrame] | None = None
        count = itertools.count()
        for number, frame in enumerate(_decode_all(stream)):
            if frame.pts is None:
                continue
            if intervals is None:
                self.begin = frame.pts
                intervals = Intervals(frame.pts, self.time_base, self.rate)
            if (
                last is not None
                and intervals.index_at(frame.pts) > intervals.index_at(last[1].pts or 0)
                and next(count) >= skip
            ):
                yield last
            last = number, frame
        if last is not None and intervals is not None and last[1].pts is not None:
            over = last[1].pts + round(1 / (self.source_rate * self.time_base)) if self.source_rate else last[1].pts
            if intervals.count_complete(over) > intervals.index_at(last[1].pts) and next(count) >= skip:
                yield last


def _container(stream: VideoStream) -> InputContainer:
    return cast("InputContainer", stream.container)


def _decode_all(stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in _container(stream).demux(stream):
        yield from _decode(packet)


def _decode(packet: Packet[VideoStream]) -> list[VideoFrame]:
    # Damage costs the frames it hits; they are counted as lost.
    with suppress(av.error.InvalidDataError):
        return packet.decode()
    return []

"""Computes when the frames of a result are decoded, from when they are shown."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from vidd.media.bitstream.packet import Packet


@dataclass(frozen=True, slots=True)
class VideoSample:
    """One coded frame: when it is shown, its data, and whether a seek may start with it."""

    pts: int
    data: Packet | bytes
    key: bool


class Timing:
    """`order` is when the frames are shown (ticks, `scale` a second), in the order they are decoded."""

    def __init__(self, order: array[int], scale: int) -> None:
        self.order, self.scale = order, scale
        self.shown = type(order)("q", sorted(order))
        self.delay = max((index - bisect_left(self.shown, pts) for index, pts in enumerate(order)), default=0)

    def packets(self, samples: Iterator[VideoSample], stream: Any, last: int) -> Iterator[tuple[float, Packet]]:
        """Packets for the muxer, each with the time it is decoded (seconds); `last` is the length of the last frame.

        Every frame is decoded before it is shown. SmartCutUnavailable if the samples are not those of `order`.
        """
        shown, delay = self.shown, self.delay
        step = max(1, shown[1] - shown[0]) if len(shown) > 1 else 1
        clock = Fraction(1, self.scale)
        index = -1
        for index, sample in enumerate(samples):
            if index >= len(self.order) or sample.pts != self.order[index]:
                raise SmartCutUnavailable("Read for the second time, the file held other packets.")
            packet = av.Packet(sample.data) if isinstance(sample.data, bytes) else sample.data
            packet.stream, packet.time_base = stream, clock
            packet.pts = sample.pts
            packet.dts = shown[index - delay] if index >= delay else shown[0] - (delay - index) * step
            where = bisect_left(shown, sample.pts)
            packet.duration = shown[where + 1] - sample.pts if where + 1 < len(shown) else last
            packet.is_keyframe = sample.key
            yield packet.dts / self.scale, packet
        if index + 1 != len(self.order):
            raise SmartCutUnavailable("Read for the second time, the file held fewer packets.")

"""When the pictures of a result are shown and decoded, for the joiner. Never imported by the daemon."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import av

from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

# Where one has no time, it is asked for, and not believed to the type checker.
Packet: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Picture:
    """One coded picture: when it is shown, its sample, and whether copying or seeking may start with it."""

    pts: int
    data: Packet | bytes
    key: bool


class Timing:
    """`order` is when the pictures are shown (ticks, `scale` a second), in the order they are decoded."""

    def __init__(self, order: array[int], scale: int) -> None:
        self.order, self.scale = order, scale
        self.shown = type(order)("q", sorted(order))
        self.delay = max((at - bisect_left(self.shown, one) for at, one in enumerate(order)), default=0)

    def packets(self, pictures: Iterator[Picture], stream: Any, last: int) -> Iterator[tuple[float, Packet]]:
        """Packets for the muxer: decoded early enough that each comes before it is shown; `last` is the last's length.

        Each comes with the time it is decoded (seconds).
        """
        shown, delay = self.shown, self.delay
        step = max(1, shown[1] - shown[0]) if len(shown) > 1 else 1
        clock = Fraction(1, self.scale)
        at = -1
        for at, picture in enumerate(pictures):
            if at >= len(self.order) or picture.pts != self.order[at]:
                raise SmartCutUnavailable("Read for the second time, the file held other packets.")
            packet = av.Packet(picture.data) if isinstance(picture.data, bytes) else picture.data
            packet.stream, packet.time_base = stream, clock
            packet.pts = picture.pts
            packet.dts = shown[at - delay] if at >= delay else shown[0] - (delay - at) * step
            where = bisect_left(shown, picture.pts)
            packet.duration = shown[where + 1] - picture.pts if where + 1 < len(shown) else last
            packet.is_keyframe = picture.key
            yield packet.dts / self.scale, packet
        if at + 1 != len(self.order):
            raise SmartCutUnavailable("Read for the second time, the file held fewer packets.")

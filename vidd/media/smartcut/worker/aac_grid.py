"""Computes where packets of audio lie, counted in samples."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from av.stream import Discard

from vidd.media.bitstream.aac import SAMPLES_PER_PACKET
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.worker.packet_scan import rewind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vidd.media.bitstream import aac
    from vidd.media.bitstream.packet import Packet

_BACK = (0.5, 5.0, 30.0, 300.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where packets lie, in samples: the first of all those near the cut, and the one after the last."""

    format: aac.Format
    first: int
    beyond: int

    def before(self, sample: int) -> int:
        """The last packet's place at or before a sample."""
        return self.first + (sample - self.first) // SAMPLES_PER_PACKET * SAMPLES_PER_PACKET

    def after(self, sample: int) -> int:
        """The first packet's place at or after a sample."""
        return self.first - (self.first - sample) // SAMPLES_PER_PACKET * SAMPLES_PER_PACKET


def place_of(packet: Packet, ticks: tuple[int, int]) -> int:
    """Where a packet lies, in samples; SmartCutUnavailable if it has no time. `ticks` are those of `ticks_of`."""
    if packet.pts is None:
        raise SmartCutUnavailable("Some audio packets have no time.")
    place: int = (packet.pts * ticks[0] + ticks[1] // 2) // ticks[1]
    return place


def ticks_of(stream: Any, rate: int) -> tuple[int, int]:
    """Samples per tick of a stream, as a fraction: plain numbers, for there are hundreds of thousands of packets."""
    samples = stream.time_base * rate
    return samples.numerator, samples.denominator


def packets_near(container: Any, stream: Any, start: Fraction) -> Iterator[Packet]:
    """The packets from the last one before `start` seconds on, or some before that."""
    for other in container.streams:
        other.discard = Discard.default if other.index == stream.index else Discard.all
    begin = stream.start_time if stream.start_time is not None else 0
    for back in _BACK:
        at = round((start - Fraction(back)) / stream.time_base)
        if at <= begin:
            rewind(container, stream)
        else:
            container.seek(at, stream=stream)
        flow = (packet for packet in container.demux(stream) if packet.size)
        packet = next(flow, None)
        if packet is None:
            return
        if packet.pts is None or packet.pts * stream.time_base <= start or at <= begin:
            yield packet
            yield from flow
            return
    # The audio starts late: what was found last is its first packet.
    rewind(container, stream)
    yield from (packet for packet in container.demux(stream) if packet.size)

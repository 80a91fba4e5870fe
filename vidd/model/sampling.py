"""Which pictures of a recording are the sampled frames: the last one of each whole interval; pure arithmetic.

At `rate` frames a second the recording is parted into intervals of 1/rate seconds from its first picture on, and of each
the picture that is shown last is taken. At a steady rate that is a multiple of it, these are the pictures k * n (counted
from 1). An interval in which no picture begins gives none, so no picture is taken twice; one that the recording
does not fill gives none either.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Times are rounded in containers, to a millisecond in Matroska.
_ROUNDING = Fraction(1, 1000)


def exceeds(rate: float | Fraction, source: float | Fraction) -> bool:
    """Whether more frames a second are asked for than a recording has, which may be known but nearly."""
    return rate > source * (1 + _ROUNDING)


class Intervals:
    """The intervals of a recording whose first picture is shown at `origin` (units of `time_base`, seconds)."""

    def __init__(self, origin: int, time_base: Fraction, rate: Fraction) -> None:
        self._origin, self._time_base, self._rate = origin, time_base, rate

    def of(self, time: int) -> int:
        """The number of the interval (from 0) in which a picture begins that is shown at `time`."""
        return int(((time - self._origin) * self._time_base + _ROUNDING) * self._rate)

    def filled(self, end: int) -> int:
        """How many intervals are over when the recording ends."""
        return self.of(end)


def sample_frames(times: Sequence[int], end: int, time_base: Fraction, rate: Fraction) -> Iterator[int]:
    """The numbers (from 0) of the pictures to take, of all that are shown at `times` (in order; units of `time_base`).

    `end` is when the last one ends.
    """
    if not times:
        return
    intervals = Intervals(times[0], time_base, rate)
    whole = intervals.filled(end)
    for number, time in enumerate(times):
        mine = intervals.of(time)
        if mine >= whole:
            return
        if number + 1 == len(times) or intervals.of(times[number + 1]) > mine:
            yield number


def end_time(times: Sequence[int]) -> int:
    """When the last picture of a recording ends: it is shown as long as the others are, on the average."""
    if len(times) < 2:
        return times[0] if times else 0
    return times[-1] + round((times[-1] - times[0]) / (len(times) - 1))


def average_rate(times: Sequence[int], time_base: Fraction) -> Fraction:
    """Pictures a second, on the average; 0 where there are fewer than two."""
    span = (times[-1] - times[0]) * time_base if len(times) > 1 else Fraction(0)
    return Fraction(len(times) - 1) / span if span > 0 else Fraction(0)

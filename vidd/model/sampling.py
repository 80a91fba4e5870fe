"""Selects the sampled frames of a recording: the last frame of each complete interval; no I/O.

For a sampling rate of `rate` frames per second, vidd divides the recording into intervals of 1/rate seconds, from its first
frame on, and takes the last frame that begins in each. If the recording has a constant rate of n * `rate`, these are the
frames n, 2n, 3n … (counted from 1). An interval in which no frame begins gives none, so no frame is taken twice. The last
interval gives none unless the recording fills it.

A recording of 29.97 frames per second is called one of 30. Whoever asks for more than a recording has, up to its rate as a
whole number, gets every frame.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Times are rounded in containers, to a millisecond in Matroska.
_ROUNDING = Fraction(1, 1000)


def exceeds_rate(rate: float | Fraction, source: float | Fraction) -> bool:
    """Whether `rate` is higher than the frame rate `source` of a recording, as measured and as people round it."""
    return rate > max(source * (1 + _ROUNDING), round(source))


class Intervals:
    """The intervals of a recording whose first frame is at `origin`. Times are in units of `time_base` (seconds)."""

    def __init__(self, origin: int, time_base: Fraction, rate: Fraction) -> None:
        self._origin, self._time_base, self._rate = origin, time_base, rate

    def index_at(self, time: int) -> int:
        """The number of the interval (from 0) in which a frame at `time` begins."""
        return int(((time - self._origin) * self._time_base + _ROUNDING) * self._rate)

    def count_complete(self, end: int) -> int:
        """How many intervals are complete if the recording ends at `end`."""
        return self.index_at(end)


def sample_frames(times: Sequence[int], end: int, time_base: Fraction, rate: Fraction) -> Iterator[int]:
    """The numbers (from 0) of the sampled frames among the frames at `times`.

    `times` are in order; they and `end`, the end of the last frame, are in units of `time_base` (seconds).
    """
    if not times:
        return
    intervals = Intervals(times[0], time_base, rate)
    complete = intervals.count_complete(end)
    for number, time in enumerate(times):
        interval = intervals.index_at(time)
        if interval >= complete:
            return
        if number + 1 == len(times) or intervals.index_at(times[number + 1]) > interval:
            yield number


def end_time(times: Sequence[int]) -> int:
    """The end of the last frame, which is taken to last as long as the average frame; 0 without frames."""
    if len(times) < 2:
        return times[0] if times else 0
    return times[-1] + round((times[-1] - times[0]) / (len(times) - 1))


def average_rate(times: Sequence[int], time_base: Fraction, stated: Fraction | None = None) -> Fraction:
    """The average number of frames per second; 0 if there are fewer than two frames.

    It is the rate that the container has `stated`, where the times agree with that but for their rounding.
    """
    span = (times[-1] - times[0]) * time_base if len(times) > 1 else Fraction(0)
    if span <= 0:
        return Fraction(0)
    intervals = len(times) - 1
    if stated and abs(intervals / stated - span) <= time_base:
        return stated
    return intervals / span

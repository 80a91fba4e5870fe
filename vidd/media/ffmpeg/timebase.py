"""Exact times: seconds as fractions, and the clock of a result in ticks. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Ticks:
    """The clock of the result: `scale` ticks a second, `finer` per tick of the source, the cut begins at `origin`."""

    scale: int
    finer: int
    origin: int

    def of(self, pts: int) -> int:
        """The time of a source frame in the result, in ticks."""
        return pts * self.finer - self.origin

    def seconds(self, pts: int) -> float:
        """The time of a source frame in the result, in seconds."""
        return self.of(pts) / self.scale


def decimal(seconds: float) -> Fraction:
    """The decimal number of seconds that was meant, not the float nearest to it (to the nanosecond)."""
    return Fraction(f"{seconds:.9f}")

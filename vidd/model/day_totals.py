"""What a daemon did on a day (UTC): jobs by the state they came to, encoding, and minutes published."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from vidd.model.job import FAILED, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENCODED, ENCODING, PUBLISHED = "encoded_ms", "encoding_ms", "published_ms"
"""The names in the memory of a day: milliseconds of media that ffmpeg made, the time that took, and media published."""


def day_of(at: datetime) -> date:
    """The day of a time in UTC."""
    return at.astimezone(UTC).date()


def space_of(day: date) -> str:
    """The space of the memory that has a day's numbers."""
    return f"day:{day.isoformat()}"


def count_moves(moves: Iterable[tuple[str, datetime, State]]) -> dict[tuple[date, State], int]:
    """The number of jobs by day and state, of (job, time, state); a job counts once for each."""
    return dict(Counter((day, state) for _, day, state in {(job, day_of(at), state) for job, at, state in moves}))


@dataclass(frozen=True, slots=True)
class Day:
    """A day's numbers. `encode_speed` (seconds of media per second) and `minutes` are None where nothing was measured."""

    day: date
    published: int
    failed: int
    encode_speed: float | None
    minutes: float | None


def make_day(day: date, moves: Mapping[tuple[date, State], int], measured: Mapping[str, str]) -> Day:
    """A day by the moves of its jobs and the numbers in its memory."""
    encoded, encoding, published = (int(measured.get(name, "0")) for name in (ENCODED, ENCODING, PUBLISHED))
    return Day(
        day,
        moves.get((day, State.PUBLISHED), 0),
        sum(moves.get((day, state), 0) for state in FAILED),
        encoded / encoding if encoding else None,
        published / 60_000 if PUBLISHED in measured else None,
    )

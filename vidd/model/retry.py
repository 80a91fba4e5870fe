"""Computes when vidd retries a failed attempt; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetryRule:
    """The limits of a series of attempts. Times are in seconds; `jitter` is the random share of a wait (0 to 1)."""

    attempts: int = 8
    first: float = 5.0
    longest: float = 3600.0
    total: float = 86400.0
    jitter: float = 0.25


def next_try(
    rule: RetryRule, *, attempt: int, since: datetime, now: datetime, after: float | None, chance: float
) -> datetime | None:
    """The time of the next attempt; None once the series has reached a limit of the rule.

    attempt: the number of failed attempts; 0 for a wait that no failure caused.
    since: when the first attempt was made.
    after: the wait in seconds that the other side asked for.
    chance: a random number in [0, 1).
    """
    if attempt >= rule.attempts or (now - since).total_seconds() >= rule.total:
        return None
    grown = min(rule.longest, rule.first * 2 ** min(max(attempt - 1, 0), 30))
    wait = grown * (1 - rule.jitter + 2 * rule.jitter * chance)
    return now + timedelta(seconds=max(wait, after or 0.0))

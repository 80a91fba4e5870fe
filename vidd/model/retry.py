"""When a failed attempt is made again: one pure function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetryRule:
    """Bounds of retrying. Times are seconds; `jitter` is the share of a wait that is random."""

    attempts: int = 8
    first: float = 5.0
    longest: float = 3600.0
    total: float = 86400.0
    jitter: float = 0.25


def next_try(
    rule: RetryRule, *, attempt: int, since: datetime, now: datetime, after: float | None, chance: float
) -> datetime | None:
    """The time of the next attempt, or None when the rule's bounds are reached.

    `attempt` is the number of attempts made (0 for a wait that is nobody's failure), `since` when the first was made, `after` the wait that
    the other side asked for, and `chance` a random number in [0, 1).
    """
    if attempt >= rule.attempts or (now - since).total_seconds() >= rule.total:
        return None
    grown = min(rule.longest, rule.first * 2 ** min(max(attempt - 1, 0), 30))
    wait = grown * (1 - rule.jitter + 2 * rule.jitter * chance)
    return now + timedelta(seconds=max(wait, after or 0.0))

"""Measures how long vidd has polled another side, without the time in which vidd did not run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAUSE = timedelta(hours=1)


def observed_for(state: Mapping[str, Any], now: datetime, interval: float) -> tuple[float, dict[str, Any]]:
    """Seconds since polling began, and the state to save with this poll at `now`.

    The measurement starts again if the last poll is much longer ago than `interval` (seconds), because the daemon was off
    in between and cannot know how long the other side took.
    """
    last_poll = state.get("looked")
    starts_again = last_poll is None or now - datetime.fromisoformat(last_poll) > _PAUSE + timedelta(
        seconds=10 * interval
    )
    since = now.isoformat() if starts_again else str(state["since"])
    return (now - datetime.fromisoformat(since)).total_seconds(), {**state, "since": since, "looked": now.isoformat()}

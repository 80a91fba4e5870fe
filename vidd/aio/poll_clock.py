"""Measures how long vidd has polled another side, without the time when vidd did not run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAUSE = timedelta(hours=1)


def observed_for(state: Mapping[str, Any], now: datetime, interval: float) -> tuple[float, dict[str, Any]]:
    """Seconds since polling began, and the state to save with this poll at `now`.

    Polling begins anew when the last poll is much longer ago than `interval` (seconds): a daemon that was off for days
    cannot say that the other side took days.
    """
    looked = state.get("looked")
    begins = looked is None or now - datetime.fromisoformat(looked) > _PAUSE + timedelta(seconds=10 * interval)
    since = now.isoformat() if begins else str(state["since"])
    return (now - datetime.fromisoformat(since)).total_seconds(), {**state, "since": since, "looked": now.isoformat()}

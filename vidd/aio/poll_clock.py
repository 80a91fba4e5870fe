"""For how long the other side's work has been watched, not counting the time when nobody looked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAUSE = timedelta(hours=1)


def observed_for(token: Mapping[str, Any], now: datetime, every: float) -> tuple[float, dict[str, Any]]:
    """Seconds since the watch began, and the token that says that it was looked at `now`.

    The watch begins anew when the last look is much longer ago than `every` (seconds): a daemon that was off for days
    cannot say that the other side took days.
    """
    looked = token.get("looked")
    begins = looked is None or now - datetime.fromisoformat(looked) > _PAUSE + timedelta(seconds=10 * every)
    since = now.isoformat() if begins else str(token["since"])
    return (now - datetime.fromisoformat(since)).total_seconds(), {**token, "since": since, "looked": now.isoformat()}

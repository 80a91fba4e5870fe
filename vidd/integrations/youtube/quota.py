"""Counts YouTube's quota per account and day before each call, so that vidd knows beforehand when it is used up.

developers.google.com/youtube/v3/determine_quota_cost: 10,000 units a day, reset at midnight Pacific time; uploads are
counted separately, 100 a day. Older projects pay 1600 units for an upload out of the common units.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from vidd.integrations.google.errors import QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.ports import Clock, Memory

COSTS: Mapping[str, int] = {
    "captions.delete": 50,
    "captions.insert": 400,
    "captions.list": 50,
    "captions.update": 450,
    "playlistItems.delete": 50,
    "playlistItems.insert": 50,
    "playlists.insert": 50,
    "thumbnails.set": 50,
    "videos.delete": 50,
    "videos.insert": 0,
    "videos.update": 50,
}
"""Units by method; every other method costs 1."""

_UNITS, _UPLOADS = "units", "uploads"


@dataclass(frozen=True)
class Quota:
    """What an account may spend a day: `daily` units and `uploads` uploads (None: as many as the units allow).

    `zone` is the time zone in which the day ends.
    """

    account: str
    daily: int
    uploads: int | None
    costs: Mapping[str, int]
    zone: str
    memory: Memory
    clock: Clock

    async def spend(self, method: str) -> None:
        """Count a call that is about to be made. Raises QuotaExceeded where the day's quota does not allow it."""
        day = self._today()
        cost = self.costs.get(method, COSTS.get(method, 1))
        if method == "videos.insert" and self.uploads is not None:
            await self._count(f"{day} {_UPLOADS}", 1, self.uploads, "uploads")
        await self._count(f"{day} {_UNITS}", cost, self.daily, "units of quota")

    async def spent(self) -> tuple[int, int]:
        """The units and the uploads spent today."""
        known = await self.memory.recall(self._space)
        day = self._today()
        return int(known.get(f"{day} {_UNITS}", "0")), int(known.get(f"{day} {_UPLOADS}", "0"))

    def exceeded(self, what: str) -> QuotaExceeded:
        """The fault that waits until the day ends."""
        now = self.clock.now()
        end = self._end()
        at = end.astimezone().strftime("%Y-%m-%d %H:%M %Z")
        sentence = f"The account {self.account} has used up {what} at YouTube: vidd will continue at {at}, when the day there ends."
        return QuotaExceeded(sentence, after=(end - now).total_seconds() + 1)

    @property
    def _space(self) -> str:
        return f"youtube quota {self.account}"

    def _today(self) -> str:
        return self.clock.now().astimezone(ZoneInfo(self.zone)).date().isoformat()

    def _end(self) -> datetime:
        zone = ZoneInfo(self.zone)
        tomorrow = self.clock.now().astimezone(zone).date() + timedelta(days=1)
        return datetime.combine(tomorrow, time(), zone)

    async def _count(self, name: str, by: int, most: int, what: str) -> None:
        total = await self.memory.count(self._space, name, by)
        if total == by:
            await self._forget_other_days(name[:10])
        if total > most:
            await self.memory.count(self._space, name, -by)
            raise self.exceeded(f"the {most} {what} of the day")

    async def _forget_other_days(self, day: str) -> None:
        known = await self.memory.recall(self._space)
        await self.memory.remember(self._space, {name: None for name in known if not name.startswith(day)})

"""Bounded places for work that would crowd the machine, given to the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count


class Pool:
    """`size` places; a waiter with a higher priority goes first, an earlier one among equals."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = count()

    async def acquire(self, priority: int) -> None:
        """Wait for a place. A cancelled waiter leaves none taken."""
        if self.used < self.size and not self._waiters:
            self.used += 1
            return
        place = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (-priority, next(self._count), place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Hand the place to the next waiter, or free it."""
        self.used -= 1
        self._fill()

    def resize(self, size: int) -> None:
        """Have more or fewer places; places that are held stay held."""
        self.size = size
        self._fill()

    def _fill(self) -> None:
        while self._waiters and self.used < self.size:
            place = heapq.heappop(self._waiters)[2]
            if not place.done():
                self.used += 1
                place.set_result(None)

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(not place.done() for _, _, place in self._waiters)


class Slots:
    """The named limits of the settings."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.pools = {name: Pool(size) for name, size in limits.items()}

    def resize(self, limits: Mapping[str, int]) -> None:
        """Other limits from now on; places that are held stay held."""
        for name, size in limits.items():
            self.pools[name].resize(size)

    @asynccontextmanager
    async def hold(self, name: str | None, priority: int) -> AsyncIterator[None]:
        """Hold one place of this limit; None needs no place."""
        if name is None:
            yield
            return
        slot = self.pools[name]
        await slot.acquire(priority)
        try:
            yield
        finally:
            slot.release()

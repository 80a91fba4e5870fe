"""Bounds the concurrency of work that would crowd the machine; the highest priority gets a slot first, then who arrived first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count


class Pool:
    """`size` slots. The waiter with the highest priority gets a slot first; of equals the one whose job arrived first.

    The ids of jobs sort by arrival.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self._waiters: list[tuple[int, str, int, asyncio.Future[None]]] = []
        self._count = count()

    async def acquire(self, priority: int, job_id: str = "") -> None:
        """Wait for a slot. A cancelled waiter holds none."""
        if self.used < self.size and not self._waiters:
            self.used += 1
            return
        slot = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (-priority, job_id, next(self._count), slot))
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give the slot to the next waiter, or free it."""
        self.used -= 1
        self._fill()

    def resize(self, size: int) -> None:
        """Change the number of slots. Slots that are held stay held."""
        self.size = size
        self._fill()

    def _fill(self) -> None:
        while self._waiters and self.used < self.size:
            slot = heapq.heappop(self._waiters)[-1]
            if not slot.done():
                self.used += 1
                slot.set_result(None)

    @property
    def waiting(self) -> int:
        """The number of waiters."""
        return sum(not slot.done() for *_, slot in self._waiters)

    def before(self, job_id: str) -> int | None:
        """How many waiters get a slot before a job; None if the job does not wait."""
        waiting = [waiter for waiter in sorted(self._waiters, key=lambda waiter: waiter[:3]) if not waiter[3].done()]
        return next((place for place, waiter in enumerate(waiting) if waiter[1] == job_id), None)


class Slots:
    """The pools of `[limits]`, by name."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.pools = {name: Pool(size) for name, size in limits.items()}

    def resize(self, limits: Mapping[str, int]) -> None:
        """Change the limits. Slots that are held stay held."""
        for name, size in limits.items():
            self.pools[name].resize(size)

    @asynccontextmanager
    async def hold(self, name: str | None, priority: int, job_id: str) -> AsyncIterator[None]:
        """Hold a slot of the pool with this name for a job; None needs no slot."""
        if name is None:
            yield
            return
        pool = self.pools[name]
        await pool.acquire(priority, job_id)
        try:
            yield
        finally:
            pool.release()

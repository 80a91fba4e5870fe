"""The embedded queue of job ids, in memory: highest priority first, oldest first among equals."""

from __future__ import annotations

import asyncio
from itertools import count

from vidd.settings.types import Options


class Settings(Options):
    """The settings of `[queue] kind = "local"`: there are none."""


class LocalQueue:
    """`ports.Queue` over an asyncio.PriorityQueue."""

    def __init__(self) -> None:
        self._queue: asyncio.PriorityQueue[tuple[int, int, str]] = asyncio.PriorityQueue()
        self._waiting: dict[str, tuple[int, int]] = {}
        self._count = count()

    def put(self, job_id: str, priority: int) -> None:
        position = self._waiting.get(job_id)
        if position is not None and position[0] == -priority:
            return
        # An entry with an earlier priority of the same id stays in the queue; `get` skips it.
        self._waiting[job_id] = (-priority, next(self._count))
        self._queue.put_nowait((*self._waiting[job_id], job_id))

    async def get(self) -> str:
        while True:
            *position, job_id = await self._queue.get()
            if self._waiting.get(job_id) == tuple(position):
                del self._waiting[job_id]
                return job_id

    def size(self) -> int:
        return len(self._waiting)


def make(_options: Settings) -> LocalQueue:
    """An empty queue."""
    return LocalQueue()

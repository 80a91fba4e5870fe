"""The embedded queue of job ids, in memory: highest priority first; of equals the job that arrived first, also after it waited."""

from __future__ import annotations

import asyncio

from vidd.settings.types import Options


class Settings(Options):
    """The settings of `[queue] kind = "local"`: there are none."""


class LocalQueue:
    """`ports.Queue` over an asyncio.PriorityQueue."""

    def __init__(self) -> None:
        # Ids sort by arrival.
        self._queue: asyncio.PriorityQueue[tuple[int, str]] = asyncio.PriorityQueue()
        self._waiting: dict[str, int] = {}

    def put(self, job_id: str, priority: int) -> None:
        if self._waiting.get(job_id) == priority:
            return
        # An entry with an earlier priority of the same id stays in the queue; `get` skips it.
        self._waiting[job_id] = priority
        self._queue.put_nowait((-priority, job_id))

    async def get(self) -> str:
        while True:
            negative, job_id = await self._queue.get()
            if self._waiting.get(job_id) == -negative:
                del self._waiting[job_id]
                return job_id

    def size(self) -> int:
        return len(self._waiting)


def make(_options: Settings) -> LocalQueue:
    """An empty queue."""
    return LocalQueue()

"""The embedded queue: ids in this process, most urgent first, oldest first among equals."""

from __future__ import annotations

import asyncio
from itertools import count

from vidd.options import Options


class Settings(Options):
    """The settings of `[queue] kind = "local"`: none."""


class LocalQueue:
    """`ports.Queue` over an asyncio.PriorityQueue."""

    def __init__(self) -> None:
        self._queue: asyncio.PriorityQueue[tuple[int, int, str]] = asyncio.PriorityQueue()
        self._waiting: set[str] = set()
        self._count = count()

    def put(self, job_id: str, priority: int) -> None:
        if job_id not in self._waiting:
            self._waiting.add(job_id)
            self._queue.put_nowait((-priority, next(self._count), job_id))

    async def get(self) -> str:
        job_id = (await self._queue.get())[2]
        self._waiting.discard(job_id)
        return job_id

    def size(self) -> int:
        return self._queue.qsize()


def make(_options: Settings) -> LocalQueue:
    """An empty queue."""
    return LocalQueue()

"""Batches concurrent requests: requests that come while a batch runs go together into the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from vidd.errors import Fault

Q = TypeVar("Q")
R = TypeVar("R")


class Batcher(Generic[Q, R]):
    """Calls `work` with batches of requests. `work` returns a result or a fault for each request, in the same order."""

    def __init__(self, work: Callable[[Sequence[Q]], Awaitable[Sequence[R | Fault]]]) -> None:
        self._work = work
        self._lock = asyncio.Lock()
        self._waiting: list[tuple[Q, asyncio.Future[R]]] = []

    async def ask(self, request: Q) -> R:
        """The result of one request. Raises the fault of this request or of its whole batch."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        entry = (request, future)
        self._waiting.append(entry)
        try:
            async with self._lock:
                if not future.done():
                    await self._run_batch()
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        return await future

    async def _run_batch(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            results = await self._work([request for request, _ in batch])
        except Fault as fault:
            results = [fault] * len(batch)
        except BaseException:
            # If the caller is cancelled, another caller in the batch runs it instead.
            self._waiting = [*batch, *self._waiting]
            raise
        for (_, future), result in zip(batch, results, strict=True):
            if future.cancelled():
                continue
            if isinstance(result, Fault):
                future.set_exception(result)
                future.exception()
            else:
                future.set_result(result)

"""Those who come while one is at work are served together by the next: two hundred rows in one writing, not in two hundred."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from vidd.errors import Fault

W = TypeVar("W")
R = TypeVar("R")


class Batcher(Generic[W, R]):
    """`work` serves all wishes it is given, and answers each with its result or its own fault."""

    def __init__(self, work: Callable[[Sequence[W]], Awaitable[Sequence[R | Fault]]]) -> None:
        self._work = work
        self._lock = asyncio.Lock()
        self._waiting: list[tuple[W, asyncio.Future[R]]] = []

    async def ask(self, wish: W) -> R:
        """Have a wish fulfilled; raises the fault of the whole work, or of this wish."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        entry = (wish, future)
        self._waiting.append(entry)
        try:
            async with self._lock:
                if not future.done():
                    await self._serve()
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        return await future

    async def _serve(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            results = await self._work([wish for wish, _ in batch])
        except Fault as fault:
            results = [fault] * len(batch)
        except BaseException:
            # Who was cancelled must not take the others along: one of them goes on.
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

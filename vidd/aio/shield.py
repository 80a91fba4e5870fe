"""Work that must not be cut in two by a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def shield_to_end(awaitable: Awaitable[T]) -> T:
    """Await something to its end even while being cancelled; the cancellation is raised after it."""
    task = asyncio.ensure_future(awaitable)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result


async def in_thread(call: Callable[..., T], *args: object) -> T:
    """Like asyncio.to_thread, but a cancelled caller continues only after the thread has ended.

    Otherwise a file could be closed, and its descriptor reused, while a thread still writes to it.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call, *args))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()
        raise


async def shield_for(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Await something; a cancellation waits up to `seconds` for its end, then cancels it too."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task], timeout=seconds)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        raise

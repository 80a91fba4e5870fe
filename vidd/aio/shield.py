"""Protects work from being interrupted by a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def shield_to_end(awaitable: Awaitable[T]) -> T:
    """Await `awaitable` to its end, even if the caller is cancelled; raises the CancelledError after that.

    The cancellation wins over a fault of `awaitable`: a caller that retries on the fault would never end.
    """
    task = asyncio.ensure_future(awaitable)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from None if task.cancelled() else task.exception()
    return task.result()


async def in_thread(call: Callable[..., T], *args: object) -> T:
    """Like asyncio.to_thread, but a cancelled caller waits until the thread has ended.

    Otherwise the caller could close a file while the thread still writes to its descriptor.
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
    """Await `work`. If the caller is cancelled, `work` gets up to `seconds` to end before it is cancelled too."""
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

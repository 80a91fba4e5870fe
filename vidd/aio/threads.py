"""Blocking calls on files, off the loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(do: Callable[..., T], *args: object) -> T:
    """As asyncio.to_thread, but a cancelled caller goes on only after the thread has ended.

    Otherwise a file could be closed, and its number given to another file, under a thread that still writes to it.
    """
    work = asyncio.ensure_future(asyncio.to_thread(do, *args))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()
        raise

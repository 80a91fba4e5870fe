"""Waits for a time or an event, whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def sleep_or_event(sleep: Awaitable[None], event: asyncio.Event) -> None:
    """Return when `sleep` ends or `event` is set; raises what `sleep` raises."""
    waits = [asyncio.ensure_future(sleep), asyncio.ensure_future(event.wait())]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in done:
            wait.result()
    finally:
        for wait in waits:
            wait.cancel()
        # Awaited one by one, a cancellation of this task would look like a cancellation of the awaited one.
        await asyncio.wait(waits)

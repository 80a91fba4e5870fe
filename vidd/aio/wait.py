"""How a source rests between two looks."""

from __future__ import annotations

import asyncio

from vidd.ports import SourceContext


async def sleep_or_event(context: SourceContext, bell: asyncio.Event, seconds: float) -> None:
    """Until the bell rings, somebody asks, or the time is over."""
    waits = [asyncio.ensure_future(context.pause(seconds)), asyncio.ensure_future(bell.wait())]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for one in waits:
            one.cancel()
        await asyncio.wait(waits)

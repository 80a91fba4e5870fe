"""How a source rests between two looks."""

from __future__ import annotations

import asyncio

from vidd.ports import Inlet


async def rest(inlet: Inlet, bell: asyncio.Event, seconds: float) -> None:
    """Until the bell rings, somebody asks, or the time is over."""
    waits = [asyncio.ensure_future(inlet.pause(seconds)), asyncio.ensure_future(bell.wait())]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for one in waits:
            one.cancel()
        await asyncio.wait(waits)

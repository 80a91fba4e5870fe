"""Waiting for a time or a sign, whichever is first."""

from __future__ import annotations

import asyncio

from vidd.ports import Clock


async def sleep_or_event(clock: Clock, seconds: float, sign: asyncio.Event) -> None:
    """Return after so many seconds, or as soon as `sign` is set."""
    tasks = {asyncio.create_task(clock.sleep(seconds)), asyncio.create_task(sign.wait())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # Not awaited one by one: that would take this task's own cancel for theirs.
        await asyncio.wait(tasks)

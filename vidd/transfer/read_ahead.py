"""A file on its way out, piece by piece: the next one is read while the one before goes over the line.

What was made a moment ago is still in memory (the page cache), and reading it there costs less than asking a thread to.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vidd.aio.shield import in_thread
from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Larger ones are taken from the system and given back each time, page by page.
_CACHED = 2**18
_FROM_DISK = 2**20


async def pieces(file: int, first: int, end: int, *, name: str) -> AsyncIterator[bytes | bytearray]:
    """The bytes from `first` to before `end` of an open file; Refused where it has become shorter than that."""
    # A number of its own: whoever sends may close his before the read that is ahead has ended.
    mine = os.dup(file)

    def read(at: int) -> bytearray | asyncio.Task[bytes]:
        cached = _cached(mine, min(_CACHED, end - at), at)
        if cached is not None:
            return cached
        return asyncio.create_task(in_thread(os.pread, mine, min(_FROM_DISK, end - at), at))

    ahead, unshared = read(first), 0
    try:
        while first < end:
            data = await ahead if isinstance(ahead, asyncio.Task) else ahead
            if not data:
                raise Refused(f"{name!a} became shorter while it was sent: run the job anew.")
            first += len(data)
            if first < end:
                ahead = read(first)
            yield data
            # Where neither disk nor line ever makes it wait, others have their turn all the same.
            unshared += len(data)
            if unshared >= _FROM_DISK:
                unshared = 0
                await asyncio.sleep(0)
    finally:
        if isinstance(ahead, asyncio.Task):
            with suppress(OSError):
                await ahead
        os.close(mine)


def _cached(file: int, size: int, at: int) -> bytearray | None:
    """What is in memory of a stretch, at least its beginning; None where the disk would have to be waited for."""
    data = bytearray(size)
    try:
        count = os.preadv(file, [data], at, os.RWF_NOWAIT)
    except OSError:
        # It is not there, or this file system does not tell: the thread reads it, and says what else is wrong.
        return None
    del data[count:]
    return data

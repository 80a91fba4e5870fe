"""Reads a file that is being sent, in chunks: the next chunk is read while the one before goes out.

A file made a moment ago is still in the page cache; reading it there costs less than asking a thread to.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The allocator takes larger buffers from the system and gives them back each time, page by page.
_CACHED_CHUNK = 2**18
_DISK_CHUNK = 2**20


async def read_chunks(file: int, start: int, end: int, *, name: str) -> AsyncIterator[bytes | bytearray]:
    """Yield the bytes from `start` to before `end` of an open file; Refused if the file has become shorter than that."""
    # A descriptor of its own: the caller may close the file before the read that is ahead has ended.
    own = os.dup(file)

    def read(offset: int) -> bytearray | asyncio.Task[bytes]:
        cached = _read_cached(own, min(_CACHED_CHUNK, end - offset), offset)
        if cached is not None:
            return cached
        return asyncio.create_task(in_thread(os.pread, own, min(_DISK_CHUNK, end - offset), offset))

    ahead, since_yielding = read(start), 0
    try:
        while start < end:
            chunk = await ahead if isinstance(ahead, asyncio.Task) else ahead
            if not chunk:
                raise Refused(
                    f"The file {name!a} became shorter while vidd sent it: run the job anew.", code=FaultCode.CONFLICT
                )
            start += len(chunk)
            if start < end:
                ahead = read(start)
            yield chunk
            # If neither disk nor line ever makes this task wait, other tasks must have their turn all the same.
            since_yielding += len(chunk)
            if since_yielding >= _DISK_CHUNK:
                since_yielding = 0
                await asyncio.sleep(0)
    finally:
        if isinstance(ahead, asyncio.Task):
            with suppress(OSError):
                await ahead
        os.close(own)


def _read_cached(file: int, size: int, offset: int) -> bytearray | None:
    """At least the first of these bytes, from the page cache; None if the disk would have to be waited for."""
    data = bytearray(size)
    try:
        count = os.preadv(file, [data], offset, os.RWF_NOWAIT)
    except OSError:
        # Not in the cache, or the file system cannot tell: the thread reads it, and reports any other error.
        return None
    del data[count:]
    return data

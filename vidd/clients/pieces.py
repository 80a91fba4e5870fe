"""A file on its way out, piece by piece: the next one is read while the one before goes over the line."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vidd.clients.threads import in_thread
from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PIECE = 2**20


async def pieces(file: int, first: int, end: int, *, name: str) -> AsyncIterator[bytes]:
    """The bytes from `first` to before `end` of an open file; Refused where it has become shorter than that."""
    # A number of its own: whoever sends may close his before the read that is ahead has ended.
    mine = os.dup(file)

    def read(at: int) -> asyncio.Task[bytes]:
        return asyncio.create_task(in_thread(os.pread, mine, min(_PIECE, end - at), at))

    ahead = read(first)
    try:
        while first < end:
            data = await ahead
            if not data:
                raise Refused(f"{name!a} became shorter while it was sent: run the job anew.")
            first += len(data)
            if first < end:
                ahead = read(first)
            yield data
    finally:
        with suppress(OSError):
            await ahead
        os.close(mine)

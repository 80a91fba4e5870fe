"""Make a file hold what another one does, the cheapest way the disk knows, and sum it on the way."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vidd.aio.threads import in_thread
from vidd.files.clone import cloned, shared

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 4 * 2**20


async def fill(
    source: Path, part: Path, moved: Callable[[int], None], *, own: bool = False, durable: bool = True
) -> tuple[int, str]:
    """Size and SHA-256 of what `part` then holds; `moved` is told of every piece.

    With `own` it is no second name of the same file, which whoever writes into one would write into both. Without
    `durable` it is not synced.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        part.unlink()
    linked = await in_thread(cloned if own else shared, source, part)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reading, part.open("rb" if linked else "wb") as writing:
        while chunk := await in_thread(reading.read, _CHUNK):
            await in_thread(_take, chunk, digest.update, None if linked else writing.write)
            size += len(chunk)
            moved(len(chunk))
        if durable:
            await in_thread(_sync, writing.fileno(), writing.flush)
    return size, digest.hexdigest()


def _take(chunk: bytes, digest: Callable[[bytes], object], write: Callable[[bytes], object] | None) -> None:
    digest(chunk)
    if write:
        write(chunk)


def _sync(handle: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(handle)

"""Copies local files: as a clone if the file system can, else as a hard link or byte by byte."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vidd.aio.shield import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CLONE = 0x40049409  # FICLONE of linux/fs.h
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EINVAL, errno.ENOTTY}
_CHUNK = 4 * 2**20


def clone(source: Path, target: Path) -> bool:
    """Make `target` a clone (reflink) of `source`; False if the file system cannot.

    A clone shares the blocks of `source`, but unlike a hard link it keeps its bytes when somebody writes into `source`.
    """
    try:
        with source.open("rb") as reading, target.open("xb") as writing:
            fcntl.ioctl(writing.fileno(), _CLONE, reading.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def lacks_links(error: OSError) -> bool:
    """Whether the error means that the file system cannot make this hard link."""
    return error.errno in _NO_LINKS


def clone_or_link(source: Path, target: Path) -> bool:
    """Make `target` a clone of `source`, or else a hard link; False if the file system can do neither."""
    if clone(source, target):
        return True
    try:
        target.hardlink_to(source)
    except OSError as error:
        if not lacks_links(error):
            raise
        return False
    return True


async def copy_with_digest(
    source: Path, part: Path, moved: Callable[[int], None], *, own: bool = False, durable: bool = True
) -> tuple[int, str]:
    """Copy `source` to `part` in the cheapest way; returns its size in bytes and its SHA-256 in hex.

    moved: called with the number of bytes of every chunk.
    own: never make `part` a hard link of `source`.
    durable: sync `part` to the disk.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        part.unlink()
    linked = await in_thread(clone if own else clone_or_link, source, part)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reading, part.open("rb" if linked else "wb") as writing:
        while chunk := await in_thread(reading.read, _CHUNK):
            await in_thread(_copy_chunk, chunk, digest.update, None if linked else writing.write)
            size += len(chunk)
            moved(len(chunk))
        if durable:
            await in_thread(_sync, writing.fileno(), writing.flush)
    return size, digest.hexdigest()


def _copy_chunk(chunk: bytes, digest: Callable[[bytes], object], write: Callable[[bytes], object] | None) -> None:
    digest(chunk)
    if write:
        write(chunk)


def _sync(handle: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(handle)

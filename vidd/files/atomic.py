"""Atomic writes: a temporary name while a file is made, then a rename that survives a power cut."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def temporary_path(final: Path) -> Path:
    """A temporary name beside the final one, never used before; removes what a killed run left of the same file.

    A fresh name each time, because an ffmpeg that is just being killed may still write to its own.
    """
    for left in final.parent.glob(f".{final.stem}.*.part{final.suffix}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    return final.with_name(f".{final.stem}.{secrets.token_hex(4)}.part{final.suffix}")


@contextmanager
def temporary_directory(part: Path) -> Iterator[Path]:
    """A directory beside a temporary file, for its pieces; `temporary_path` removes what a killed run left."""
    directory = part.with_name(f".{part.name.lstrip('.')}.room")
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def commit(part: Path, final: Path) -> None:
    """Rename a checked file into place, so that it is there, whole, after a power cut too."""
    await asyncio.to_thread(sync, part)
    part.rename(final)
    await asyncio.to_thread(sync, final.parent)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

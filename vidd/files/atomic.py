"""Writes files atomically: under a temporary name first, then by a rename that survives a power cut."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vidd.files.removal import remove

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def temporary_path(final: Path) -> Path:
    """A new temporary path beside `final`; removes the temporary files that a killed run left of the same file.

    The name is new each time, because an ffmpeg that is just being killed may still write to its own.
    """
    for leftover in final.parent.glob(f".{final.stem}.*.part{final.suffix}*"):
        remove(leftover, ignore_errors=True)
    return final.with_name(f".{final.stem}.{secrets.token_hex(4)}.part{final.suffix}")


@contextmanager
def temporary_directory(part: Path) -> Iterator[Path]:
    """A directory beside the temporary file `part`, removed at the end; `temporary_path` removes one that a killed run left."""
    directory = part.with_name(f".{part.name.lstrip('.')}.room")
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def commit(part: Path, final: Path) -> None:
    """Rename a checked file to its final path, so that it is complete or missing even after a power cut."""
    await asyncio.to_thread(sync, part)
    part.rename(final)
    await asyncio.to_thread(sync, final.parent)


def sync(path: Path) -> None:
    """Make the bytes of a file, or the names in a directory, durable (fsync)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

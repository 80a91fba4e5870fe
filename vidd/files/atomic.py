"""The temporary name of what is being made, and the way it gets its own."""

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


def part_of(final: Path) -> Path:
    """A temporary name beside the final one, never used before; what a killed run left of the same file is removed.

    Never used before, because an ffmpeg that is just being killed may still write to its own.
    """
    for left in final.parent.glob(f".{final.stem}.*.part{final.suffix}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    return final.with_name(f".{final.stem}.{secrets.token_hex(4)}.part{final.suffix}")


@contextmanager
def room_of(part: Path) -> Iterator[Path]:
    """A directory beside a part, for the pieces that it is made of; `part_of` removes what a killed run left."""
    room = part.with_name(f".{part.name.lstrip('.')}.room")
    room.mkdir()
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


async def put_in_place(part: Path, final: Path) -> None:
    """Give a checked file its name, so that it is there, whole, after a power cut too."""
    await asyncio.to_thread(_synced, part)
    part.rename(final)
    await asyncio.to_thread(_synced, final.parent)


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

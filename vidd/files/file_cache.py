"""Caches files that many jobs use, such as an intro in the format of a conference's recordings."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from vidd.files.atomic import commit, temporary_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_MAX_FILES = 32
"""The most files with one suffix in a directory; vidd removes the least recently used ones."""


class FileCache:
    """Makes each cached file once; a second caller waits for the first. Get it from `Shared`."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def provide(self, cached: Path, path: Path, make: Callable[[Path], Awaitable[None]]) -> None:
        """Link the cached file `cached` to `path`; `make(part)` writes it to a temporary path if it is missing.

        `path` stays if `cached` is removed later.
        """
        lock = self._locks.setdefault(cached, asyncio.Lock())
        async with lock:
            try:
                _link(cached, path)
            except FileNotFoundError:
                cached.parent.mkdir(parents=True, exist_ok=True)
                part = temporary_path(cached)
                try:
                    await make(part)
                    await commit(part, cached)
                finally:
                    part.unlink(missing_ok=True)
                _link(cached, path)
                _remove_oldest(cached.parent, cached.suffix)


def _link(cached: Path, path: Path) -> None:
    os.utime(cached)
    try:
        os.link(cached, path)
    except FileNotFoundError:
        raise
    except OSError:
        # `path` is on another file system, or on one without hard links.
        shutil.copyfile(cached, path)


def _remove_oldest(directory: Path, suffix: str) -> None:
    aged = []
    for path in directory.glob(f"[!.]*{suffix}"):
        with suppress(FileNotFoundError):
            aged.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(aged)[:-_MAX_FILES]:
        path.unlink(missing_ok=True)

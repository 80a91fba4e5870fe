"""Files that are made once and used by many jobs, such as a sting in the format of a conference's recordings."""

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

_KEPT = 32
"""How many files stay; what was used longest ago goes first."""
_making: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()


async def made_once(kept: Path, wanted: Path, make: Callable[[Path], Awaitable[None]]) -> None:
    """Put the file `kept`, made by `make(path)` where it is not there yet, to the place `wanted` as well.

    Whoever comes while another makes it waits for that. `wanted` stays whatever becomes of `kept`.
    """
    making = _making.setdefault(kept, asyncio.Lock())
    async with making:
        try:
            _taken(kept, wanted)
        except FileNotFoundError:
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = temporary_path(kept)
            try:
                await make(part)
                await commit(part, kept)
            finally:
                part.unlink(missing_ok=True)
            _taken(kept, wanted)
            _tidy(kept.parent, kept.suffix)


def _taken(kept: Path, wanted: Path) -> None:
    os.utime(kept)
    try:
        os.link(kept, wanted)
    except FileNotFoundError:
        raise
    except OSError:
        # Another file system, or one without links.
        shutil.copyfile(kept, wanted)


def _tidy(directory: Path, suffix: str) -> None:
    aged = []
    for path in directory.glob(f"[!.]*{suffix}"):
        with suppress(FileNotFoundError):
            aged.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(aged)[:-_KEPT]:
        path.unlink(missing_ok=True)

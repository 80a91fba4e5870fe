"""The arrival of a local file: the same key whoever saw it, the folder's watcher or a person who submits it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vidd.model.job import Arrival

if TYPE_CHECKING:
    from pathlib import Path


def file_arrival(path: Path, *, size: int, mtime_ns: int, priority: int = 0, pipeline: str | None = None) -> Arrival:
    """`path` is absolute and free of symbolic links. A file that is written anew arrives anew."""
    # The URI keeps every byte of a name that is not UTF-8; the name itself is for people, and must be text.
    location = path.as_uri()
    return Arrival(
        key=f"file:{location.removeprefix('file://')}:{size}:{mtime_ns}",
        location=location,
        name=os.fsencode(path.name).decode(errors="backslashreplace"),
        facts={"size": size, "mtime_ns": mtime_ns},
        priority=priority,
        pipeline=pipeline,
    )

"""Makes the arrival of a local file, with the same key for the folder's watcher and for a person who submits the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vidd.model.job import Arrival

if TYPE_CHECKING:
    from pathlib import Path


def file_arrival(path: Path, *, size: int, mtime_ns: int, priority: int = 0, pipeline: str | None = None) -> Arrival:
    """The arrival of the file at `path` (absolute, without symbolic links), of `size` bytes.

    A file that was written again has another key, so it arrives again.
    """
    # The URI keeps every byte of a name that is not UTF-8. People read the name, so it must be text.
    location = path.as_uri()
    return Arrival(
        key=f"file:{location.removeprefix('file://')}:{size}:{mtime_ns}",
        location=location,
        name=os.fsencode(path.name).decode(errors="backslashreplace"),
        facts={"size": size, "mtime_ns": mtime_ns},
        priority=priority,
        pipeline=pipeline,
    )

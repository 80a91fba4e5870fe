"""The arrival of a local file: the same key whoever saw it, the folder's watcher or a person who submits it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vidd.model.job import Arrival

if TYPE_CHECKING:
    from pathlib import Path


def file_arrival(path: Path, stat: os.stat_result, *, priority: int = 0) -> Arrival:
    """`path` is absolute. Path, size and time of change make the key: a file written anew arrives anew."""
    location = path.as_uri()
    facts = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    return Arrival(f"{location}|{stat.st_size}|{stat.st_mtime_ns}", location, path.name, facts, priority)

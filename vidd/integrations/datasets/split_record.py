"""What objects of a data set were made of, so that nothing is made or sent twice.

There is a file for each task: of every object what it was made of (a fingerprint), and its size and sum. That is true for
ever, whether the object is in the bucket or not; whether it is, only a listing tells. So it does not matter when whoever
keeps these files is killed, and when all of them are lost, everything is made once more and found to be there.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidd.files.atomic import sync
from vidd.files.disk_space import retry_if_full
from vidd.integrations.aws.s3_tree import ListedObject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WHOLE = "whole"
_SHAPE = 1


@dataclass
class Page:
    """One task's. `made` has fingerprint, size and sum by key; `sizes` the pictures' width and height by frame."""

    made: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    shares: list[float] | None = None

    def is_made(self, key: str, fingerprint: str) -> ListedObject | None:
        """The object that was made of this, as a listing would show it."""
        found = self.made.get(key)
        return ListedObject(found[1], found[2]) if found is not None and found[0] == fingerprint else None


class Ledger:
    """The files of one version, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def tasks(self) -> list[str]:
        """The tasks that have a page."""
        names = [path.stem for path in self._directory.glob("*.json")] if self._directory.is_dir() else []
        return sorted(name.removeprefix("task-") for name in names if name.startswith("task-"))

    def _path(self, task: str) -> Path:
        return self._directory / (f"{WHOLE}.json" if task == WHOLE else f"task-{task}.json")

    def read(self, task: str) -> Page:
        """A page; an empty one where there is none that can be read."""
        try:
            data: Mapping[str, Any] = json.loads(self._path(task).read_text())
            if data["shape"] != _SHAPE:
                return Page()
            made = {key: (value[0], int(value[1]), value[2]) for key, value in data["made"].items()}
            sizes = {int(number): (int(size[0]), int(size[1])) for number, size in data["sizes"].items()}
            return Page(made, sizes, data["shares"])
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return Page()

    def write(self, task: str, page: Page) -> None:
        """Keep a page, whole or not at all."""
        with retry_if_full():
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._path(task)
            part = path.with_suffix(".part")
            with part.open("w") as file:
                json.dump({"shape": _SHAPE, "made": page.made, "sizes": page.sizes, "shares": page.shares}, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync(self._directory)

    def forget(self, task: str) -> None:
        """Drop a page."""
        self._path(task).unlink(missing_ok=True)

"""Records what the objects of a data set were made of, so that vidd makes and sends nothing twice.

There is a file for each task: a fingerprint of what each object was made of, and its size and checksum. That stays true
whether or not the object is in the bucket; only a listing tells the latter. A kill at any moment does no harm, and when
all records are lost, vidd makes everything once more and finds that it is there.
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

DIRECTORY = "data-sets"
"""The directory of all records, in the state directory."""

EXPORTS = "whole"
"""The name, in place of a task's, of the record of what is made of a whole version: its exports."""

_FORMAT = 1


@dataclass
class TaskRecord:
    """`made` has (fingerprint, size, checksum) by key; `sizes` the width and height of frames; `shares` those of the parts."""

    made: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    shares: list[float] | None = None

    def find(self, key: str, fingerprint: str) -> ListedObject | None:
        """The object that was made of this, as a listing would show it."""
        found = self.made.get(key)
        return ListedObject(found[1], found[2]) if found is not None and found[0] == fingerprint else None


class BuildRecord:
    """The records of one version, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def tasks(self) -> list[str]:
        """The tasks that have a record."""
        names = [path.stem for path in self._directory.glob("*.json")] if self._directory.is_dir() else []
        return sorted(name.removeprefix("task-") for name in names if name.startswith("task-"))

    def _path(self, task: str) -> Path:
        return self._directory / (f"{EXPORTS}.json" if task == EXPORTS else f"task-{task}.json")

    def read(self, task: str) -> TaskRecord:
        """A task's record; an empty one where there is none that can be read."""
        try:
            data: Mapping[str, Any] = json.loads(self._path(task).read_text())
            if data["shape"] != _FORMAT:
                return TaskRecord()
            made = {key: (row[0], int(row[1]), row[2]) for key, row in data["made"].items()}
            sizes = {int(number): (int(size[0]), int(size[1])) for number, size in data["sizes"].items()}
            return TaskRecord(made, sizes, data["shares"])
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return TaskRecord()

    def write(self, task: str, record: TaskRecord) -> None:
        """Write a task's record, in one move."""
        data = {"shape": _FORMAT, "made": record.made, "sizes": record.sizes, "shares": record.shares}
        with retry_if_full():
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._path(task)
            part = path.with_suffix(".part")
            with part.open("w") as file:
                json.dump(data, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync(self._directory)

    def delete(self, task: str) -> None:
        """Delete a task's record."""
        self._path(task).unlink(missing_ok=True)

"""The frames of a recording on the disk, task by task; what is whole of an earlier run stays. Standard library only.

A task is a directory of its own, made under another name and renamed once all of it is there. Beside them lie the rows
of the manifest, a file for each task, which is written first: a task without its rows does not count.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from vidd.model.frame_manifest import Sample, Task, task_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TASKS, ROWS = "tasks", "rows"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where tasks of `per_task` frames are put, and how the recording is called in their names."""

    room: Path
    name: str
    per_task: int

    def called(self, number: int) -> str:
        """What the task of this number is called."""
        return task_name(number, self.name)

    def begin(self, number: int) -> Path:
        """An empty directory for a task."""
        part = self.room / TASKS / f".{self.called(number)}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        return part

    def finish(self, number: int, part: Path, rows: Sequence[Sample], *, film: bool) -> Task:
        """Take a task in."""
        name = self.called(number)
        video = f"{name}/{name}.mp4" if film else None
        task = Task(number, name, video, len(rows), rows[0].frame, rows[-1].frame)
        sizes = {path.name: path.stat().st_size for path in part.iterdir()}
        (self.room / ROWS).mkdir(exist_ok=True)
        told = self._told(number)
        unsure = told.with_suffix(".part")
        with unsure.open("w") as file:
            file.write(json.dumps({"task": asdict(task), "sizes": sizes}) + "\n")
            file.writelines(json.dumps(one.to_json()) + "\n" for one in rows)
            file.flush()
            os.fsync(file.fileno())
        unsure.rename(told)
        part.rename(self.room / TASKS / name)
        return task

    def rows(self, number: int) -> list[Sample]:
        """The rows of a task that is whole."""
        with self._told(number).open() as file:
            file.readline()
            return [Sample.from_json(json.loads(line)) for line in file]

    def gather(self, manifest: Path, tasks: int) -> None:
        """Write the rows of the first so many tasks, all of which are whole, to one file."""
        with manifest.open("wb") as whole:
            for number in range(tasks):
                with self._told(number).open("rb") as rows:
                    rows.readline()
                    shutil.copyfileobj(rows, whole)

    def _told(self, number: int) -> Path:
        return self.room / ROWS / f"{number:06}.jsonl"

    def found(self) -> list[Task]:
        """The tasks that are whole, without a gap; what comes after a gap goes."""
        whole: list[Task] = []
        for number in range(len(list((self.room / ROWS).glob("*.jsonl")))):
            task = self._whole(number)
            if task is None:
                break
            whole.append(task)
        names = {one.name for one in whole}
        for path in (self.room / TASKS).glob("*") if (self.room / TASKS).is_dir() else ():
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)
        for path in (self.room / ROWS).glob("*"):
            if path.suffix != ".jsonl" or int(path.stem) >= len(whole):
                path.unlink()
        return whole

    def _whole(self, number: int) -> Task | None:
        try:
            with self._told(number).open() as file:
                head = json.loads(file.readline())
            directory = self.room / TASKS / self.called(number)
            sizes = {path.name: path.stat().st_size for path in directory.iterdir()}
        except (OSError, ValueError):
            return None
        return Task(**head["task"]) if sizes == head["sizes"] else None

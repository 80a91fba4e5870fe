"""Tasks of frames on the disk; complete ones of an earlier run are kept. Standard library only.

A task is a directory, made under another name and renamed once it is complete. Beside the tasks lie the rows of the
manifest, a file for each task, which is written first: a task without its rows does not count.
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
class TaskStore:
    """The tasks of `per_task` frames in `directory`, from number `first` on; `name` is the recording's in the names of tasks.

    `names` are the names of all tasks where they exist elsewhere already.
    """

    directory: Path
    name: str
    per_task: int
    first: int = 0
    names: Sequence[str] = ()

    def task_name(self, number: int) -> str:
        """The name of the task with this number."""
        return self.names[number] if self.names else task_name(number, self.name)

    def begin(self, number: int) -> Path:
        """An empty directory for a task."""
        part = self.directory / TASKS / f".{self.task_name(number)}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        return part

    def finish(self, number: int, part: Path, rows: Sequence[Sample], *, video: bool) -> Task:
        """Write the rows of a complete task and rename its directory `part` into place; `video`: it has a task video."""
        name = self.task_name(number)
        task = Task(number, name, f"{name}/{name}.mp4" if video else None, len(rows), rows[0].frame, rows[-1].frame)
        sizes = {path.name: path.stat().st_size for path in part.iterdir()}
        (self.directory / ROWS).mkdir(exist_ok=True)
        path = self._rows_path(number)
        temporary = path.with_suffix(".part")
        with temporary.open("w") as file:
            file.write(json.dumps({"task": asdict(task), "sizes": sizes}) + "\n")
            file.writelines(json.dumps(row.to_json()) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        part.rename(self.directory / TASKS / name)
        return task

    def rows(self, number: int) -> list[Sample]:
        """The rows of a complete task."""
        with self._rows_path(number).open() as file:
            file.readline()
            return [Sample.from_json(json.loads(line)) for line in file]

    def write_manifest(self, manifest: Path, tasks: int) -> None:
        """Write the rows of the first `tasks` tasks, all of which are complete, to one file."""
        with manifest.open("wb") as file:
            for number in range(self.first, self.first + tasks):
                with self._rows_path(number).open("rb") as rows:
                    rows.readline()
                    shutil.copyfileobj(rows, file)

    def load_finished(self) -> list[Task]:
        """The complete tasks before the first gap; everything after it is removed."""
        finished: list[Task] = []
        for number in range(len(list((self.directory / ROWS).glob("*.jsonl")))):
            task = self._load(self.first + number)
            if task is None:
                break
            finished.append(task)
        names = {task.name for task in finished}
        for path in (self.directory / TASKS).glob("*") if (self.directory / TASKS).is_dir() else ():
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)
        for path in (self.directory / ROWS).glob("*"):
            if path.suffix != ".jsonl" or int(path.stem) >= self.first + len(finished):
                path.unlink()
        return finished

    def _rows_path(self, number: int) -> Path:
        return self.directory / ROWS / f"{number:06}.jsonl"

    def _load(self, number: int) -> Task | None:
        """The task with this number; None where it is not complete."""
        try:
            with self._rows_path(number).open() as file:
                head = json.loads(file.readline())
            directory = self.directory / TASKS / self.task_name(number)
            sizes = {path.name: path.stat().st_size for path in directory.iterdir()}
        except (OSError, ValueError):
            return None
        return Task(**head["task"]) if sizes == head["sizes"] else None

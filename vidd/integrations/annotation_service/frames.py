"""Reads the frames of an upload with their boxes and images, one task at a time to save memory."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.model.boxes import FrameBoxes
from vidd.model.frame_manifest import Sample, Task, TaskList, group_by_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class UploadFrame(NamedTuple):
    """A frame, its boxes, and the paths of its image and thumbnail below the tree of tasks; None where there is none."""

    sample: Sample
    boxes: Sequence[Mapping[str, Any]]
    image: str | None
    thumbnail: str | None


class UploadTask(NamedTuple):
    """A task and its frames."""

    task: Task
    frames: Sequence[UploadFrame]


def read_tasks(
    listed: TaskList, manifest: Path, annotations: Path | None, tree: Path
) -> Generator[UploadTask, None, None]:
    """Read the manifest, and the annotations, which must be in the same order. Blocks; whoever stops early closes it.

    Refused where the files do not match: then they are of different runs.
    """
    unread = {task.name: task for task in listed.tasks}
    with manifest.open() as lines, closing(_Boxes(annotations)) as boxes:
        for group in group_by_task(lines):
            name = group[0].task
            task = unread.pop(name, None)
            frames = [
                UploadFrame(
                    sample,
                    boxes.of_frame(sample),
                    _existing(tree, f"{name}/{sample.index}.jpg"),
                    _existing(tree, f"{name}/{sample.index}_thumbnail.jpg"),
                )
                for sample in group
            ]
            if task is None or len(frames) != task.frames:
                raise Refused(f"The manifest and the list of tasks differ in {name!r}: run the step frames again.")
            yield UploadTask(task, frames)
        boxes.check_end()
    if unread:
        raise Refused(f"The manifest has no frame of the task {next(iter(unread))!r}: run the step frames again.")


async def iterate_in_thread(tasks: Generator[UploadTask, None, None]) -> AsyncGenerator[UploadTask, None]:
    """The same tasks, read in a thread."""
    with closing(tasks):
        while (task := await in_thread(next, tasks, None)) is not None:
            yield task


def _existing(tree: Path, path: str) -> str | None:
    return path if (tree / path).is_file() else None


class _Boxes:
    """The boxes of the annotations, read along with the manifest."""

    def __init__(self, path: Path | None) -> None:
        self._lines = _lines(path)
        self._next = next(self._lines, None)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def of_frame(self, frame: Sample) -> Sequence[Mapping[str, Any]]:
        """The boxes in a frame."""
        row = self._next
        if row is None or (row["task"], row["index"]) != (frame.task, frame.index):
            return ()
        self._next = next(self._lines, None)
        boxes: Sequence[Mapping[str, Any]] = row["boxes"]
        return boxes

    def check_end(self) -> None:
        """Refused where boxes are left that belong to no frame."""
        if self._next is not None:
            where = f"{self._next['task']!r}, frame {self._next['index']}"
            raise Refused(
                f"The annotations of {where} match no frame of the manifest, or are not in its order: annotate again."
            )


def _lines(path: Path | None) -> Generator[Mapping[str, Any], None, None]:
    if path is None:
        return
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = FrameBoxes.from_json(json.loads(line)).to_json()
            except (ValueError, TypeError):
                raise Refused(f"Line {number} of the annotations is not valid: annotate again.") from None
            yield row

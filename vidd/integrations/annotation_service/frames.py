"""The frames of an upload with their boxes and images, task by task: never more in memory than one task has."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.model.boxes import Seen
from vidd.model.frame_manifest import Sample, Task, TaskList, grouped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Framed(NamedTuple):
    """A frame, the boxes in it, and the paths of its image and the small one below the tree of tasks, where they are."""

    sample: Sample
    boxes: Sequence[Mapping[str, Any]]
    image: str | None
    small: str | None


class Tasked(NamedTuple):
    """A task and its frames."""

    task: Task
    frames: Sequence[Framed]


def frames_of(listed: TaskList, manifest: Path, annotations: Path | None, tree: Path) -> Iterator[Tasked]:
    """Read the manifest and, beside it, the annotations, which must be in its order. Blocks while it reads.

    Refused where the files do not go together: then one of them is of another making.
    """
    named = {one.name: one for one in listed.tasks}
    boxes = _Boxes(annotations)
    with manifest.open() as lines:
        for group in grouped(lines):
            name = group[0].task
            task = named.pop(name, None)
            frames = [
                Framed(
                    sample,
                    boxes.of(sample),
                    _there(tree, f"{name}/{sample.index}.jpg"),
                    _there(tree, f"{name}/{sample.index}_thumbnail.jpg"),
                )
                for sample in group
            ]
            if task is None or len(frames) != task.frames:
                raise Refused(f"The manifest and the list of tasks differ in {name!r}: run the step frames again.")
            yield Tasked(task, frames)
    boxes.check_end()
    if named:
        raise Refused(f"The manifest has no frame of the task {next(iter(named))!r}: run the step frames again.")


async def each(rows: Iterator[Tasked]) -> AsyncGenerator[Tasked, None]:
    """The same, one by one, read in a thread."""
    while (row := await in_thread(next, rows, None)) is not None:
        yield row


def _there(tree: Path, path: str) -> str | None:
    return path if (tree / path).is_file() else None


class _Boxes:
    """The annotations, read along with the manifest."""

    def __init__(self, path: Path | None) -> None:
        self._lines = iter(()) if path is None else _lines(path)
        self._next = next(self._lines, None)

    def of(self, frame: Sample) -> Sequence[Mapping[str, Any]]:
        """The boxes in a frame."""
        row = self._next
        if row is None or (row["task"], row["index"]) != (frame.task, frame.index):
            return ()
        self._next = next(self._lines, None)
        boxes: Sequence[Mapping[str, Any]] = row["boxes"]
        return boxes

    def check_end(self) -> None:
        """Refused where boxes are left that are in no frame."""
        if self._next is not None:
            where = f"{self._next['task']!r}, frame {self._next['index']}"
            raise Refused(
                f"The annotations of {where} are of no frame of the manifest, or out of its order: annotate again."
            )


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = Seen.from_json(json.loads(line)).to_json()
            except (ValueError, TypeError):
                raise Refused(f"Line {number} of the annotations is not as it should be: annotate again.") from None
            yield row

"""Keeps what people did in tasks that a call replaces: a file of extended JSON in the state directory, a document a line.

Each line is `[collection, document]`, as `mongoimport` takes the document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson import json_util

from vidd.files.atomic import sync
from vidd.files.disk_space import retry_if_full
from vidd.integrations.annotation_service.documents import FRAMES, TASKS
from vidd.integrations.annotation_service.work import boxes_of_people

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vidd.integrations.mongodb.account import Document

DIRECTORY = "replaced_annotations"
"""Below the state directory."""


def keep(path: Path, tasks: Sequence[Document], frames: Iterable[Document]) -> None:
    """Add tasks and frames to the file; those that it has already are replaced. Blocks."""
    found = {(name, str(document["_id"])): (name, document) for name, document in _read(path)}
    found |= {(TASKS, str(task["_id"])): (TASKS, task) for task in tasks}
    found |= {(FRAMES, str(frame["_id"])): (FRAMES, frame) for frame in frames}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with retry_if_full("keeping what people annotated"):
        with part.open("w") as file:
            file.writelines(f"{json_util.dumps(list(row))}\n" for row in found.values())
        sync(part)
        part.replace(path)


def describe(path: Path) -> str | None:
    """How much was kept, in a sentence; None where there is no file. Blocks."""
    rows = _read(path)
    if not rows:
        return None
    frames = [document for name, document in rows if name == FRAMES]
    boxes = sum(map(_count_boxes, frames))
    tasks = sum(name == TASKS for name, _ in rows)
    counts = ((boxes, "box", "boxes"), (len(frames), "frame", "frames"), (tasks, "task", "tasks"))
    how_many = [f"{number} {noun if number == 1 else nouns}" for number, noun, nouns in counts]
    return (
        f"The call replaced the work of people, {how_many[0]} on {how_many[1]} of {how_many[2]}; it is kept in {path}."
    )


def _count_boxes(frame: Document) -> int:
    try:
        return len(boxes_of_people(frame))
    except ValueError:
        return 0


def _read(path: Path) -> list[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        return []
    with path.open() as lines:
        return [(name, document) for name, document in map(json_util.loads, lines)]

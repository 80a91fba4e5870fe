"""Stores the boxes of each task on the disk, so that a later run continues after the last complete task.

A task's file has JSON lines: first the number of frames and the indexes of those that could not be read, then a
`FrameBoxes` for each frame with boxes. It gets its name when it is complete.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from vidd.model.frame_manifest import group_by_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vidd.model.boxes import FrameBoxes
    from vidd.model.frame_manifest import Sample

ANNOTATIONS = "annotations.jsonl"
_MOST_NAMED = 20


@dataclass
class Totals:
    """How many frames there are, how many have boxes, how many boxes; how many are unread, and which (some of them)."""

    frames: int = 0
    annotated: int = 0
    boxes: int = 0
    unread: int = 0
    unreadable: list[str] = field(default_factory=list)


def read_tasks(manifest: Path) -> Iterator[list[Sample]]:
    """The frames of each task, in order."""
    with manifest.open() as file:
        yield from group_by_task(file)


class TaskResults:
    """The files of one run, below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "seen").mkdir(parents=True, exist_ok=True)

    def has(self, number: int) -> bool:
        """Whether the task of this number (from 0) is complete."""
        return self._path(number).exists()

    def put(
        self, number: int, samples: Sequence[Sample], boxes: Sequence[FrameBoxes], unreadable: Sequence[int]
    ) -> None:
        """Write the file of a task."""
        path = self._path(number)
        part = path.with_suffix(".part")
        with part.open("w") as file:
            file.write(json.dumps({"frames": len(samples), "unreadable": list(unreadable)}) + "\n")
            file.writelines(json.dumps(frame.to_json()) + "\n" for frame in boxes if frame.boxes)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)

    def join(self, manifest: Path) -> dict[str, object]:
        """Join the files of all tasks into `annotations.jsonl`; returns the totals as plain JSON types."""
        totals = Totals()
        with (self._directory / ANNOTATIONS).open("w") as annotations:
            for number, samples in enumerate(read_tasks(manifest)):
                with self._path(number).open() as file:
                    head = json.loads(file.readline())
                    totals.frames += head["frames"]
                    totals.unread += len(head["unreadable"])
                    totals.unreadable += [f"{samples[0].task} {index}" for index in head["unreadable"]]
                    totals.unreadable = totals.unreadable[:_MOST_NAMED]
                    for line in file:
                        annotations.write(line)
                        totals.annotated += 1
                        totals.boxes += len(json.loads(line)["boxes"])
        return asdict(totals)

    def _path(self, number: int) -> Path:
        return self._directory / "seen" / f"{number:06}.jsonl"

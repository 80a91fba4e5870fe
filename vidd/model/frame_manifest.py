"""The manifest of sampled frames: for each sample its frame of the recording, and its task; no I/O.

The manifest is a file of JSON lines, one `Sample` per line, in order of time, so that a reader can stream it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled frame, the `index`-th (from 1) of the task named `task`.

    frame: its number (from 0) among the recording's frames in presentation order; among images, in order of their names.
    pts: its time stamp in units of the recording's time base.
    time: the same in seconds from the recording's start.
    hash: the SHA-1 of its decoded pixels, in the size and pixel format of the recording; "" where the recording is gone, so
        that `frame`, `pts` and `time` are not known either.
    name: the name of the image; None for a frame of a recording.
    """

    task: str
    index: int
    frame: int
    pts: int
    time: float
    hash: str
    name: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sample:
        """From the fields that `to_json` writes."""
        return cls(**data)


def group_by_task(lines: Iterable[str]) -> Iterator[list[Sample]]:
    """The samples of each task, from the lines of a manifest."""
    samples = (Sample.from_json(json.loads(line)) for line in lines)
    for _, rows in groupby(samples, key=lambda sample: sample.task):
        yield list(rows)


@dataclass(frozen=True, slots=True)
class Task:
    """The frames that one person annotates; `number` counts from 0. `frames` is how many there are.

    `video` is the path of its task video within the tree of tasks, None if the task has images. `first` and `last` are the
    numbers (from 0) of its first and last frame in the recording.
    """

    number: int
    name: str
    video: str | None
    frames: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TaskList:
    """All tasks of one upload; `name` is the recording's.

    rate: the frames per second of the task videos; 0 for images without videos.
    source_rate: the frames per second of the recording; 0 for images, whose sizes differ.
    time_base: the unit of `pts`, in seconds.
    width, height: the size of the task videos, in pixels.
    per_task: the most frames in a task.
    """

    name: str
    rate: float
    source_rate: float
    time_base: Fraction
    width: int
    height: int
    per_task: int
    tasks: Sequence[Task]

    @property
    def first(self) -> int:
        """The number of the first task; another system has made those before."""
        return self.tasks[0].number if self.tasks else 0

    @property
    def frames(self) -> int:
        """The number of frames in all tasks."""
        return sum(task.frames for task in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(replace(self, tasks=list(self.tasks))), "time_base": str(self.time_base)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskList:
        """From the fields that `to_json` writes."""
        tasks = [Task(**task) for task in data["tasks"]]
        return cls(**{**data, "time_base": Fraction(data["time_base"]), "tasks": tasks})


def task_name(number: int, name: str) -> str:
    """The name of a task, such as `task-0-Cam1`; `name` is the recording's file name without its extension."""
    return f"task-{number}-{name}"

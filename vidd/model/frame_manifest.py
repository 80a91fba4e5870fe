"""Which picture of a recording each sampled frame is: a row per frame, grouped into tasks of so many frames; no I/O.

The manifest is a file of JSON lines, one `Sample` each, in the order of time, so that nobody needs all of it in memory.
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
    """One sampled frame, the `index`-th (from 1) of its task.

    `frame` is its number among the recording's pictures in the order of showing (from 0), `pts` its time stamp there in
    units of the recording's time base, `time` the same in seconds from the recording's start. `hash` is the SHA-1 of its
    decoded pixels, as the recording has them. Of images `frame` counts them in the order of their names, and `name` is
    the image's own.
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
        """The opposite of `to_json`."""
        return cls(**data)


def group_by_task(lines: Iterable[str]) -> Iterator[list[Sample]]:
    """The frames of each task, of a manifest's lines."""
    samples = (Sample.from_json(json.loads(line)) for line in lines)
    for _, rows in groupby(samples, key=lambda sample: sample.task):
        yield list(rows)


@dataclass(frozen=True, slots=True)
class Task:
    """So many frames that one person annotates; `number` from 0. `video` is its film, a path within the tree of tasks.

    `first` and `last` are the numbers of its first and last frame among the recording's pictures (from 0).
    """

    number: int
    name: str
    video: str | None
    frames: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TaskList:
    """All tasks of one upload. `name` is the recording's, `rate` how many frames of a second were asked for.

    `source_rate` is the recording's own (pictures per second), `time_base` what its `pts` count (seconds), `width` and
    `height` those of the task videos, `per_task` the most frames in a task. Pictures without a film have a `rate` of 0.
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
    def frames(self) -> int:
        """How many frames all tasks have."""
        return sum(task.frames for task in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(replace(self, tasks=list(self.tasks))), "time_base": str(self.time_base)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskList:
        """The opposite of `to_json`."""
        tasks = [Task(**task) for task in data["tasks"]]
        return cls(**{**data, "time_base": Fraction(data["time_base"]), "tasks": tasks})


def task_name(number: int, name: str) -> str:
    """What a task is called, of the recording's file name without its ending: `task-0-Cam1`."""
    return f"task-{number}-{name}"

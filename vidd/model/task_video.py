"""The task videos that a job works on where the recording is gone; no I/O."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FACT = "task_videos"
"""The fact of a job that lists its task videos."""
SCHEME = "tasks"
"""What the location of such a job begins with."""


@dataclass(frozen=True, slots=True)
class TaskVideo:
    """The video of an existing task.

    task: the task's id, as text.
    name: its name, which can be that of a file; no other task of the job has it.
    address: the key of the video in the store, or its web address.
    frames: how many frames the task has; 0 where that is unknown.
    """

    task: str
    name: str
    address: str
    frames: int

    @property
    def is_web(self) -> bool:
        """Whether the address is a web address."""
        return self.address.startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
        """The address for people, without the parts that may be secret: user, password, query."""
        if not self.is_web:
            return self.address
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def path(self) -> str:
        """The path of the video in a tree of tasks."""
        return f"{self.name}/{self.name}.mp4"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def task_videos(facts: Mapping[str, Any]) -> Sequence[TaskVideo]:
    """The task videos in the facts of a job; none where it has a recording."""
    return [TaskVideo(**video) for video in facts.get(FACT, ())]

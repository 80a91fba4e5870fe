"""What is read of a data set's tasks and frames, and what is written into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidd.integrations.datasets.labels import Mark


@dataclass(frozen=True, slots=True)
class TaskDocument:
    """A task: `film` is the key of its video, `drawn_on` the size (pixels) that its boxes were drawn on.

    `versions` are those that it says it is in.
    """

    name: str
    film: str | None
    drawn_on: tuple[float, float] | None
    versions: frozenset[str]


@dataclass(frozen=True, slots=True)
class FrameDocument:
    """A frame: `picture` is the key of its stored picture, `entry` what it says of this version, None where nothing."""

    id: str
    number: int
    picture: str | None
    small: str | None
    marks: Sequence[Mark]
    entry: Mapping[str, Any] | None
    listed: bool


@dataclass(frozen=True, slots=True)
class FrameChange:
    """What a frame is to say: `entry` of the version, and `urls` where it had none."""

    id: str
    entry: Mapping[str, Any]
    urls: Mapping[str, str] = field(default_factory=dict)
    listed: bool = True

    def to_json(self) -> list[Any]:
        """As plain JSON types."""
        return [self.id, dict(self.entry), dict(self.urls), self.listed]

"""What vidd reads of a data set's tasks and frames, and what it writes into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidd.integrations.datasets.labels import Mark


@dataclass(frozen=True, slots=True)
class TaskDocument:
    """A task: the key of its `video`, the size in pixels that its boxes were `drawn_on`, the `versions` it says it is in."""

    name: str
    video: str | None
    drawn_on: tuple[float, float] | None
    versions: frozenset[str]


@dataclass(frozen=True, slots=True)
class FrameDocument:
    """A frame: the keys of its stored `image` and `thumbnail`, its `marks`, and its `entry` of this version.

    `has_versions` is False where the document has no list of versions yet. `renamed` has the keys, by field, of what the
    document names in another way than the settings want. `taken` are the keys of its augmented images in other versions.
    """

    id: str
    number: int
    image: str | None
    thumbnail: str | None
    marks: Sequence[Mark]
    entry: Mapping[str, Any] | None
    has_versions: bool
    renamed: Mapping[str, str] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FrameChange:
    """What vidd writes into a frame: its `entry` of the version, and the keys of `urls` that it lacked."""

    id: str
    entry: Mapping[str, Any]
    urls: Mapping[str, str] = field(default_factory=dict)
    has_versions: bool = True

    def to_json(self) -> list[Any]:
        """As plain JSON types; `FrameChange(*row)` reads it."""
        return [self.id, dict(self.entry), dict(self.urls), self.has_versions]

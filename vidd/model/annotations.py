"""Boxes that people drew on frames, and the lines that say them to a training program; no I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Label:
    """A class of a data set: `index` is its place among all labels of its version, those that are switched off too."""

    index: int
    name: str
    attributes: Mapping[str, Any]

    def fits(self, mark: Mark) -> bool:
        """Whether a box is of this class: its label and all its attributes."""
        return mark.label == self.name and dict(mark.attributes) == dict(self.attributes)


@dataclass(frozen=True, slots=True)
class Mark:
    """A box on a frame: `x`, `y` is its upper left corner, in pixels."""

    x: float
    y: float
    w: float
    h: float
    label: str
    attributes: Mapping[str, Any]

    def scaled(self, across: float, down: float) -> Mark:
        """The box on a picture that is so many times as wide and high."""
        return replace(self, x=self.x * across, y=self.y * down, w=self.w * across, h=self.h * down)

    def within(self, width: float, height: float) -> Mark | None:
        """What of it lies on a picture of this size; None where nothing does."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.x + self.w, width), min(self.y + self.h, height)
        if right <= left or bottom <= top:
            return None
        return replace(self, x=left, y=top, w=right - left, h=bottom - top)

    def to_json(self) -> list[Any]:
        """As plain JSON types."""
        return [self.x, self.y, self.w, self.h, self.label, dict(self.attributes)]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Mark:
        """The opposite of `to_json`."""
        return cls(*data)


def mark_of(box: Any) -> Mark:
    """A box as the documents have it; ValueError with what is wrong with it."""
    found = box.get("boundaries") if isinstance(box, dict) else None
    if not isinstance(found, dict):
        raise ValueError("it has no boundaries")  # noqa: TRY004 - it is data, not our call
    x, y, w, h = (_number(found, name) for name in ("x", "y", "w", "h"))
    label = found.get("label")
    if not isinstance(label, str) or not label.strip():
        raise ValueError("it has no label")
    attributes = found.get("attributeValues")
    return Mark(x, y, w, h, " ".join(label.split()), _plain(attributes) if isinstance(attributes, dict) else {})


def placed(marks: Iterable[Mark], drawn_on: Sequence[float] | None, width: int, height: int) -> list[Mark]:
    """What of these boxes lies on a picture of this size, where they were drawn on one of another."""
    across, down = (width / drawn_on[0], height / drawn_on[1]) if drawn_on else (1.0, 1.0)
    there = (one.scaled(across, down).within(width, height) for one in marks)
    return [one for one in there if one is not None]


def _number(found: Mapping[str, Any], name: str) -> float:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"its {name} is no number")
    return float(value)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them: ids of documents and the like become their text."""
    return dict(json.loads(json.dumps(attributes, default=str, sort_keys=True)))


def lines(marks: Iterable[Mark], labels: Sequence[Label], width: int, height: int) -> str:
    """A line for each box: its class, then its middle and its size as shares of the picture's.

    The class is a label's index (YOLO), or where there are no labels the box's own one (DEFAULT). A box that is of no
    label has no line, and each number has a space after it, as the readers of these files are used to.
    """
    said = []
    for mark in marks:
        middle = ((mark.x + mark.w / 2) / width, (mark.y + mark.h / 2) / height, mark.w / width, mark.h / height)
        names = [str(one.index) for one in labels if one.fits(mark)] if labels else [mark.label]
        said += ["".join(f"{part} " for part in (name, *(round(share, 6) for share in middle))) for name in names]
    return "".join(f"{one}\n" for one in said)

"""What a detector saw: boxes on the sampled frames; no I/O.

The file of them has JSON lines, one `Seen` for each frame that has a box, in the manifest's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Box:
    """A thing on a frame: `x`, `y` is its upper left corner, all in pixels of the frame; `confidence` is 0 to 1."""

    x: float
    y: float
    w: float
    h: float
    label: str
    confidence: float = 1.0

    def within(self, width: float, height: float) -> Box | None:
        """What of it lies on a frame of this size; None where nothing does."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.x + self.w, width), min(self.y + self.h, height)
        if right <= left or bottom <= top:
            return None
        return Box(left, top, right - left, bottom - top, self.label, self.confidence)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; a thousandth of a pixel is enough."""
        sides = {name: round(float(getattr(self, name)), 3) for name in ("x", "y", "w", "h")}
        return {**sides, "label": self.label, "confidence": round(float(self.confidence), 4)}


@dataclass(frozen=True, slots=True)
class Seen:
    """The boxes on one frame, the `index`-th (from 1) of its task."""

    task: str
    index: int
    boxes: Sequence[Box]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"task": self.task, "index": self.index, "boxes": [box.to_json() for box in self.boxes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Seen:
        """The opposite of `to_json`, of anybody's data: ValueError with what is wrong with it."""
        task, index, boxes = (_of(data, name) for name in ("task", "index", "boxes"))
        if not isinstance(task, str) or isinstance(index, bool) or not isinstance(index, int):
            raise ValueError("task must be a text and index a whole number")  # noqa: TRY004 - it is data, not our call
        if not isinstance(boxes, list):
            raise ValueError("boxes must be a list")  # noqa: TRY004
        return cls(task, index, [box_of(box) for box in boxes])


def box_of(data: Any) -> Box:
    """A box of anybody's data: ValueError with what is wrong with it."""
    x, y, w, h = (_number(data, name) for name in ("x", "y", "w", "h"))
    label, confidence = _of(data, "label"), _number({"confidence": 1.0, **data}, "confidence")
    if not isinstance(label, str) or not label or len(label) > _LONGEST:
        raise ValueError(f"the label of a box must be a text of 1 to {_LONGEST} characters")
    if w <= 0 or h <= 0:
        raise ValueError(f"a box must have an extent, and this one is {w:g} wide and {h:g} high")
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence goes from 0 to 1, and this one is {confidence:g}")
    return Box(x, y, w, h, label, confidence)


def _of(data: Any, name: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004
    if name not in data:
        raise ValueError(f"it has no {name}")
    return data[name]


def _number(data: Any, name: str) -> float:
    value = _of(data, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{name} of a box must be a number")
    return float(value)

"""The boxes that a detector found on sampled frames; no I/O.

An annotations file has JSON lines, one `FrameBoxes` for each frame with a box, in the order of the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_LABEL_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Box:
    """A box in pixels of its frame. (`x`, `y`) is the upper left corner; `confidence` is 0 to 1."""

    x: float
    y: float
    w: float
    h: float
    label: str
    confidence: float = 1.0

    def within(self, width: float, height: float) -> Box | None:
        """The part of the box on a frame of this size (pixels); None if the box is off the frame."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.x + self.w, width), min(self.y + self.h, height)
        if right <= left or bottom <= top:
            return None
        return Box(left, top, right - left, bottom - top, self.label, self.confidence)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, rounded to a thousandth of a pixel."""
        sides = {name: round(float(getattr(self, name)), 3) for name in ("x", "y", "w", "h")}
        return {**sides, "label": self.label, "confidence": round(float(self.confidence), 4)}


@dataclass(frozen=True, slots=True)
class FrameBoxes:
    """The boxes on one frame, the `index`-th (from 1) of the task named `task`."""

    task: str
    index: int
    boxes: Sequence[Box]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"task": self.task, "index": self.index, "boxes": [box.to_json() for box in self.boxes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FrameBoxes:
        """Parse what a user's program wrote. Raises ValueError with what is wrong."""
        task, index, boxes = (_field(data, name) for name in ("task", "index", "boxes"))
        if not isinstance(task, str) or isinstance(index, bool) or not isinstance(index, int):
            raise ValueError("task must be a text and index a whole number")  # noqa: TRY004 - the data is wrong, not the call
        if not isinstance(boxes, list):
            raise ValueError("boxes must be a list")  # noqa: TRY004
        return cls(task, index, [parse_box(box) for box in boxes])


def parse_box(data: Any) -> Box:
    """Parse a box that a user's program wrote. Raises ValueError with what is wrong."""
    x, y, w, h = (_number(data, name) for name in ("x", "y", "w", "h"))
    label, confidence = _field(data, "label"), _number({"confidence": 1.0, **data}, "confidence")
    if not isinstance(label, str) or not label or len(label) > _MAX_LABEL_LENGTH:
        raise ValueError(f"the label of a box must be a text of 1 to {_MAX_LABEL_LENGTH} characters")
    if w <= 0 or h <= 0:
        raise ValueError(f"the width and height of a box must be positive, and are {w:g} and {h:g}")
    if not 0 <= confidence <= 1:
        raise ValueError(f"the confidence of a box must be 0 to 1, and is {confidence:g}")
    return Box(x, y, w, h, label, confidence)


def _field(data: Any, name: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004
    if name not in data:
        raise ValueError(f"it has no {name}")
    return data[name]


def _number(data: Any, name: str) -> float:
    value = _field(data, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{name} of a box must be a number")
    return float(value)

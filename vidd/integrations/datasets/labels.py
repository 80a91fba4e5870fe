"""Frames of a data set with what annotators marked on them, and which of it the data set wants; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Mark:
    """A box in pixels of its frame, from the upper left; `attributes` are by name. `confidence` is a detector's, else None."""

    x: float
    y: float
    w: float
    h: float
    label: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    confidence: float | None = None

    def within(self, width: float, height: float) -> tuple[float, float, float, float] | None:
        """Left, top, right, bottom of what lies on a frame of this size; None where nothing does."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.x + self.w, width), min(self.y + self.h, height)
        return (left, top, right, bottom) if right > left and bottom > top else None


@dataclass(frozen=True, slots=True)
class Marked:
    """A picture of the data set, by its file's name there, its size in pixels, and what is marked on it."""

    name: str
    width: int
    height: int
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of a data set's list of labels: a label with these attributes and no others."""

    label: str
    attributes: Mapping[str, str]
    enabled: bool = True

    @property
    def name(self) -> str:
        """What it is called where a class is one text: `car`, or `car (state=parked)`."""
        words = ", ".join(f"{name}={value}" for name, value in sorted(self.attributes.items()))
        return f"{self.label} ({words})" if words else self.label


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a data set; a class is known by its place in the list, which those that are off keep too."""

    wanted: Sequence[Wanted]

    @classmethod
    def from_documents(cls, documents: Iterable[Mapping[str, Any]]) -> Classes:
        """Of an AnnotationDatasetVersion's `labelAttributeList`. ValueError where an entry has no label."""
        found = []
        for document in documents:
            if not isinstance(document.get("mainLabel"), str):
                raise ValueError("an entry of labelAttributeList has no mainLabel")  # noqa: TRY004 - it is data
            found.append(
                Wanted(
                    document["mainLabel"], dict(document.get("attributes") or {}), bool(document.get("isEnabled", True))
                )
            )
        return cls(found)

    @classmethod
    def of(cls, frames: Iterable[Marked]) -> Classes:
        """All that there are on these frames, by label and attributes in alphabetical order."""
        found = {entry.name: entry for entry in (Wanted(m.label, dict(m.attributes)) for f in frames for m in f.marks)}
        return cls([found[name] for name in sorted(found)])

    def place(self, mark: Mark) -> int | None:
        """The class of a mark, from 0: the first whose label and attributes are the mark's; None where it is of none."""
        for place, entry in enumerate(self.wanted):
            if entry.enabled and entry.label == mark.label and entry.attributes == mark.attributes:
                return place
        return None


def mark_of(document: Mapping[str, Any]) -> Mark | None:
    """A mark of an AnnotationFrame's box; None where it is no rectangle with an extent."""
    found = document.get("boundaries") or {}
    sides = [found.get(name) for name in ("x", "y", "w", "h")]
    numbers = [float(side) for side in sides if isinstance(side, int | float) and not isinstance(side, bool)]
    if len(numbers) < 4 or not all(map(isfinite, numbers)) or min(numbers[2:]) <= 0:
        return None
    if found.get("type", "rectangle") != "rectangle" or not isinstance(found.get("label"), str):
        return None
    attributes = found.get("attributeValues") or document.get("attributeValues") or {}
    x, y, w, h = numbers
    return Mark(x, y, w, h, found["label"], dict(attributes), found.get("autoLable_confidance"))

"""The boxes that annotators drew, and the classes that a data set wants of them; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from vidd.integrations.annotation_service.documents import as_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Mark:
    """A box in pixels of its frame, from the upper left, with `attributes` by name; `confidence` is a detector's, else None."""

    x: float
    y: float
    w: float
    h: float
    label: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    confidence: float | None = None

    def within(self, width: float, height: float) -> tuple[float, float, float, float] | None:
        """Left, top, right, bottom of the part that lies on a frame of this size; None where no part does."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.x + self.w, width), min(self.y + self.h, height)
        return (left, top, right, bottom) if right > left and bottom > top else None


@dataclass(frozen=True, slots=True)
class MarkedFrame:
    """A frame of the data set: the name of its file there, its size in pixels, and the marks on it."""

    name: str
    width: int
    height: int
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One entry of a data set's list of labels: a label with exactly these attributes."""

    label: str
    attributes: Mapping[str, str]
    enabled: bool = True

    @property
    def name(self) -> str:
        """The class as one text: `car`, or `car (state=parked)`."""
        words = ", ".join(f"{name}={value}" for name, value in sorted(self.attributes.items()))
        return f"{self.label} ({words})" if words else self.label


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a data set. A class is known by its position in the list; disabled ones keep theirs."""

    entries: Sequence[LabelClass]

    @classmethod
    def from_documents(cls, documents: Iterable[Mapping[str, Any]]) -> Classes:
        """From an AnnotationDatasetVersion's `labelAttributeList`. ValueError where an entry has no label."""
        entries = []
        for document in documents:
            label = document.get("mainLabel")
            if not isinstance(label, str):
                raise ValueError("an entry of labelAttributeList has no mainLabel")  # noqa: TRY004 - it is data
            attributes, enabled = dict(document.get("attributes") or {}), bool(document.get("isEnabled", True))
            entries.append(LabelClass(label, attributes, enabled))
        return cls(entries)

    @classmethod
    def of_frames(cls, frames: Iterable[MarkedFrame]) -> Classes:
        """All labels and attributes on these frames, in alphabetical order."""
        entries = (LabelClass(mark.label, dict(mark.attributes)) for frame in frames for mark in frame.marks)
        by_name = {entry.name: entry for entry in entries}
        return cls([by_name[name] for name in sorted(by_name)])

    def index_of(self, mark: Mark) -> int | None:
        """The position, from 0, of the first class with the mark's label and attributes; None where there is none."""
        for index, entry in enumerate(self.entries):
            if entry.enabled and entry.label == mark.label and entry.attributes == mark.attributes:
                return index
        return None


def parse_mark(document: Mapping[str, Any]) -> Mark | None:
    """The mark of a box in an AnnotationFrame; None where it is no rectangle with an extent.

    A front end stores a negative `w` or `h` where a person drew to the left or up.
    """
    found = document.get("boundaries") or {}
    sides = [found.get(name) for name in ("x", "y", "w", "h")]
    numbers = [float(side) for side in sides if isinstance(side, int | float) and not isinstance(side, bool)]
    if len(numbers) < 4 or not all(map(isfinite, numbers)) or 0 in numbers[2:]:
        return None
    if found.get("type", "rectangle") != "rectangle" or not isinstance(found.get("label"), str):
        return None
    # Those of a detector's box itself are no attributes of its label.
    attributes = found["attributeValues"] if "attributeValues" in found else document.get("attributeValues")
    x, y, w, h = numbers
    return Mark(
        min(x, x + w),
        min(y, y + h),
        abs(w),
        abs(h),
        found["label"],
        dict(attributes or {}),
        as_number(found.get("autoLable_confidance")),
    )

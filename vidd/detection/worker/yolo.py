"""Reads the outputs of detectors of the YOLO family, in their three layouts.

`v5` (YOLOv3 to v7): a row per candidate: centre, width, height, objectness, and a score per class. `v8` (v8 to v12): a
column per candidate: centre, width, height, and a score per class; some exports transpose it. `end` (v10, and exports that
include the suppression): rows of corners, score and class, already selected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from vidd.errors import FaultCode, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.detection.worker.frame_loader import Pixels

Floats: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"
_GREY = 114
_MOST_CANDIDATES = 3000


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows of `corners` (left, top, right, bottom), with the score and the number of a class of each."""

    corners: Floats
    scores: Floats
    classes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]

    def select(self, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Candidates:
        """The candidates in these rows."""
        return Candidates(self.corners[rows], self.scores[rows], self.classes[rows])


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read an output: its `name` in the settings, whether it is transposed, how many classes it has."""

    name: str
    transposed: bool
    classes: int


def layout_of(shape: Sequence[int], labels: int, wanted: str) -> Layout:
    """How to read an output of this shape (frames, rows, columns); `labels` is their number, 0 where it is unknown.

    Refused where the shape fits no layout, or several.
    """
    if len(shape) != 3:
        raise Refused(
            f"The model's output is {_by(shape)}, and boxes come in three dimensions: name another output.",
            code=FaultCode.BAD_SETTINGS,
        )
    fitting = [layout for layout in _fitting_layouts(shape, labels) if wanted in ("auto", layout.name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " or as ".join(layout.name for layout in fitting)
        raise Refused(
            f"The model's output of {_by(shape)} can be read as {names}: set layout, or the labels.",
            code=FaultCode.BAD_SETTINGS,
        )
    known = f"{labels} labels" if labels else "no labels"
    raise Refused(
        f"The model's output of {_by(shape)} does not fit {known} and the layout {wanted}: correct one of them.",
        code=FaultCode.BAD_SETTINGS,
    )


def _fitting_layouts(shape: Sequence[int], labels: int) -> list[Layout]:
    _, rows, columns = shape

    def fits(values: int, candidates: int, others: int) -> bool:
        # Without labels, all that is known is that there are more candidates than classes.
        return values == labels + others if labels else others < values < candidates

    layouts = []
    if fits(columns, rows, 5):
        layouts.append(Layout("v5", False, columns - 5))
    if fits(rows, columns, 4):
        layouts.append(Layout("v8", True, rows - 4))
    elif fits(columns, rows, 4):
        layouts.append(Layout("v8", False, columns - 4))
    if columns == 6:
        layouts.append(Layout("end", False, labels))
    return layouts


def read_candidates(output: Floats, layout: Layout, threshold: float) -> Candidates:
    """The candidates of one frame's output (rows, columns) whose score reaches the threshold, the most confident first."""
    rows = output.T if layout.transposed else output
    if layout.name == "end":
        found = Candidates(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))
    else:
        scores = rows[:, 5:] * rows[:, 4:5] if layout.name == "v5" else rows[:, 4:]
        classes = scores.argmax(axis=1)
        half = rows[:, 2:4] / 2
        corners = np.hstack([rows[:, :2] - half, rows[:, :2] + half]).astype(np.float32)
        found = Candidates(corners, np.take_along_axis(scores, classes[:, None], axis=1)[:, 0], classes)
    valid = np.isfinite(found.corners).all(axis=1) & (found.corners[:, 2:] > found.corners[:, :2]).all(axis=1)
    found = found.select(np.flatnonzero(valid & (found.scores >= threshold)))
    return found.select(np.argsort(-found.scores, kind="stable")[:_MOST_CANDIDATES])


def suppress(found: Candidates, overlap: float, most: int) -> Candidates:
    """Non-maximum suppression by class: of candidates that overlap by more than `overlap` the best; `most` in all."""
    if not len(found.scores):
        return found
    sides = np.hstack([found.corners[:, :2], found.corners[:, 2:] - found.corners[:, :2]])
    kept = cv2.dnn.NMSBoxesBatched(sides.tolist(), found.scores.tolist(), found.classes.tolist(), 0.0, overlap)
    rows = np.asarray(kept, np.int64).reshape(-1)
    return found.select(rows[np.argsort(-found.scores[rows], kind="stable")][:most])


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A frame scaled by `factor` into another shape, with grey margins of `left` and `top` pixels."""

    pixels: Pixels
    factor: float
    left: int
    top: int

    def to_frame(self, corners: Floats) -> Floats:
        """Corners in the letterbox as corners on the frame."""
        margin = np.array([self.left, self.top, self.left, self.top], np.float32)
        return np.asarray((corners - margin) / self.factor, np.float32)


def letterbox(frame: Pixels, width: int, height: int) -> Letterbox:
    """The frame in the middle of a grey image of this size, as large as fits."""
    high, wide = frame.shape[:2]
    factor = min(width / wide, height / high)
    size = max(1, round(wide * factor)), max(1, round(high * factor))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    scaled = frame if size == (wide, high) else cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
    pixels = np.full((height, width, 3), _GREY, np.uint8)
    pixels[top : top + size[1], left : left + size[0]] = scaled
    return Letterbox(pixels, factor, left, top)


def _by(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape)

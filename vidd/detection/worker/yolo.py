"""What detectors of the YOLO family say, in the layouts there are. Never imported by the daemon.

`v5` (YOLOv3 to v7): a row for each candidate: centre, width, height, certainty, and a score for each class. `v8` (v8 to
v12): a column for each: centre, width, height, and a score for each class; some exports turn it into rows. `end` (v10,
and exports with suppression inside): rows of corners, score and class, already chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.detection.worker.frame_loader import Pixels

Floats: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"
_GREY = 114
_CANDIDATES = 3000


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates: `corners` (left, top, right, bottom) a row, with a score and the number of a class each."""

    corners: Floats
    scores: Floats
    classes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]

    def of(self, chosen: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Found:
        """Those of these numbers."""
        return Found(self.corners[chosen], self.scores[chosen], self.classes[chosen])


@dataclass(frozen=True, slots=True)
class Layout:
    """How an output is read: its `name` as in the settings, whether rows and columns change places, how many classes."""

    name: str
    turned: bool
    classes: int


def layout_of(shape: Sequence[int], labels: int, wanted: str) -> Layout:
    """How an output of this shape (pictures, rows, columns) is read; `labels` is 0 where nobody knows them.

    Refused where it cannot be told, or does not fit.
    """
    if len(shape) != 3:
        raise Refused(f"Its output is {_by(shape)}, and boxes come in three dimensions: name another output.")
    fitting = [reading for reading in _readings(shape, labels) if wanted in ("auto", reading.name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " or as ".join(reading.name for reading in fitting)
        raise Refused(f"Its output of {_by(shape)} can be read as {names}: set layout, or the labels.")
    known = f"{labels} labels" if labels else "no labels"
    raise Refused(f"Its output of {_by(shape)} does not fit {known} and the layout {wanted}: correct one of them.")


def _readings(shape: Sequence[int], labels: int) -> list[Layout]:
    _, rows, columns = shape

    def fits(across: int, down: int, more: int) -> bool:
        # Without labels all that can be said is that there are more candidates than there are classes.
        return across == labels + more if labels else more < across < down

    readings = []
    if fits(columns, rows, 5):
        readings.append(Layout("v5", False, columns - 5))
    if fits(rows, columns, 4):
        readings.append(Layout("v8", True, rows - 4))
    elif fits(columns, rows, 4):
        readings.append(Layout("v8", False, columns - 4))
    if columns == 6:
        readings.append(Layout("end", False, labels))
    return readings


def candidates(output: Floats, layout: Layout, least: float) -> Found:
    """The candidates of one picture (rows, columns) with a score of at least so much."""
    rows = output.T if layout.turned else output
    if layout.name == "end":
        found = Found(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))
    else:
        scores = rows[:, 5:] * rows[:, 4:5] if layout.name == "v5" else rows[:, 4:]
        classes = scores.argmax(axis=1)
        half = rows[:, 2:4] / 2
        corners = np.hstack([rows[:, :2] - half, rows[:, :2] + half]).astype(np.float32)
        found = Found(corners, np.take_along_axis(scores, classes[:, None], axis=1)[:, 0], classes)
    sane = np.isfinite(found.corners).all(axis=1) & (found.corners[:, 2:] > found.corners[:, :2]).all(axis=1)
    found = found.of(np.flatnonzero(sane & (found.scores >= least)))
    return found.of(np.argsort(-found.scores, kind="stable")[:_CANDIDATES])


def suppressed(found: Found, overlap: float, most: int) -> Found:
    """Of candidates of one class that share more than `overlap` the surest, at most so many of all."""
    if not len(found.scores):
        return found
    sides = np.hstack([found.corners[:, :2], found.corners[:, 2:] - found.corners[:, :2]])
    kept = cv2.dnn.NMSBoxesBatched(sides.tolist(), found.scores.tolist(), found.classes.tolist(), 0.0, overlap)
    chosen = np.asarray(kept, np.int64).reshape(-1)
    return found.of(chosen[np.argsort(-found.scores[chosen], kind="stable")][:most])


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture in a frame of another shape: `factor` times as large, with so much on the left and at the top."""

    picture: Pixels
    factor: float
    left: int
    top: int

    def back(self, corners: Floats) -> Floats:
        """Corners in the frame as corners on the picture."""
        off = np.array([self.left, self.top, self.left, self.top], np.float32)
        return np.asarray((corners - off) / self.factor, np.float32)


def fitted(picture: Pixels, width: int, height: int) -> Fitted:
    """A picture in the middle of a grey frame of this size, as large as it goes."""
    high, wide = picture.shape[:2]
    factor = min(width / wide, height / high)
    size = max(1, round(wide * factor)), max(1, round(high * factor))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    small = picture if size == (wide, high) else cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    frame = np.full((height, width, 3), _GREY, np.uint8)
    frame[top : top + size[1], left : left + size[0]] = small
    return Fitted(frame, factor, left, top)


def _by(shape: Sequence[int]) -> str:
    return "x".join(str(one) for one in shape)

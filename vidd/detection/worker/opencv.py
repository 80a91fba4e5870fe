"""Detects objects with what OpenCV ships: people by histograms of oriented gradients, faces by a Haar cascade."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidd.errors import FaultCode, Refused
from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.detection.settings import Faces, People
    from vidd.detection.worker.frame_loader import Pixels

_NEEDS_OPENCV_4 = "which OpenCV no longer has from 5 on: install vidd[annotate], which takes 4.14"
_WINDOW = (64, 128)


class PeopleDetector:
    """Finds people who stand or walk, at least 128 pixels high (Dalal and Triggs, 2005).

    Confidence is the logistic function of a window's distance from the classifier's hyperplane.
    """

    batch = 1
    about = "OpenCV's detector of people"

    def __init__(self, settings: People, threads: int) -> None:
        if not hasattr(cv2, "HOGDescriptor"):
            raise Refused(
                f"The detector needs OpenCV's HOGDescriptor, {_NEEDS_OPENCV_4}.", code=FaultCode.NOT_INSTALLED
            )
        cv2.setNumThreads(threads or -1)
        self._settings = settings
        self._descriptor = cv2.HOGDescriptor()
        self._descriptor.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def __call__(self, frames: Sequence[Pixels]) -> list[list[Box]]:
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: Pixels) -> list[Box]:
        settings = self._settings
        small, factor = _reduce(frame, settings.largest)
        # OpenCV crashes on a frame that is smaller than its window.
        if small.shape[1] < _WINDOW[0] or small.shape[0] < _WINDOW[1]:
            return []
        stride = (settings.stride, settings.stride)
        found, weights = self._descriptor.detectMultiScale(
            small, hitThreshold=settings.threshold, winStride=stride, padding=(8, 8), scale=settings.scale
        )
        sides = [[float(side) for side in box] for box in found]
        scores = _confidences(weights)
        kept = cv2.dnn.NMSBoxes(sides, scores, 0.0, settings.overlap) if sides else ()
        return _boxes(
            [sides[index] for index in kept], [scores[index] for index in kept], settings.label, factor, frame
        )


class CascadeDetector:
    """Finds what a cascade of Haar features knows (Viola and Jones, 2001).

    Confidence is the logistic function of the sum of the last stage.
    """

    batch = 1

    def __init__(self, settings: Faces, threads: int) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise Refused(
                f"The detector needs OpenCV's CascadeClassifier, {_NEEDS_OPENCV_4}.", code=FaultCode.NOT_INSTALLED
            )
        cv2.setNumThreads(threads or -1)
        self._settings = settings
        self.about = f"OpenCV's cascade {Path(settings.cascade).name}"
        path = _cascade_directory() / settings.cascade  # an absolute path stays as it is
        if not path.is_file():
            names = ", ".join(sorted(file.name for file in _cascade_directory().glob("*.xml")))
            raise Refused(
                f"There is no cascade {settings.cascade!r}: name a file, or one of {names}.", code=FaultCode.NOT_FOUND
            )
        try:
            self._classifier = cv2.CascadeClassifier(str(path))
        except (cv2.error, SystemError):
            self._classifier = cv2.CascadeClassifier()
        if self._classifier.empty():
            raise Refused(f"{path} is no cascade that OpenCV can read: name another.")

    def __call__(self, frames: Sequence[Pixels]) -> list[list[Box]]:
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: Pixels) -> list[Box]:
        settings = self._settings
        small, factor = _reduce(frame, settings.largest)
        smallest = max(1, round(settings.smallest * factor))
        found, _, weights = self._classifier.detectMultiScale3(
            cv2.cvtColor(small, cv2.COLOR_RGB2GRAY),
            scaleFactor=settings.scale,
            minNeighbors=settings.neighbours,
            minSize=(smallest, smallest),
            outputRejectLevels=True,
        )
        sides = [[float(side) for side in box] for box in found]
        return _boxes(sides, _confidences(weights), settings.label, factor, frame)


def _cascade_directory() -> Path:
    """The directory of the cascades that OpenCV ships."""
    return Path(cv2.__file__).parent / "data"


def _reduce(frame: Pixels, largest: int) -> tuple[Pixels, float]:
    """The frame with at most `largest` pixels a side, and the factor of its sides."""
    factor = min(1.0, largest / max(frame.shape[:2]))
    if factor == 1.0:
        return frame, factor
    return np.asarray(cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8), factor


def _confidences(weights: object) -> list[float]:
    return [1 / (1 + exp(-max(-60.0, float(weight)))) for weight in np.ravel(np.asarray(weights))]


def _boxes(
    sides: Sequence[Sequence[float]], scores: Sequence[float], label: str, factor: float, frame: Pixels
) -> list[Box]:
    height, width = frame.shape[:2]
    found = [
        Box(x / factor, y / factor, w / factor, h / factor, label, score).within(width, height)
        for (x, y, w, h), score in zip(sides, scores, strict=True)
    ]
    return sorted((box for box in found if box is not None), key=lambda box: -box.confidence)

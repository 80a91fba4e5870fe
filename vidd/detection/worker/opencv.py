"""The detectors that OpenCV brings: people by histograms of gradients, faces by a cascade. Never imported by the daemon."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidd.errors import Refused
from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.detection.settings import Faces, People
    from vidd.detection.worker.frame_loader import Pixels

_OLDER = "and OpenCV from 5 on has it no more: install vidd[annotate], which takes 4.14"
_WINDOW = (64, 128)


class Walkers:
    """People who stand or walk, 128 pixels high at least (Dalal and Triggs, 2005).

    The detector tells how far from its dividing plane a window lies; confidence is the logistic function of that.
    """

    batch = 1
    about = "OpenCV's detector of people"

    def __init__(self, settings: People, threads: int) -> None:
        if not hasattr(cv2, "HOGDescriptor"):
            raise Refused(f"It needs OpenCV's HOGDescriptor, {_OLDER}.")
        cv2.setNumThreads(threads or -1)
        self._settings = settings
        self._descriptor = cv2.HOGDescriptor()
        self._descriptor.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def __call__(self, pictures: Sequence[Pixels]) -> list[list[Box]]:
        return [self._look(picture) for picture in pictures]

    def _look(self, picture: Pixels) -> list[Box]:
        settings = self._settings
        small, factor = _reduced(picture, settings.largest)
        # OpenCV itself dies of a picture that its window does not fit into.
        if small.shape[1] < _WINDOW[0] or small.shape[0] < _WINDOW[1]:
            return []
        stride = (settings.stride, settings.stride)
        found, weights = self._descriptor.detectMultiScale(
            small, hitThreshold=settings.threshold, winStride=stride, padding=(8, 8), scale=settings.scale
        )
        sides = [[float(one) for one in box] for box in found]
        scores = _confidences(weights)
        kept = cv2.dnn.NMSBoxes(sides, scores, 0.0, settings.overlap) if sides else ()
        return _boxes([sides[at] for at in kept], [scores[at] for at in kept], settings.label, factor, picture)


class Cascade:
    """What a cascade of Haar features knows (Viola and Jones, 2001); confidence is made of its last stage's sum."""

    batch = 1

    def __init__(self, settings: Faces, threads: int) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise Refused(f"It needs OpenCV's CascadeClassifier, {_OLDER}.")
        cv2.setNumThreads(threads or -1)
        self._settings = settings
        self.about = f"OpenCV's cascade {Path(settings.cascade).name}"
        path = _cascades() / settings.cascade  # an absolute one stays as it is
        if not path.is_file():
            there = ", ".join(sorted(one.name for one in _cascades().glob("*.xml")))
            raise Refused(f"There is no cascade {settings.cascade!r}: name a file, or one of {there}.")
        try:
            self._classifier = cv2.CascadeClassifier(str(path))
        except (cv2.error, SystemError):
            self._classifier = cv2.CascadeClassifier()
        if self._classifier.empty():
            raise Refused(f"{path} is no cascade that OpenCV can read: name another.")

    def __call__(self, pictures: Sequence[Pixels]) -> list[list[Box]]:
        return [self._look(picture) for picture in pictures]

    def _look(self, picture: Pixels) -> list[Box]:
        settings = self._settings
        small, factor = _reduced(picture, settings.largest)
        smallest = max(1, round(settings.smallest * factor))
        found, _, weights = self._classifier.detectMultiScale3(
            cv2.cvtColor(small, cv2.COLOR_RGB2GRAY),
            scaleFactor=settings.scale,
            minNeighbors=settings.neighbours,
            minSize=(smallest, smallest),
            outputRejectLevels=True,
        )
        sides = [[float(one) for one in box] for box in found]
        return _boxes(sides, _confidences(weights), settings.label, factor, picture)


def _cascades() -> Path:
    """Where OpenCV keeps its cascades."""
    return Path(cv2.__file__).parent / "data"


def _reduced(picture: Pixels, largest: int) -> tuple[Pixels, float]:
    """A picture of no more than so many pixels a side, and by what its sides were multiplied."""
    factor = min(1.0, largest / max(picture.shape[:2]))
    if factor == 1.0:
        return picture, factor
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8), factor


def _confidences(weights: object) -> list[float]:
    return [1 / (1 + exp(-max(-60.0, float(one)))) for one in np.ravel(np.asarray(weights))]


def _boxes(
    sides: Sequence[Sequence[float]], scores: Sequence[float], label: str, factor: float, picture: Pixels
) -> list[Box]:
    height, width = picture.shape[:2]
    found = [
        Box(x / factor, y / factor, w / factor, h / factor, label, score).within(width, height)
        for (x, y, w, h), score in zip(sides, scores, strict=True)
    ]
    return sorted((box for box in found if box is not None), key=lambda box: -box.confidence)

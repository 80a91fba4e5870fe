"""Applies an augmentation to the pixels of a frame, with OpenCV and numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from vidd.model.augmentation import Geometry, Recipe, recipe_geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# No library does this for us: albumentations is no longer maintained and its successor has another licence, imgaug is
# abandoned, and the rest needs torch.

Pixels: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"
"""Rows of pixels of red, green and blue."""


def augment(frame: Pixels, how: Recipe) -> Pixels:
    """The frame after the change; the same pixels for the same recipe."""
    height, width = frame.shape[:2]
    changed = _CHANGES[how.kind](frame, how, recipe_geometry(how, width, height))
    return np.ascontiguousarray(changed, np.uint8)


def _warp(frame: Pixels, _how: Recipe, where: Geometry) -> Any:
    # OpenCV counts from the middle of the first pixel, boxes from its edge.
    c = where.c + (where.a + where.b - 1) / 2
    f = where.f + (where.d + where.e - 1) / 2
    matrix = np.array([[where.a, where.b, c], [where.d, where.e, f]], np.float64)
    return cv2.warpAffine(frame, matrix, (where.width, where.height), flags=cv2.INTER_LINEAR)


def _crop(frame: Pixels, _how: Recipe, where: Geometry) -> Any:
    left, top = round(-where.c), round(-where.f)
    return frame[top : top + where.height, left : left + where.width]


def _blur(frame: Pixels, how: Recipe, _where: Geometry) -> Any:
    # OpenCV can make no kernel for less than this, and nothing would be visible.
    return cv2.GaussianBlur(frame, (0, 0), how.amount) if how.amount >= 0.1 else frame


def _noise(frame: Pixels, how: Recipe, _where: Geometry) -> Any:
    # The stream of this generator never changes (NEP 19), so that a data set can be made again in years.
    noise = np.random.RandomState(how.seed).normal(0.0, how.amount, frame.shape)
    return _to_bytes(frame + noise)


def _brighten(frame: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _to_bytes(frame + np.float32(how.amount))


def _shift_hue(frame: Pixels, how: Recipe, _where: Geometry) -> Any:
    # OpenCV's hue of 8 bits counts in steps of two degrees.
    return _change_hsv(frame, 0, lambda hue: np.mod(hue + how.amount / 2, 180))


def _saturate(frame: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _change_hsv(frame, 1, lambda saturation: saturation + how.amount)


def _grey(frame: Pixels, how: Recipe, _where: Geometry) -> Any:
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(frame, 1 - how.amount, grey, how.amount, 0)


def _change_hsv(frame: Pixels, channel: int, change: Callable[[Any], Any]) -> Any:
    colours = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    colours[..., channel] = _to_bytes(change(colours[..., channel].astype(np.float32)))
    return cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)


def _to_bytes(samples: Any) -> Any:
    return np.clip(np.rint(samples), 0, 255).astype(np.uint8)


_CHANGES: Mapping[str, Callable[[Pixels, Recipe, Geometry], Any]] = {
    "flip-horizontal": lambda frame, _how, _where: frame[:, ::-1],
    "flip-vertical": lambda frame, _how, _where: frame[::-1],
    "rotate-90": lambda frame, _how, _where: np.rot90(frame, -1),
    "rotate-180": lambda frame, _how, _where: frame[::-1, ::-1],
    "rotate-270": lambda frame, _how, _where: np.rot90(frame),
    "rotate": _warp,
    "shear-x": _warp,
    "shear-y": _warp,
    "crop": _crop,
    "blur-gaussian": _blur,
    "noise-gaussian": _noise,
    "brightness-add": _brighten,
    "hue-add": _shift_hue,
    "saturation-add": _saturate,
    "grayscale": _grey,
}

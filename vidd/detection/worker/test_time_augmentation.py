"""A picture changed by a recipe. Never imported by the daemon.

By OpenCV and numpy: of the libraries for this albumentations is given up and its successor's licence is not ours, imgaug is
dead, and the rest needs torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from vidd.model.augmentation import Geometry, Recipe, geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vidd.detection.worker.frame_loader import Pixels


def augmented(picture: Pixels, how: Recipe) -> Pixels:
    """The picture after the change, the same each time."""
    height, width = picture.shape[:2]
    changed = _CHANGES[how.kind](picture, how, geometry(how, width, height))
    return np.ascontiguousarray(changed, np.uint8)


def _warped(picture: Pixels, _how: Recipe, where: Geometry) -> Any:
    # OpenCV counts from the middle of the first pixel, boxes from its edge.
    c = where.c + (where.a + where.b - 1) / 2
    f = where.f + (where.d + where.e - 1) / 2
    matrix = np.array([[where.a, where.b, c], [where.d, where.e, f]], np.float64)
    return cv2.warpAffine(picture, matrix, (where.width, where.height), flags=cv2.INTER_LINEAR)


def _cropped(picture: Pixels, _how: Recipe, where: Geometry) -> Any:
    left, top = round(-where.c), round(-where.f)
    return picture[top : top + where.height, left : left + where.width]


def _odd(amount: float) -> int:
    return max(1, round(amount) // 2 * 2 + 1)


def _gaussian(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    # Of less than this OpenCV can make no kernel, and nothing is to be seen.
    return cv2.GaussianBlur(picture, (0, 0), how.amount) if how.amount >= 0.1 else picture


def _average(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    side = max(1, round(how.amount))
    return cv2.blur(picture, (side, side))


def _median(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    return cv2.medianBlur(picture, _odd(how.amount))


def _noise(draw: str) -> Callable[[Pixels, Recipe, Geometry], Any]:
    def change(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
        # The stream of this one never changes (NEP 19), so that a data set can be made again in years.
        drawn = getattr(np.random.RandomState(how.seed), draw)
        return _whole(picture + drawn(0.0, how.amount, picture.shape))

    return change


def _add(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _whole(picture + np.float32(how.amount))


def _multiply(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _whole(picture * np.float32(how.amount))


def _gamma(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _table(picture, np.linspace(0, 1, 256) ** how.amount)


def _sigmoid(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _table(picture, 1 / (1 + np.exp(how.amount * (0.5 - np.linspace(0, 1, 256)))))


def _hue(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _in_hsv(picture, 0, lambda hue: np.mod(hue + how.amount / 2, 180))  # OpenCV's hue of 8 bits is half of it


def _saturation_add(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _in_hsv(picture, 1, lambda saturation: saturation + how.amount)


def _saturation_multiply(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    return _in_hsv(picture, 1, lambda saturation: saturation * how.amount)


def _grey(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(picture, 1 - how.amount, grey, how.amount, 0)


def _sharp(picture: Pixels, how: Recipe, _where: Geometry) -> Any:
    edges = np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], np.float32)
    return cv2.addWeighted(picture, 1 - how.amount, cv2.filter2D(picture, -1, edges), how.amount, 0)


def _in_hsv(picture: Pixels, channel: int, change: Callable[[Any], Any]) -> Any:
    colours = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    colours[..., channel] = _whole(change(colours[..., channel].astype(np.float32)))
    return cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)


def _table(picture: Pixels, curve: Any) -> Any:
    return cv2.LUT(picture, _whole(curve * 255))


def _whole(samples: Any) -> Any:
    return np.clip(np.rint(samples), 0, 255).astype(np.uint8)


_CHANGES: Mapping[str, Callable[[Pixels, Recipe, Geometry], Any]] = {
    "flip-horizontal": lambda picture, _how, _where: picture[:, ::-1],
    "flip-vertical": lambda picture, _how, _where: picture[::-1],
    "rotate-90": lambda picture, _how, _where: np.rot90(picture, -1),
    "rotate-180": lambda picture, _how, _where: picture[::-1, ::-1],
    "rotate-270": lambda picture, _how, _where: np.rot90(picture),
    "rotate": _warped,
    "shear-x": _warped,
    "shear-y": _warped,
    "crop": _cropped,
    "blur-gaussian": _gaussian,
    "blur-average": _average,
    "blur-median": _median,
    "noise-gaussian": _noise("normal"),
    "noise-laplace": _noise("laplace"),
    "brightness-add": _add,
    "brightness-multiply": _multiply,
    "contrast-gamma": _gamma,
    "contrast-sigmoid": _sigmoid,
    "hue-add": _hue,
    "saturation-add": _saturation_add,
    "saturation-multiply": _saturation_multiply,
    "grayscale": _grey,
    "sharpen": _sharp,
}

"""The pixels of a changed picture. Runs in a child; never imported by the daemon."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageEnhance, ImageFilter

if TYPE_CHECKING:
    from vidd.model.augmentation import Change

_TURNS = {
    "flip-horizontal": Image.Transpose.FLIP_LEFT_RIGHT,
    "flip-vertical": Image.Transpose.FLIP_TOP_BOTTOM,
    "rotate-90": Image.Transpose.ROTATE_270,
    "rotate-180": Image.Transpose.ROTATE_180,
    "rotate-270": Image.Transpose.ROTATE_90,
}
_MOVES = frozenset({"rotate", "shear-x", "shear-y"})
_EVENS = 4
# So many even numbers of 0 to 255, averaged, are spread by this (standard deviation).
_SPREAD = 256 / (12 * _EVENS) ** 0.5


def augmented(picture: Image.Image, change: Change) -> Image.Image:
    """A picture (RGB) as the change has it; what comes in from outside is black."""
    if change.name in _TURNS:
        return picture.transpose(_TURNS[change.name])
    if change.name in _MOVES:
        back = _back(change.matrix)
        return picture.transform(picture.size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
    if change.name == "crop":
        left, top = -round(change.matrix[2]), -round(change.matrix[5])
        return picture.crop((left, top, left + change.width, top + change.height))
    return _coloured(picture, change)


def _coloured(picture: Image.Image, change: Change) -> Image.Image:
    strength = change.strength
    match change.name:
        case "grayscale":
            return Image.blend(picture, picture.convert("L").convert("RGB"), strength / 100)
        case "hue-add":
            hue, saturation, value = picture.convert("HSV").split()
            turned = hue.point(lambda one: (one + round(strength / 360 * 256)) % 256)
            return Image.merge("HSV", (turned, saturation, value)).convert("RGB")
        case "saturation-add":
            return ImageEnhance.Color(picture).enhance(1 + strength / 100)
        case "brightness-add":
            return ImageEnhance.Brightness(picture).enhance(1 + strength / 100)
        case "blur-gaussian":
            return picture.filter(ImageFilter.GaussianBlur(strength))
        case "noise-gaussian":
            return _noisy(picture, strength / 100 * 255, change.seed)
    raise ValueError(f"there is no augmentation {change.name!r}")


def _back(matrix: tuple[float, ...]) -> tuple[float, ...]:
    """From a place of the new picture to that of the old one, as Pillow wants it."""
    a, b, c, d, e, f = matrix
    scale = a * e - b * d
    return (e / scale, -b / scale, (b * f - c * e) / scale, -d / scale, a / scale, (c * d - a * f) / scale)


def _noisy(picture: Image.Image, spread: float, seed: str) -> Image.Image:
    """Noise that is nearly Gaussian: the mean of a few even ones. Pillow's own cannot be had a second time."""
    chance = random.Random(f"{seed}:noise")  # noqa: S311 - it must come out the same again
    bands = []
    for band in picture.split():
        mean = _even(chance, picture.size)
        for number in range(2, _EVENS + 1):
            mean = Image.blend(mean, _even(chance, picture.size), 1 / number)
        noise = mean.point(lambda one: max(0.0, min(255.0, round((one - 127.5) * spread / _SPREAD) + 128)))
        bands.append(ImageChops.add(band, noise, 1, -128))
    return Image.merge("RGB", bands)


def _even(chance: random.Random, size: tuple[int, int]) -> Image.Image:
    return Image.frombytes("L", size, chance.randbytes(size[0] * size[1]))

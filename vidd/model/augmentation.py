"""How pictures are changed so that there are more of them to learn from: what is asked for, what is drawn, where boxes go.

All is drawn from a seed, so that the same picture is changed in the same way whenever that is done. No I/O.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from math import cos, isfinite, radians, sin, tan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vidd.model.annotations import Mark

NAMES: Mapping[str, str] = {
    "FLIP_HORIZONTAL": "flip-horizontal",
    "FLIP_VERTICAL": "flip-vertical",
    "CLOCKWISE": "rotate-90",
    "UPSIDE_DOWN": "rotate-180",
    "COUNTER_CLOCKWISE": "rotate-270",
    "PERCENTAGE_SCALE": "rotate",
    "SHEAR_HORIZONTAL": "shear-x",
    "SHEAR_VERTICAL": "shear-y",
    "CROP_PERCENTAGE": "crop",
    "GRAYSCALE_PERCENTAGE": "grayscale",
    "HUE_DEGREES": "hue-add",
    "SATURATION_DEGREES": "saturation-add",
    "BRIGHTNESS_DEGREES": "brightness-add",
    "BLUR": "blur-gaussian",
    "NOISE_PERCENTAGE": "noise-gaussian",
}
"""What the documents call them, and what keys do."""

_SWITCHES = frozenset({"FLIP_HORIZONTAL", "FLIP_VERTICAL", "CLOCKWISE", "UPSIDE_DOWN", "COUNTER_CLOCKWISE"})
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "rotate": (-180, 180),
    "shear-x": (-60, 60),
    "shear-y": (-60, 60),
    "crop": (-90, 90),
    "grayscale": (0, 100),
    "hue-add": (-360, 360),
    "saturation-add": (-100, 1000),
    "brightness-add": (-100, 1000),
    "blur-gaussian": (0, 100),
    "noise-gaussian": (0, 100),
}
"""Degrees for angles and hues, pixels for the blur, percent for all else."""

Matrix = tuple[float, float, float, float, float, float]
"""From a place (x, y) of the old picture to one of the new: (a x + b y + c, d x + e y + f)."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """One kind of change, and between what its strength is drawn."""

    name: str
    low: float = 0.0
    high: float = 0.0

    def to_json(self) -> list[Any]:
        """As plain JSON types."""
        return [self.name, self.low, self.high]


def augmentation_of(name: str, values: Any) -> Augmentation | None:
    """What a property of a version's document asks for; None where it is switched off. ValueError where it makes no sense."""
    if name.endswith("_DUPLICATE"):
        return None  # the lower end of a range, which the front end keeps a second time
    if name not in NAMES:
        raise ValueError(f"there is no augmentation {name!r}; there are {', '.join(NAMES)}")
    given = values if isinstance(values, list | tuple) else [] if values is None else [values]
    if name in _SWITCHES:
        return Augmentation(NAMES[name]) if given and given[0] else None
    if not given:
        return None
    numbers = [one for one in given if isinstance(one, int | float) and not isinstance(one, bool) and isfinite(one)]
    low, high = _BOUNDS[NAMES[name]]
    if len(numbers) != len(given) or len(given) > 2 or not all(low <= one <= high for one in numbers):
        raise ValueError(f"{name} goes from {low:g} to {high:g}: write one number or two, not {given!r}")
    return Augmentation(NAMES[name], float(min(numbers)), float(max(numbers)))


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one picture of `width` x `height`: what was drawn, and where its places go."""

    name: str
    strength: float
    seed: str
    width: int
    height: int
    matrix: Matrix

    def moved(self, marks: Iterable[Mark]) -> list[Mark]:
        """The boxes on the new picture: around where their corners go, and what of that is on it."""
        found = []
        a, b, c, d, e, f = self.matrix
        for mark in marks:
            corners = [(x, y) for x in (mark.x, mark.x + mark.w) for y in (mark.y, mark.y + mark.h)]
            across = [a * x + b * y + c for x, y in corners]
            down = [d * x + e * y + f for x, y in corners]
            left, top = min(across), min(down)
            there = replace(mark, x=left, y=top, w=max(across) - left, h=max(down) - top).within(
                self.width, self.height
            )
            if there is not None:
                found.append(there)
        return found


def drawn(wanted: Augmentation, seed: str, width: int, height: int) -> Change:
    """What becomes of a picture of this size."""
    chance = random.Random(seed)  # noqa: S311 - it must come out the same again
    strength = chance.uniform(wanted.low, wanted.high)
    same: Matrix = (1, 0, 0, 0, 1, 0)
    new, matrix = (width, height), same
    middle = (width / 2, height / 2)
    match wanted.name:
        case "flip-horizontal":
            matrix = (-1, 0, width, 0, 1, 0)
        case "flip-vertical":
            matrix = (1, 0, 0, 0, -1, height)
        case "rotate-90":
            new, matrix = (height, width), (0, -1, height, 1, 0, 0)
        case "rotate-180":
            matrix = (-1, 0, width, 0, -1, height)
        case "rotate-270":
            new, matrix = (height, width), (0, 1, 0, -1, 0, width)
        case "rotate":
            turn = radians(strength)
            matrix = _about(middle, cos(turn), -sin(turn), sin(turn), cos(turn))
        case "shear-x":
            matrix = _about(middle, 1, tan(radians(strength)), 0, 1)
        case "shear-y":
            matrix = _about(middle, 1, 0, tan(radians(strength)), 1)
        case "crop":
            share = 1 - abs(strength) / 100
            new = max(1, round(width * share)), max(1, round(height * share))
            left, top = chance.randint(0, width - new[0]), chance.randint(0, height - new[1])
            matrix = (1, 0, -left, 0, 1, -top)
    return Change(wanted.name, strength, seed, *new, matrix)


def _about(middle: tuple[float, float], a: float, b: float, d: float, e: float) -> Matrix:
    x, y = middle
    return (a, b, x - a * x - b * y, d, e, y - d * x - e * y)

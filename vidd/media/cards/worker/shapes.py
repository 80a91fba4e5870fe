"""Shapes with smooth edges: rounded rectangles and signs, as masks. Pillow draws edges hard, so they are drawn large."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from PIL import Image, ImageDraw

_LARGER = 4


@lru_cache(maxsize=256)
def rounded_mask(size: tuple[int, int], radius: int) -> Image.Image:
    """A rectangle with round corners."""
    width, height = size
    radius = min(radius, width // 2, height // 2)
    mask = Image.new("L", size, 255)
    if not radius:
        return mask
    disc = _disc(2 * radius)
    for x, left in ((0, 0), (width - radius, radius)):
        for y, top in ((0, 0), (height - radius, radius)):
            mask.paste(disc.crop((left, top, left + radius, top + radius)), (x, y))
    return mask


@lru_cache(maxsize=64)
def _disc(side: int) -> Image.Image:
    large = Image.new("L", (side * _LARGER, side * _LARGER))
    ImageDraw.Draw(large).ellipse((0, 0, side * _LARGER - 1, side * _LARGER - 1), fill=255)
    return large.resize((side, side), Image.Resampling.BOX)


@lru_cache(maxsize=64)
def sign(name: str, side: int) -> Image.Image:
    """A sign in a square: `repost`, `picture`, `warning` or `play`."""
    large = side * _LARGER
    mask = Image.new("L", (large, large))
    _SIGNS[name](ImageDraw.Draw(mask), large / 100)
    return mask.resize((side, side), Image.Resampling.BOX)


def _points(unit: float, *points: tuple[float, float]) -> list[tuple[float, float]]:
    return [(x * unit, y * unit) for x, y in points]


def _box(unit: float, *sides: float) -> tuple[float, ...]:
    return tuple(side * unit for side in sides)


def _stroke(pencil: ImageDraw.ImageDraw, unit: float, width: float, *points: tuple[float, float]) -> None:
    placed, half = _points(unit, *points), width * unit / 2
    pencil.line(placed, fill=255, width=round(width * unit), joint="curve")
    for x, y in placed:
        pencil.ellipse((x - half, y - half, x + half, y + half), fill=255)


def _repost(pencil: ImageDraw.ImageDraw, unit: float) -> None:
    _stroke(pencil, unit, 9, (22, 62), (22, 40), (34, 28), (70, 28))
    _stroke(pencil, unit, 9, (57, 13), (72, 28), (57, 43))
    _stroke(pencil, unit, 9, (78, 38), (78, 60), (66, 72), (30, 72))
    _stroke(pencil, unit, 9, (43, 57), (28, 72), (43, 87))


def _picture(pencil: ImageDraw.ImageDraw, unit: float) -> None:
    pencil.rounded_rectangle(_box(unit, 6, 14, 94, 86), radius=12 * unit, outline=255, width=round(7 * unit))
    pencil.ellipse(_box(unit, 23, 28, 41, 46), fill=255)
    pencil.polygon(_points(unit, (14, 78), (38, 52), (52, 66), (68, 44), (86, 66), (86, 78)), fill=255)


def _warning(pencil: ImageDraw.ImageDraw, unit: float) -> None:
    _stroke(pencil, unit, 9, (50, 14), (92, 86), (8, 86), (50, 14))
    _stroke(pencil, unit, 10, (50, 42), (50, 60))
    pencil.ellipse(_box(unit, 44, 68, 56, 80), fill=255)


def _play(pencil: ImageDraw.ImageDraw, unit: float) -> None:
    _stroke(pencil, unit, 8, (32, 22), (32, 78), (78, 50), (32, 22))
    pencil.polygon(_points(unit, (32, 22), (32, 78), (78, 50)), fill=255)


_SIGNS: Mapping[str, Callable[[ImageDraw.ImageDraw, float], None]] = {
    "picture": _picture,
    "play": _play,
    "repost": _repost,
    "warning": _warning,
}

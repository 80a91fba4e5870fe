"""Augmentations of a data set: which frames change, how, and where their boxes are afterwards; no I/O.

Every random number depends on the seed, the kind of augmentation and the frame's name alone, so a frame changes in the
same way whatever other frames there are, and in whatever order. `parse_augmentations` reads a data set's document.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import blake2b
from math import cos, radians, sin, tan
from random import Random
from typing import TYPE_CHECKING, Any

from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SHARE = 0.1
"""The share of the frames (0 to 1) that each augmentation changes."""

MIN_BOX_SHARE = 0.3
"""The share of a box's area that must still be on the frame; a box with less is dropped."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The amount of a kind: its unit, the allowed range (`least` to `most`), and the default range (`low` to `high`)."""

    unit: str
    least: float
    most: float
    low: float
    high: float


_NONE = Bounds("", 0, 0, 0, 0)
KINDS: Mapping[str, Bounds] = {
    "flip-horizontal": _NONE,
    "flip-vertical": _NONE,
    "rotate-90": _NONE,
    "rotate-180": _NONE,
    "rotate-270": _NONE,
    "rotate": Bounds("degrees clockwise", -180, 180, -15, 15),
    "shear-x": Bounds("degrees", -80, 80, -10, 10),
    "shear-y": Bounds("degrees", -80, 80, -10, 10),
    "crop": Bounds("part of each side that goes", 0, 0.9, 0.05, 0.2),
    "blur-gaussian": Bounds("standard deviation in pixels", 0, 20, 0.5, 2),
    "noise-gaussian": Bounds("standard deviation of 255", 0, 128, 5, 20),
    "brightness-add": Bounds("of 255", -255, 255, -40, 40),
    "hue-add": Bounds("degrees", -180, 180, -20, 20),
    "saturation-add": Bounds("of 255", -255, 255, -40, 40),
    "grayscale": Bounds("share of grey", 0, 1, 0.5, 1),
}
"""The kinds of augmentation; each belongs to one property of a data set's document (`PROPERTIES`)."""

_KIND_OF_PROPERTY = {
    "FLIP_HORIZONTAL": "flip-horizontal",
    "FLIP_VERTICAL": "flip-vertical",
    "CLOCKWISE": "rotate-90",
    "UPSIDE_DOWN": "rotate-180",
    "COUNTER_CLOCKWISE": "rotate-270",
    "PERCENTAGE_SCALE": "rotate",
    "SHEAR_HORIZONTAL": "shear-x",
    "SHEAR_VERTICAL": "shear-y",
    "GRAYSCALE_PERCENTAGE": "grayscale",
    "BLUR": "blur-gaussian",
    "HUE_DEGREES": "hue-add",
    "SATURATION_DEGREES": "saturation-add",
    "CROP_PERCENTAGE": "crop",
    "NOISE_PERCENTAGE": "noise-gaussian",
    "BRIGHTNESS_DEGREES": "brightness-add",
}
PROPERTIES = tuple(_KIND_OF_PROPERTY)
"""The property ids in `augmentationTypes.IMAGE_LEVEL` of an AnnotationDatasetVersion."""

# The original system takes a fifth of the percentage that a document gives for a crop.
_DIVISORS = {"GRAYSCALE_PERCENTAGE": 100, "CROP_PERCENTAGE": 500}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A kind of change; the amount for a frame is drawn from `low` to `high`."""

    kind: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """The change of one frame: the amount, the position of a crop (`across`, `down`: 0 to 1), and the seed of the noise."""

    kind: str
    amount: float
    across: float
    down: float
    seed: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """From the fields that `to_json` writes."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Geometry:
    """An affine map, x' = a x + b y + c and y' = d x + e y + f, in pixels from the upper left corner, and the new frame size."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float
    width: int
    height: int

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The point to which the map moves (x, y)."""
        return self.a * x + self.b * y + self.c, self.d * x + self.e * y + self.f


def make_augmentation(kind: str, bounds: Sequence[float] | None = None) -> Augmentation:
    """An augmentation of this kind, with the range `bounds` (from, to) or the default range.

    Raises ValueError if the kind is unknown or the range is not allowed.
    """
    known = KINDS.get(kind)
    if known is None:
        raise ValueError(f"there is no augmentation {kind!r}; there are {', '.join(sorted(KINDS))}")
    if bounds is None or known is _NONE:
        return Augmentation(kind, known.low, known.high)
    if len(bounds) != 2:
        raise ValueError(f"the range of {kind} must be two numbers: from, to")
    low, high = sorted(float(bound) for bound in bounds)
    if not known.least <= low <= high <= known.most:
        raise ValueError(f"{kind} goes from {known.least:g} to {known.most:g} ({known.unit})")
    return Augmentation(kind, low, high)


def parse_augmentations(groups: Iterable[Mapping[str, Any]]) -> list[Augmentation]:
    """The augmentations of a document's `augmentationTypes.IMAGE_LEVEL`, each kind once, in the document's order.

    A property has an `id` and `values`: either a truth value (on or off) or a range (from, to). A property without values,
    or with the id of a slider's second handle (`…_DUPLICATE`), asks for nothing.
    Raises ValueError, with the property's id, if a property is unknown or its range is not allowed.
    """
    found: dict[str, Augmentation] = {}
    for group in groups:
        for prop in group.get("properties") or ():
            name, values = str(prop.get("id")), list(prop.get("values") or ())
            if name.endswith("_DUPLICATE") or not values or values[0] is False or values[0] is None:
                continue
            if name not in _KIND_OF_PROPERTY:
                raise ValueError(f"there is no augmentation {name!r}; there are {', '.join(sorted(_KIND_OF_PROPERTY))}")
            kind = _KIND_OF_PROPERTY[name]
            found.setdefault(kind, make_augmentation(kind, _range(name, values) if KINDS[kind].unit else None))
    return list(found.values())


def allowed_bounds(name: str) -> tuple[float, float]:
    """The least and the greatest value of a property of a document, in the property's own units."""
    known, divisor = KINDS[_KIND_OF_PROPERTY[name]], _DIVISORS.get(name, 1)
    return known.least * divisor, known.most * divisor


def select_frames(frames: Sequence[str], augmentation: Augmentation, seed: int, share: float = SHARE) -> list[str]:
    """The names of the frames that get this augmentation, in the order of `frames`; at least one.

    One frame more or less changes the selection by at most one frame.
    """
    number = min(len(frames), max(1, round(len(frames) * share)))
    ranked = sorted((_rank(seed, augmentation.kind, name), name) for name in set(frames))
    selected = {name for _, name in ranked[:number]}
    return [name for name in frames if name in selected]


def make_recipe(augmentation: Augmentation, frame: str, seed: int) -> Recipe:
    """The change of the frame named `frame`; the same arguments give the same recipe."""
    random = Random(_rank(seed, augmentation.kind, frame, "recipe"))  # noqa: S311 - it must be reproducible
    amount = augmentation.low + (augmentation.high - augmentation.low) * random.random()
    across, down = round(random.random(), 6), round(random.random(), 6)
    return Recipe(augmentation.kind, round(amount, 6), across, down, random.getrandbits(32))


def recipe_geometry(recipe: Recipe, width: int, height: int) -> Geometry:
    """How the points of a frame of `width` x `height` pixels move; a change of colours alone moves none."""
    exact = {
        "flip-horizontal": Geometry(-1, 0, width, 0, 1, 0, width, height),
        "flip-vertical": Geometry(1, 0, 0, 0, -1, height, width, height),
        "rotate-90": Geometry(0, -1, height, 1, 0, 0, height, width),
        "rotate-180": Geometry(-1, 0, width, 0, -1, height, width, height),
        "rotate-270": Geometry(0, 1, 0, -1, 0, width, height, width),
    }
    if recipe.kind in exact:
        return exact[recipe.kind]
    if recipe.kind == "rotate":
        return _rotation(radians(recipe.amount), width, height)
    if recipe.kind == "crop":
        return _crop(recipe, width, height)
    slope = tan(radians(recipe.amount))
    across, down = slope if recipe.kind == "shear-x" else 0.0, slope if recipe.kind == "shear-y" else 0.0
    return Geometry(1, across, -across * height / 2, down, 1, -down * width / 2, width, height)


def move_boxes(boxes: Sequence[Box], geometry: Geometry) -> list[Box]:
    """The boxes after the change: each one around its moved corners, clipped to the frame.

    A box is dropped if less than `MIN_BOX_SHARE` of its area, or less than a pixel, remains.
    """
    found = []
    for box in boxes:
        corners = [geometry.point(box.x + w, box.y + h) for w in (0, box.w) for h in (0, box.h)]
        across, down = [x for x, _ in corners], [y for _, y in corners]
        left, top = min(across), min(down)
        moved = Box(left, top, max(across) - left, max(down) - top, box.label, box.confidence)
        cut = moved.within(geometry.width, geometry.height)
        if cut is not None and min(cut.w, cut.h) >= 1 and cut.w * cut.h >= MIN_BOX_SHARE * moved.w * moved.h:
            found.append(cut)
    return found


def _range(name: str, values: list[Any]) -> tuple[float, float]:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise ValueError(f"the values of {name} must be numbers")
    least, most = allowed_bounds(name)
    if not all(least <= value <= most for value in values):
        raise ValueError(f"the values of {name} go from {least:g} to {most:g}")
    numbers = [value / _DIVISORS.get(name, 1) for value in values]
    return min(numbers), max(numbers)


def _rotation(angle: float, width: int, height: int) -> Geometry:
    """A rotation about the middle of the frame. y points down, so a positive angle (radians) is clockwise."""
    c, s, x, y = cos(angle), sin(angle), width / 2, height / 2
    return Geometry(c, -s, x - c * x + s * y, s, c, y - s * x - c * y, width, height)


def _crop(recipe: Recipe, width: int, height: int) -> Geometry:
    wide, high = (max(1, round(side * (1 - recipe.amount))) for side in (width, height))
    left, top = round((width - wide) * recipe.across), round((height - high) * recipe.down)
    return Geometry(1, 0, -left, 0, 1, -top, wide, high)


def _rank(seed: int, *words: str) -> int:
    text = "\0".join([str(seed), *words])
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")

"""Pictures of a data set made into more: which frames are changed, how, and where their boxes are then; no I/O.

Everything is drawn from the seed, the augmentation and the frame's own name, so that a frame is changed in the same way
whatever other frames there are, and in whatever order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import blake2b
from math import cos, radians, sin, tan
from random import Random
from typing import TYPE_CHECKING, Any

from vidd.model.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHARE = 0.1
"""Of the frames, how many each augmentation changes."""

LEAST_LEFT = 0.3
"""Of a box, how much must still be on the picture."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the amount of an augmentation is, from where to where it may go, and what it usually is."""

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
    "blur-average": Bounds("pixels", 1, 50, 2, 5),
    "blur-median": Bounds("pixels", 1, 50, 3, 7),
    "noise-gaussian": Bounds("standard deviation of 255", 0, 128, 5, 20),
    "noise-laplace": Bounds("scale of 255", 0, 128, 5, 20),
    "brightness-add": Bounds("of 255", -255, 255, -40, 40),
    "brightness-multiply": Bounds("factor", 0, 4, 0.7, 1.3),
    "contrast-gamma": Bounds("exponent", 0.1, 5, 0.7, 1.5),
    "contrast-sigmoid": Bounds("gain", 0.1, 30, 3, 10),
    "hue-add": Bounds("degrees", -180, 180, -20, 20),
    "saturation-add": Bounds("of 255", -255, 255, -40, 40),
    "saturation-multiply": Bounds("factor", 0, 4, 0.5, 1.5),
    "grayscale": Bounds("share of grey", 0, 1, 0.5, 1),
    "sharpen": Bounds("share of what is sharpened", 0, 1, 0.2, 0.8),
}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A kind of change whose amount is drawn from a range."""

    kind: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """The change of one picture: its amount, where a cut lies (0 to 1 in both directions), and a seed for what is noise."""

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
        """The opposite of `to_json`."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where points go, x' = a x + b y + c and y' = d x + e y + f, in pixels from the upper left edge; and the new size."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float
    width: int
    height: int

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point goes."""
        return self.a * x + self.b * y + self.c, self.d * x + self.e * y + self.f


def augmentation(kind: str, bounds: Sequence[float] | None = None) -> Augmentation:
    """An augmentation of a known kind; without `bounds` (from, to) as much as is usual. ValueError where it cannot be."""
    known = KINDS.get(kind)
    if known is None:
        raise ValueError(f"there is no augmentation {kind!r}; there are {', '.join(sorted(KINDS))}")
    if bounds is None or known is _NONE:
        return Augmentation(kind, known.low, known.high)
    if len(bounds) != 2:
        raise ValueError(f"the range of {kind} is a number from which and one to which it goes")
    low, high = sorted(float(bound) for bound in bounds)
    if not known.least <= low <= high <= known.most:
        raise ValueError(f"{kind} goes from {known.least:g} to {known.most:g} ({known.unit})")
    return Augmentation(kind, low, high)


def chosen(frames: Sequence[str], one: Augmentation, seed: int, share: float = SHARE) -> list[str]:
    """The frames that are changed so, at least one of any; in the order they came. Another frame more changes few of them."""
    number = min(len(frames), max(1, round(len(frames) * share)))
    lots = sorted((_lot(seed, one.kind, name), name) for name in set(frames))
    taken = {name for _, name in lots[:number]}
    return [name for name in frames if name in taken]


def recipe(one: Augmentation, frame: str, seed: int) -> Recipe:
    """How this frame is changed."""
    drawn = Random(_lot(seed, one.kind, frame, "recipe"))  # noqa: S311 - the same again is what is wanted
    amount = one.low + (one.high - one.low) * drawn.random()
    return Recipe(one.kind, round(amount, 6), round(drawn.random(), 6), round(drawn.random(), 6), drawn.getrandbits(32))


def geometry(how: Recipe, width: int, height: int) -> Geometry:
    """Where the points of a picture of this size go; most changes leave them where they are."""
    turns = {
        "flip-horizontal": Geometry(-1, 0, width, 0, 1, 0, width, height),
        "flip-vertical": Geometry(1, 0, 0, 0, -1, height, width, height),
        "rotate-90": Geometry(0, -1, height, 1, 0, 0, height, width),
        "rotate-180": Geometry(-1, 0, width, 0, -1, height, width, height),
        "rotate-270": Geometry(0, 1, 0, -1, 0, width, height, width),
    }
    if how.kind in turns:
        return turns[how.kind]
    if how.kind == "rotate":
        return _turned(radians(how.amount), width, height)
    if how.kind == "crop":
        return _cut(how, width, height)
    by = tan(radians(how.amount))
    across, down = by if how.kind == "shear-x" else 0.0, by if how.kind == "shear-y" else 0.0
    return Geometry(1, across, -across * height / 2, down, 1, -down * width / 2, width, height)


def moved(boxes: Sequence[Box], where: Geometry) -> list[Box]:
    """The boxes after the change, each around its own corners, cut at the edges; those of which too little is left go."""
    found = []
    for box in boxes:
        corners = [where.point(box.x + w, box.y + h) for w in (0, box.w) for h in (0, box.h)]
        across, down = [x for x, _ in corners], [y for _, y in corners]
        left, top = min(across), min(down)
        whole = Box(left, top, max(across) - left, max(down) - top, box.label, box.confidence)
        cut = whole.within(where.width, where.height)
        if cut is not None and min(cut.w, cut.h) >= 1 and cut.w * cut.h >= LEAST_LEFT * whole.w * whole.h:
            found.append(cut)
    return found


def _turned(angle: float, width: int, height: int) -> Geometry:
    """Around the middle of the picture; y goes down, so that a positive angle is clockwise."""
    c, s, x, y = cos(angle), sin(angle), width / 2, height / 2
    return Geometry(c, -s, x - c * x + s * y, s, c, y - s * x - c * y, width, height)


def _cut(how: Recipe, width: int, height: int) -> Geometry:
    wide, high = (max(1, round(side * (1 - how.amount))) for side in (width, height))
    left, top = round((width - wide) * how.across), round((height - high) * how.down)
    return Geometry(1, 0, -left, 0, 1, -top, wide, high)


def _lot(seed: int, *words: str) -> int:
    text = "\0".join([str(seed), *words])
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")

"""The augmentations that a data set's document asks for, `augmentationTypes.IMAGE_LEVEL` of an AnnotationDatasetVersion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.model.augmentation import KINDS, Augmentation, augmentation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KINDS = {
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
PROPERTIES = tuple(_KINDS)
# What is called a percentage of a cut is a fifth of it in the original, too.
_DIVISORS = {"GRAYSCALE_PERCENTAGE": 100, "CROP_PERCENTAGE": 500}


def augmentations_of(groups: Iterable[Mapping[str, Any]]) -> list[Augmentation]:
    """Each kind once, in the document's order. ValueError, with the property's id, where one is not known or out of range.

    A property has an `id`, and as `values` whether it is wanted, or a number from which and one to which; without values, and
    where it is a second handle of another (`…_DUPLICATE`), it asks for nothing.
    """
    found: dict[str, Augmentation] = {}
    for group in groups:
        for property_ in group.get("properties") or ():
            name, values = str(property_.get("id")), list(property_.get("values") or ())
            if name.endswith("_DUPLICATE") or not values or values[0] is False or values[0] is None:
                continue
            if name not in _KINDS:
                raise ValueError(f"there is no augmentation {name!r}; there are {', '.join(sorted(_KINDS))}")
            kind = _KINDS[name]
            found.setdefault(kind, augmentation(kind, _range(name, values) if KINDS[kind].unit else None))
    return list(found.values())


def bounds_of(name: str) -> tuple[float, float]:
    """From where to where the values of a property may go, in its own units."""
    known, divisor = KINDS[_KINDS[name]], _DIVISORS.get(name, 1)
    return known.least * divisor, known.most * divisor


def _range(name: str, values: list[Any]) -> tuple[float, float]:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise ValueError(f"the values of {name} must be numbers")
    least, most = bounds_of(name)
    if not all(least <= value <= most for value in values):
        raise ValueError(f"the values of {name} go from {least:g} to {most:g}")
    numbers = [value / _DIVISORS.get(name, 1) for value in values]
    return min(numbers), max(numbers)

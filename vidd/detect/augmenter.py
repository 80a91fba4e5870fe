"""Changes pictures in a child of its own: `python -m vidd.detect.augmenter ORDERS`.

The orders are JSON (`Orders`). `wanted` is a file of JSON lines, one for each picture that is to be made: `source` and
`target` (JPEG files), `thumbnail` (another, or null), `recipe`, and the `boxes` of the source in pixels. To the file `made`
it writes a line for each, in that order: `target`, `width`, `height`, `boxes`; or `target` and `unreadable`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.model.augmentation import KINDS, LEAST_LEFT, Recipe, geometry, moved
from vidd.model.boxes import box_of
from vidd.obeying import obey

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Orders:
    """What is wanted. `quality` is that of JPEG, `thumbnail` the most pixels of a small one's longer side."""

    wanted: str
    made: str
    quality: int = 90
    thumbnail: int = 250
    least: float = LEAST_LEFT


def augment(orders: Orders, say: Callable[..., None]) -> dict[str, Any]:
    """Make them all; how many there are, and how many could not be read."""
    with Path(orders.wanted).open() as file:
        total = sum(1 for _ in file)
    unreadable = 0
    with Path(orders.wanted).open() as wanted, Path(orders.made).open("w") as made:
        for number, line in enumerate(wanted, 1):
            told = _one(json.loads(line), orders)
            unreadable += "unreadable" in told
            made.write(json.dumps(told) + "\n")
            say(frames=number, of=total)
    return {"frames": total, "unread": unreadable}


def _one(row: dict[str, Any], orders: Orders) -> dict[str, Any]:
    from PIL import Image  # noqa: PLC0415 - only the child has what it needs

    from vidd.detect.augment import augmented  # noqa: PLC0415
    from vidd.detect.pictures import image  # noqa: PLC0415

    how = Recipe.from_json(row["recipe"])
    if how.kind not in KINDS:
        raise Refused(f"There is no augmentation {how.kind!r}.")
    picture = image(Path(row["source"]))
    if picture is None:
        return {"target": row["target"], "unreadable": True}
    height, width = picture.shape[:2]
    where = geometry(how, width, height)
    boxes = moved([box_of(one) for one in row["boxes"]], where, orders.least)
    changed = Image.fromarray(augmented(picture, how))
    _save(changed, Path(row["target"]), orders.quality)
    if row.get("thumbnail"):
        changed.thumbnail((orders.thumbnail, orders.thumbnail))
        _save(changed, Path(row["thumbnail"]), orders.quality)
    sides = {"width": where.width, "height": where.height}
    return {"target": row["target"], **sides, "boxes": [one.to_json() for one in boxes]}


def _save(picture: Any, target: Path, quality: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    picture.save(part, "JPEG", quality=quality)
    part.rename(target)


if __name__ == "__main__":
    obey(lambda orders, say: augment(Orders(**orders), say))

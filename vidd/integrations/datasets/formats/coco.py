"""A data set as COCO's JSON for the detection of objects (cocodataset.org, "Data format"), in pieces."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vidd.integrations.datasets.labels import Classes, Marked


def coco(frames: Iterable[Marked], classes: Classes, *, name: str = "") -> Iterator[str]:
    """The text, piece by piece. The frames are gone through twice, so that nobody needs all of them in memory.

    Images, marks and categories count from 1; a category is its place among the classes and 1.
    """
    info = {"description": name, "version": "1.0"}
    yield f'{{"info": {json.dumps(info)}, "licenses": [], "categories": '
    yield json.dumps(
        [
            {"id": place, "name": entry.name, "supercategory": entry.label}
            for place, entry in enumerate(classes.wanted, 1)
            if entry.enabled
        ]
    )
    yield ', "images": ['
    yield from _joined(
        {"id": number, "file_name": frame.name, "width": frame.width, "height": frame.height}
        for number, frame in enumerate(frames, 1)
    )
    yield '], "annotations": ['
    yield from _joined(_annotations(frames, classes))
    yield "]}"


def _annotations(frames: Iterable[Marked], classes: Classes) -> Iterator[dict[str, Any]]:
    ids = count(1)
    for image, frame in enumerate(frames, 1):
        for mark in frame.marks:
            place, box = classes.place(mark), mark.within(frame.width, frame.height)
            if place is None or box is None:
                continue
            left, top, right, bottom = box
            wide, high = right - left, bottom - top
            yield {
                "id": next(ids),
                "image_id": image,
                "category_id": place + 1,
                "bbox": [round(one, 3) for one in (left, top, wide, high)],
                "area": round(wide * high, 3),
                "segmentation": [],
                "iscrowd": 0,
                "attributes": dict(mark.attributes),
                **({} if mark.confidence is None else {"score": mark.confidence}),
            }


def _joined(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    before = ""
    for row in rows:
        yield f"{before}\n{json.dumps(row)}"
        before = ","

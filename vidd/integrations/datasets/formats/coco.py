"""Writes a data set as COCO JSON for object detection (cocodataset.org, "Data format")."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vidd.integrations.datasets.labels import Classes, MarkedFrame


def coco(frames: Iterable[MarkedFrame], classes: Classes, *, name: str = "") -> Iterator[str]:
    """The text in pieces; iterates over the frames twice, so that they need not all be in memory.

    Images, annotations and categories count from 1; a category is the position of its class, plus 1.
    """
    info = {"description": name, "version": "1.0"}
    yield f'{{"info": {json.dumps(info)}, "licenses": [], "categories": '
    yield json.dumps(
        [
            {"id": number, "name": entry.name, "supercategory": entry.label}
            for number, entry in enumerate(classes.entries, 1)
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


def _annotations(frames: Iterable[MarkedFrame], classes: Classes) -> Iterator[dict[str, Any]]:
    ids = count(1)
    for image, frame in enumerate(frames, 1):
        for mark in frame.marks:
            index, box = classes.index_of(mark), mark.within(frame.width, frame.height)
            if index is None or box is None:
                continue
            left, top, right, bottom = box
            wide, high = right - left, bottom - top
            yield {
                "id": next(ids),
                "image_id": image,
                "category_id": index + 1,
                "bbox": [round(side, 3) for side in (left, top, wide, high)],
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

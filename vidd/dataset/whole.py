"""What a data set has as a whole: COCO JSON, CVAT's XML, and a zip of samples. Runs in a child; never imported by the daemon.

All are written as they are read, a frame at a time, and come out the same, byte by byte, when they are made again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from vidd.fulldisk import disk
from vidd.model.annotations import Label, Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_PARTS = {1: "Train", 2: "Validation", 3: "Test"}
# The oldest time a zip can hold: when it is made must not change it.
_ALWAYS = (1980, 1, 1, 0, 0, 0)
_PIECE = 1 << 20


def classes_of(labels: Sequence[Label], found: Iterator[str]) -> list[Label]:
    """The labels; where there are none, all that boxes have, in the order of the alphabet."""
    return list(labels) or [Label(index, name, {}) for index, name in enumerate(sorted(set(found)))]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The frames, one a line."""
    with path.open() as file:
        for line in file:
            yield json.loads(line)


class Whole:
    """Orders: the `rows` of all frames, the `labels`, and what is to be made (`coco`, `cvat`, `samples`) below `room`."""

    def __init__(self, orders: Mapping[str, Any], say: Callable[..., None]) -> None:
        self._orders, self._say = orders, say
        self._room, self._rows = Path(orders["room"]), Path(orders["rows"])
        given = [Label(*one) for one in orders["labels"]]
        names = (mark[4] for row in rows(self._rows) for mark in row["marks"])
        self._classes = classes_of(given, iter(()) if given else names)
        self._plain = not given

    def run(self) -> int:
        """Make them, and say what there is."""
        made = 0
        for name, make in (("coco", self._coco), ("cvat", self._cvat), ("samples", self._samples)):
            place = self._orders["want"].get(name)
            if place is not None:
                path = self._room / place
                path.parent.mkdir(parents=True, exist_ok=True)
                with disk():
                    make(path)
                self._say(whole=name, made=[place, path.stat().st_size, _md5(path)])
                made += 1
        return made

    def _boxes(self, row: Mapping[str, Any]) -> Iterator[tuple[Mark, Label]]:
        for mark in map(Mark.from_json, row["marks"]):
            for label in self._classes:
                if mark.label == label.name if self._plain else label.fits(mark):
                    yield mark, label

    def _coco(self, path: Path) -> None:
        """cocodataset.org/#format-data; categories are counted from 1, as its readers want it."""
        with path.open("w") as file:
            shown = [{"id": one.index + 1, "name": one.name, "supercategory": ""} for one in self._classes]
            file.write('{"info": {"description": ' + json.dumps(self._orders["title"]))
            file.write('}, "licenses": [], "categories": ' + json.dumps(shown) + ', "images": [')
            for number, row in enumerate(rows(self._rows), 1):
                image = {"id": number, "file_name": row["key"], "width": row["w"], "height": row["h"]}
                file.write((", " if number > 1 else "") + json.dumps(image))
            file.write('], "annotations": [')
            count = 0
            for number, row in enumerate(rows(self._rows), 1):
                for mark, label in self._boxes(row):
                    count += 1
                    box = [round(one, 3) for one in (mark.x, mark.y, mark.w, mark.h)]
                    one = {"id": count, "image_id": number, "category_id": label.index + 1, "bbox": box}
                    one |= {"area": round(mark.w * mark.h, 3), "iscrowd": 0, "segmentation": []}
                    one |= {"attributes": dict(mark.attributes)} if mark.attributes else {}
                    file.write((", " if count > 1 else "") + json.dumps(one))
            file.write("]}\n")

    def _cvat(self, path: Path) -> None:
        """CVAT for images 1.1 (docs.cvat.ai/docs/dataset_management/formats/format-cvat)."""
        with path.open("w", encoding="utf-8") as file:
            xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
            xml.startDocument()
            _open(xml, "annotations")
            _text(xml, "version", "1.1")
            self._meta(xml)
            for number, row in enumerate(rows(self._rows)):
                size = {"width": str(row["w"]), "height": str(row["h"])}
                part = _PARTS[row["part"]]
                _open(xml, "image", {"id": str(number), "name": row["key"], "subset": part, **size})
                for mark, label in self._boxes(row):
                    sides = {"xtl": mark.x, "ytl": mark.y, "xbr": mark.x + mark.w, "ybr": mark.y + mark.h}
                    places = {name: f"{value:.2f}" for name, value in sides.items()}
                    usual = {"label": label.name, "source": "manual", "occluded": "0"}
                    _open(xml, "box", {**usual, **places, "z_order": "0"})
                    for name, value in mark.attributes.items():
                        _open(xml, "attribute", {"name": _clean(name)})
                        xml.characters(_clean(_said(value)))
                        xml.endElement("attribute")
                    xml.endElement("box")
                xml.endElement("image")
                file.write("\n")
            xml.endElement("annotations")

    def _meta(self, xml: XMLGenerator) -> None:
        _open(xml, "meta")
        _open(xml, "task")
        _text(xml, "name", self._orders["title"])
        _open(xml, "labels")
        for name in dict.fromkeys(one.name for one in self._classes):
            _open(xml, "label")
            _text(xml, "name", name)
            xml.endElement("label")
        for name in ("labels", "task", "meta"):
            xml.endElement(name)

    def _samples(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
            for name, source in self._orders["samples"]:
                entry = zipfile.ZipInfo(name, _ALWAYS)
                entry.external_attr = 0o644 << 16
                with packed.open(entry, "w") as target, Path(source).open("rb") as file:
                    while piece := file.read(_PIECE):
                        target.write(piece)


def _open(xml: XMLGenerator, name: str, said: Mapping[str, str] | None = None) -> None:
    xml.startElement(name, AttributesImpl({one: _clean(value) for one, value in (said or {}).items()}))


def _text(xml: XMLGenerator, name: str, text: str) -> None:
    _open(xml, name)
    xml.characters(_clean(text))
    xml.endElement(name)


def _clean(text: str) -> str:
    """XML 1.0 has no control characters."""
    return "".join(one if one.isprintable() else " " for one in str(text))


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def run(orders: str, say: Callable[..., None]) -> int:
    """The orders are in a file."""
    return Whole(json.loads(Path(orders).read_text()), say).run()

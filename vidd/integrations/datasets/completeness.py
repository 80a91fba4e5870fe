"""What a data set has as a whole: COCO JSON, CVAT's XML, and a zip of samples. Runs in a child; never imported by the daemon.

All are written as they are read, a frame at a time, and come out the same, byte by byte, when they are made again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.files.disk_space import retry_if_full
from vidd.integrations.datasets.formats.coco import coco
from vidd.integrations.datasets.formats.cvat import cvat
from vidd.integrations.datasets.labels import Classes, Mark, Marked, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

# The oldest time a zip can hold: when it is made must not change it.
_ALWAYS = (1980, 1, 1, 0, 0, 0)
_PIECE = 1 << 20


class Rows:
    """The frames, one a line of a file, as often as they are gone through."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Marked]:
        """Each, in order."""
        with self._path.open() as file:
            for line in file:
                row = json.loads(line)
                yield Marked(row["key"], row["w"], row["h"], [Mark(*mark) for mark in row["marks"]])


class Whole:
    """Orders: the `rows` of all frames, the `labels`, and what is to be made (`coco`, `cvat`, `samples`) below `room`."""

    def __init__(self, orders: Mapping[str, Any], say: Callable[..., None]) -> None:
        self._orders, self._say = orders, say
        self._room, self._rows = Path(orders["room"]), Rows(Path(orders["rows"]))
        given = [Wanted(*label) for label in orders["labels"]]
        self._classes = Classes(given) if given else Classes.of(self._rows)

    def run(self) -> None:
        """Make them, and say what there is."""
        for name, make in (("coco", self._coco), ("cvat", self._cvat), ("samples", self._samples)):
            place = self._orders["want"].get(name)
            if place is not None:
                path = self._room / place
                path.parent.mkdir(parents=True, exist_ok=True)
                with retry_if_full():
                    make(path)
                self._say(whole=name, made=[place, path.stat().st_size, _md5(path)])

    def _coco(self, path: Path) -> None:
        self._write(path, coco(self._rows, self._classes, name=self._orders["title"]))

    def _cvat(self, path: Path) -> None:
        self._write(path, cvat(self._rows, self._classes, name=self._orders["title"]))

    def _write(self, path: Path, pieces: Iterable[str]) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(pieces)

    def _samples(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
            for name, source in self._orders["samples"]:
                entry = zipfile.ZipInfo(name, _ALWAYS)
                entry.external_attr = 0o644 << 16
                with packed.open(entry, "w") as target, Path(source).open("rb") as file:
                    while piece := file.read(_PIECE):
                        target.write(piece)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

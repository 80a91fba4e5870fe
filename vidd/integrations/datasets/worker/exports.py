"""Writes the exports of a data set: COCO JSON, CVAT's XML, and a zip of samples.

Each is written as its rows are read, a frame at a time, and has the same bytes when it is made again.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.files.digest import file_digest
from vidd.files.disk_space import retry_if_full
from vidd.integrations.datasets.formats.coco import coco
from vidd.integrations.datasets.formats.cvat import cvat
from vidd.integrations.datasets.labels import Classes, LabelClass, Mark, MarkedFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

# The oldest time a zip can hold: the time it is made must not change its bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_PIECE = 1 << 20


class Rows:
    """The frames in a file of JSON lines, which may be iterated any number of times."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[MarkedFrame]:
        """The frames, in order."""
        with self._path.open() as file:
            for line in file:
                row = json.loads(line)
                yield MarkedFrame(row["key"], row["w"], row["h"], [Mark(*mark) for mark in row["marks"]])


class ExportWriter:
    """Writes the exports that the orders name as `missing` below `directory`, from `rows` and `labels`."""

    def __init__(self, orders: Mapping[str, Any], report: Callable[..., None]) -> None:
        self._orders, self._report = orders, report
        self._directory, self._rows = Path(orders["directory"]), Rows(Path(orders["rows"]))
        entries = [LabelClass(*row) for row in orders["labels"]]
        self._classes = Classes(entries) if entries else Classes.of_frames(self._rows)

    def run(self) -> None:
        """Write them, and report the key, size and checksum of each."""
        for name, write in (("coco", self._coco), ("cvat", self._cvat), ("samples", self._samples)):
            key = self._orders["missing"].get(name)
            if key is not None:
                path = self._directory / key
                path.parent.mkdir(parents=True, exist_ok=True)
                with retry_if_full():
                    write(path)
                self._report(export=name, made=[key, path.stat().st_size, file_digest(path, "md5")])

    def _coco(self, path: Path) -> None:
        self._write(path, coco(self._rows, self._classes, name=self._orders["title"]))

    def _cvat(self, path: Path) -> None:
        self._write(path, cvat(self._rows, self._classes, name=self._orders["title"]))

    def _write(self, path: Path, pieces: Iterable[str]) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(pieces)

    def _samples(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, source in self._orders["samples"]:
                entry = zipfile.ZipInfo(name, _ZIP_TIME)
                entry.external_attr = 0o644 << 16
                with archive.open(entry, "w") as target, Path(source).open("rb") as file:
                    while piece := file.read(_PIECE):
                        target.write(piece)

"""Reads .xlsx workbooks (ECMA-376) with openpyxl and changes single cells in the worksheet's own XML.

openpyxl can write too, but drops what it does not know (text boxes, sparklines, slicers, threaded comments) and the
results of all formulas, so the next reading would find empty titles. vidd leaves every part but the changed worksheets
byte for byte as it was, and in those everything but the changed cells. It writes a cell as an inline string
(18.3.1.53), which needs no change of the shared strings.
"""

from __future__ import annotations

import io
import posixpath
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, time
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import escape

import openpyxl
from openpyxl.utils import get_column_letter
from openpyxl.utils.cell import column_index_from_string, coordinate_from_string
from openpyxl.utils.exceptions import InvalidFileException

from vidd.errors import Refused, RetryLater
from vidd.integrations.sheet.table import CellEdit, Grid

# openpyxl warns of extensions that it ignores; that does not matter, since it writes nothing.
warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")

_LARGEST = 256 * 1024 * 1024
_ROWS = 50_000
_ERRORS = {"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"}
_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_STYLE = re.compile(rb"\ss=[\"'](\d+)[\"']")
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_BROKEN = (
    zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError, expat.ExpatError,
    KeyError, ValueError, IndexError, TypeError, AttributeError, EOFError, NotImplementedError,
)  # fmt: skip


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise RetryLater(
            f"The workbook cannot be read ({type(error).__name__}): it may be half written, damaged or locked by a "
            "password; save it again as .xlsx."
        ) from None


def grids(content: bytes, tab: str | None = None) -> tuple[Grid, ...]:
    """The visible tabs, or the one that is named. Raises RetryLater where the file is damaged or half written."""
    with _readable():
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size <= _LARGEST:
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            names = [
                worksheet.title
                for worksheet in book.worksheets
                if tab == worksheet.title or worksheet.sheet_state == "visible"
            ]
            if tab is None or tab in names:
                return tuple(_grid(book[name]) for name in names if tab in {None, name})
    if size > _LARGEST:
        raise Refused("The workbook unpacks to more than 256 MiB, and no programme is that large: look at what it is.")
    raise Refused(f"The workbook has no tab {tab!r}, it has {', '.join(names)}: correct `tab` or the workbook.")


def _grid(sheet: Any) -> Grid:
    # The stored dimensions are wrong in files of some programs, and read-only mode would believe them.
    sheet.reset_dimensions()
    rows: list[tuple[str, ...]] = []
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        row = _trim(tuple(_text(value) for value in values))
        if number <= _ROWS:
            rows.append(row)
        elif row:
            raise Refused(
                f"The tab {sheet.title!r} has more than {_ROWS} rows, and no programme is that long: look at it."
            )
    while rows and not rows[-1]:
        rows.pop()
    return Grid(sheet.title, tuple(rows))


def _trim(row: tuple[str, ...]) -> tuple[str, ...]:
    end = len(row)
    while end and not row[end - 1]:
        end -= 1
    return row[:end]


def _text(value: Any) -> str:
    match value:
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case float() if value.is_integer():
            text = str(int(value))
        case datetime() if value.time() == time():
            text = value.date().isoformat()
        case datetime():
            text = value.isoformat(" ")
        case _:
            text = str(value)
    return "" if text in _ERRORS else text


def patch(content: bytes, edits: Sequence[CellEdit]) -> tuple[bytes, tuple[CellEdit, ...]]:
    """The workbook with these edits, and the edits left out because their cells hold formulas."""
    left: list[CellEdit] = []
    out = io.BytesIO()
    with _readable(), zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as copy:
        parts = _parts(archive)
        wanted: dict[str, list[CellEdit]] = {}
        for edit in edits:
            wanted.setdefault(parts[edit.tab], []).append(edit)
        for info in archive.infolist():
            data = archive.read(info)
            if info.filename in wanted:
                data, skipped = _Sheet(data).patch(wanted[info.filename])
                left += skipped
            copy.writestr(info, data, compress_type=info.compress_type)
    return out.getvalue(), tuple(left)


def _parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """The part that holds each tab (18.2.19 and the workbook's relationships)."""
    relations, book = (_tree(archive.read(part)) for part in ("xl/_rels/workbook.xml.rels", "xl/workbook.xml"))
    targets = {relation.get("Id"): relation.get("Target", "") for relation in relations}
    tabs = (element for element in book.iter() if element.tag.endswith("}sheet"))
    return {
        tab.get("name", ""): posixpath.normpath(posixpath.join("/xl", targets[tab.get(_RELATION)])).lstrip("/")
        for tab in tabs
    }


def _tree(data: bytes) -> ET.Element:
    return ET.fromstring(data)  # noqa: S314 - expat bounds entities itself, and the part's size is bounded above


def _tag_end(data: bytes, at: int) -> int:
    match = _TAG.match(data, at)
    if match is None:
        raise ValueError("tag without an end")
    return match.end()


def _gap(old: dict[int, tuple[int, int]], column: int, end: int) -> tuple[int, int]:
    """Where a missing cell is inserted: before the next cell at its right, or at the row's end."""
    after = min((key for key in old if key > column), default=None)
    at = end if after is None else old[after][0]
    return at, at


class _Sheet:
    """A worksheet part, with the byte offsets of its rows and cells."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.rows: dict[int, tuple[int, int]] = {}
        self.cells: dict[int, dict[int, tuple[int, int]]] = {}
        self.formulas: set[tuple[int, int]] = set()
        self.prefix = ""
        self._row = self._column = 0
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        self._parser = parser
        if re.match(rb"(?:\xef\xbb\xbf)?<\?xml[^>]*encoding=[\"'](?!utf-8|us-ascii)", data, re.IGNORECASE):
            raise ValueError("worksheet that is not UTF-8")
        parser.Parse(data, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        at = self._parser.CurrentByteIndex
        prefix, _, local = name.rpartition(":")
        if local == "worksheet":
            self.prefix = f"{prefix}:" if prefix else ""
        elif local == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._column = 0
            self.rows[self._row] = (at, _tag_end(self.data, at))
            self.cells[self._row] = {}
        elif local == "c":
            reference = attributes.get("r")
            self._column = (
                column_index_from_string(coordinate_from_string(reference)[0]) if reference else self._column + 1
            )
            self.cells[self._row][self._column - 1] = (at, _tag_end(self.data, at))
        elif local == "f":
            self.formulas.add((self._row, self._column - 1))

    def _end(self, name: str) -> None:
        at = self._parser.CurrentByteIndex
        local = name.rpartition(":")[2]
        if local not in {"row", "c"} or self.data[at : at + 2] != b"</":
            return
        if local == "row":
            self.rows[self._row] = (self.rows[self._row][0], _tag_end(self.data, at))
        else:
            start = self.cells[self._row][self._column - 1][0]
            self.cells[self._row][self._column - 1] = (start, _tag_end(self.data, at))

    def patch(self, edits: Sequence[CellEdit]) -> tuple[bytes, list[CellEdit]]:
        """The part with these edits, and the edits left out."""
        left = [edit for edit in edits if (edit.row, edit.column) in self.formulas]
        rows: dict[int, list[CellEdit]] = {}
        for edit in edits:
            if (edit.row, edit.column) not in self.formulas:
                rows.setdefault(edit.row, []).append(edit)
        pieces, done = [], 0
        for number in sorted(rows):
            start, end = self.rows[number]
            pieces += [self.data[done:start], self._row_with(rows[number])]
            done = end
        pieces.append(self.data[done:])
        return b"".join(pieces), left

    def _row_with(self, edits: Sequence[CellEdit]) -> bytes:
        start, end = self.rows[edits[0].row]
        old = self.cells[edits[0].row]
        done = _tag_end(self.data, start)
        # `spans` is a hint for readers (18.3.1.73); a cell outside it would contradict it.
        head = re.sub(rb"\sspans=(\"[^\"]*\"|'[^']*')", b"", self.data[start:done])
        closed = head.endswith(b"/>")
        pieces = [head[:-2].rstrip() + b">" if closed else head]
        close = end if closed else self.data.rindex(b"</", start, end)
        for edit in sorted(edits, key=lambda edit: edit.column):
            first, last = old.get(edit.column) or _gap(old, edit.column, close)
            style = _STYLE.search(self.data[first : _tag_end(self.data, first)]) if last > first else None
            pieces += [self.data[done:first], self._cell(edit, style[1].decode() if style else None)]
            done = last
        pieces += [self.data[done:end], f"</{self.prefix}row>".encode() if closed else b""]
        return b"".join(pieces)

    def _cell(self, edit: CellEdit, style: str | None) -> bytes:
        reference = f"{get_column_letter(edit.column + 1)}{edit.row}"
        style_attribute = f' s="{style}"' if style else ""
        text = escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", edit.text))
        p = self.prefix
        inline = f'<{p}is><{p}t xml:space="preserve">{text}</{p}t></{p}is>'
        return f'<{p}c r="{reference}"{style_attribute} t="inlineStr">{inline}</{p}c>'.encode()

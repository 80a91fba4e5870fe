""".xlsx workbooks (ECMA-376): read by openpyxl, changed cell by cell in the sheet's own XML.

openpyxl could write too, but it drops what it does not know (text boxes, sparklines, slicers, threaded comments)
and the results of all formulas, so the next reading would find empty titles. Here every part but the one sheet
stays byte for byte, and in that sheet everything but the cells that change. A cell is written as an inline
string (18.3.1.53), which needs no change of the shared strings.
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
from vidd.integrations.sheet.table import Cell, Grid

# Extensions that openpyxl passes over are no news: nothing is written by it.
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
def _whole() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise RetryLater(
            f"The workbook cannot be read ({type(error).__name__}): it may be half written, damaged or locked by a "
            "password; save it again as .xlsx."
        ) from None


def grids(content: bytes, tab: str | None = None) -> tuple[Grid, ...]:
    """The visible tabs, or the one that is named. RetryLater where the file is damaged or half written."""
    with _whole():
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
        raise Refused("The workbook unpacks to more than 256 MiB, no programme is that large: look at what it is.")
    raise Refused(f"The workbook has no tab {tab!r}, it has {', '.join(names)}: correct `tab` or the workbook.")


def _grid(sheet: Any) -> Grid:
    # The stored dimensions are wrong in files of some programs, and read-only mode would believe them.
    sheet.reset_dimensions()
    rows: list[tuple[str, ...]] = []
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        row = _trimmed(tuple(_text(value) for value in values))
        if number <= _ROWS:
            rows.append(row)
        elif row:
            raise Refused(f"The tab {sheet.title!r} has more than {_ROWS} rows, no programme is that long: look at it.")
    while rows and not rows[-1]:
        rows.pop()
    return Grid(sheet.title, tuple(rows))


def _trimmed(row: tuple[str, ...]) -> tuple[str, ...]:
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


def patched(content: bytes, cells: Sequence[Cell]) -> tuple[bytes, tuple[Cell, ...]]:
    """The workbook with these cells, and the cells that were left alone because they hold formulas."""
    left: list[Cell] = []
    out = io.BytesIO()
    with _whole(), zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as copy:
        parts = _parts(archive)
        wanted: dict[str, list[Cell]] = {}
        for cell in cells:
            wanted.setdefault(parts[cell.tab], []).append(cell)
        for info in archive.infolist():
            data = archive.read(info)
            if info.filename in wanted:
                data, skipped = _Sheet(data).patched(wanted[info.filename])
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
    """Where a cell that is not there yet belongs: before the next one at its right, or at the row's end."""
    after = min((key for key in old if key > column), default=None)
    at = end if after is None else old[after][0]
    return at, at


class _Sheet:
    """A worksheet part, with the byte offsets of the rows and cells that matter."""

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
            where = attributes.get("r")
            self._column = column_index_from_string(coordinate_from_string(where)[0]) if where else self._column + 1
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

    def patched(self, cells: Sequence[Cell]) -> tuple[bytes, list[Cell]]:
        """The part with these texts, and the cells left alone."""
        left = [cell for cell in cells if (cell.row, cell.column) in self.formulas]
        rows: dict[int, list[Cell]] = {}
        for cell in cells:
            if (cell.row, cell.column) not in self.formulas:
                rows.setdefault(cell.row, []).append(cell)
        pieces, done = [], 0
        for number in sorted(rows):
            start, end = self.rows[number]
            pieces += [self.data[done:start], self._row_with(rows[number])]
            done = end
        pieces.append(self.data[done:])
        return b"".join(pieces), left

    def _row_with(self, cells: Sequence[Cell]) -> bytes:
        start, end = self.rows[cells[0].row]
        old = self.cells[cells[0].row]
        done = _tag_end(self.data, start)
        # `spans` is a hint for readers (18.3.1.73); a cell outside it would contradict it.
        head = re.sub(rb"\sspans=(\"[^\"]*\"|'[^']*')", b"", self.data[start:done])
        closed = head.endswith(b"/>")
        pieces = [head[:-2].rstrip() + b">" if closed else head]
        close = end if closed else self.data.rindex(b"</", start, end)
        for cell in sorted(cells, key=lambda cell: cell.column):
            first, last = old.get(cell.column) or _gap(old, cell.column, close)
            style = _STYLE.search(self.data[first : _tag_end(self.data, first)]) if last > first else None
            pieces += [self.data[done:first], self._cell(cell, style[1].decode() if style else None)]
            done = last
        pieces += [self.data[done:end], f"</{self.prefix}row>".encode() if closed else b""]
        return b"".join(pieces)

    def _cell(self, cell: Cell, style: str | None) -> bytes:
        where = f"{get_column_letter(cell.column + 1)}{cell.row}"
        look = f' s="{style}"' if style else ""
        text = escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", cell.text))
        p = self.prefix
        inline = f'<{p}is><{p}t xml:space="preserve">{text}</{p}t></{p}is>'
        return f'<{p}c r="{where}"{look} t="inlineStr">{inline}</{p}c>'.encode()

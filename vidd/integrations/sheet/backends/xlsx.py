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
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
_EMPTY_FILL = re.compile(rb"<((?:\w+:)?)fill\s*(?:/>|></(?:\w+:)?fill>)")
_TELLING = re.compile(r"(?:workbook|styles)\d*\.xml$")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_RELATION = "/relationships}id"
_BROKEN = (
    zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError, expat.ExpatError,
    KeyError, ValueError, IndexError, TypeError, AttributeError, EOFError, RuntimeError,
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
            book = openpyxl.load_workbook(io.BytesIO(_for_openpyxl(content)), read_only=True, data_only=True)
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


def _for_openpyxl(content: bytes) -> bytes:
    """The workbook without what openpyxl cannot read and spreadsheet programs can.

    That is the namespaces of the strict variant (ECMA-376 part 1, annex A) and a fill without a pattern (18.8.20).
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        telling = [archive.read(info) for info in archive.infolist() if _TELLING.search(info.filename)]
        if not any(_STRICT.search(data) or _EMPTY_FILL.search(data) for data in telling):
            return content
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as copy:
            for info in archive.infolist():
                data = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/", archive.read(info))
                copy.writestr(info.filename, _EMPTY_FILL.sub(rb"<\1fill><\1patternFill/></\1fill>", data))
    return out.getvalue()


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
            text = _ESCAPED.sub(_unescaped, str(value))
    return "" if text in _ERRORS else text


def _unescaped(match: re.Match[str]) -> str:
    """A character that was written as `_xHHHH_` (22.9.2.19); nothing for one that no text should have."""
    character = chr(int(match[1], 16))
    return character if character.isprintable() or character in "\t\n\r" else ""


def _escaped(text: str) -> str:
    """The text of a cell in XML, from which the same text is read."""
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", text)
    text = re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", text)
    return escape(text.replace("\r", "_x000D_"))


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
    (book,) = (
        target for kind, target in _relations(archive, "").values() if kind.endswith("/relationships/officeDocument")
    )
    targets = _relations(archive, book)
    tabs = (element for element in _tree(archive.read(book)).iter() if element.tag.endswith("}sheet"))
    return {
        tab.get("name", ""): targets[value][1]
        for tab in tabs
        for name, value in tab.attrib.items()
        if name.endswith(_RELATION)
    }


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """The type and the target of each relationship of a part, by its id; those of the package for the part ""."""
    directory, name = posixpath.split(part)
    return {
        relation.get("Id", ""): (
            relation.get("Type", ""),
            posixpath.normpath(posixpath.join("/", directory, relation.get("Target", ""))).lstrip("/"),
        )
        for relation in _tree(archive.read(posixpath.join(directory, "_rels", f"{name}.rels")))
    }


def _tree(data: bytes) -> ET.Element:
    return ET.fromstring(data)  # noqa: S314 - expat bounds entities itself, and the part's size is bounded above


def _tag_end(data: bytes, at: int) -> int:
    match = _TAG.match(data, at)
    if match is None:
        raise ValueError("tag without an end")
    return match.end()


class _Sheet:
    """A worksheet part, with the byte offsets of its rows and cells, and the styles of new cells."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.rows: dict[int, tuple[int, int]] = {}
        self.cells: dict[int, dict[int, tuple[int, int]]] = {}
        self.formulas: set[tuple[int, int]] = set()
        self.row_styles: dict[int, str] = {}
        self.column_styles: list[tuple[range, str]] = []
        self.prefix = ""
        self._row = self._column = 0
        self._path: list[str] = []
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
        self._path.append(local)
        # The whole path: extensions and controls have elements `f` and `row` of their own.
        match self._path:
            case ["worksheet"]:
                self.prefix = f"{prefix}:" if prefix else ""
            case ["worksheet", "cols", "col"] if "style" in attributes:
                columns = range(int(attributes["min"]) - 1, int(attributes["max"]))
                self.column_styles.append((columns, attributes["style"]))
            case ["worksheet", "sheetData", "row"]:
                self._row = int(attributes.get("r", self._row + 1))
                self._column = 0
                self.rows[self._row] = (at, _tag_end(self.data, at))
                self.cells[self._row] = {}
                if attributes.get("customFormat") in {"1", "true"}:
                    self.row_styles[self._row] = attributes.get("s", "0")
            case ["worksheet", "sheetData", "row", "c"]:
                reference = attributes.get("r")
                self._column = (
                    column_index_from_string(coordinate_from_string(reference)[0]) if reference else self._column + 1
                )
                self.cells[self._row][self._column - 1] = (at, _tag_end(self.data, at))
            case ["worksheet", "sheetData", "row", "c", "f"]:
                self.formulas.add((self._row, self._column - 1))

    def _end(self, _name: str) -> None:
        match self._path:
            case ["worksheet", "sheetData", "row"]:
                self.rows[self._row] = self._whole(self.rows[self._row])
            case ["worksheet", "sheetData", "row", "c"]:
                cells = self.cells[self._row]
                cells[self._column - 1] = self._whole(cells[self._column - 1])
        self._path.pop()

    def _whole(self, start_tag: tuple[int, int]) -> tuple[int, int]:
        """The offsets of the element that ends here, of which those of its start tag are known."""
        start, end = start_tag
        # Without an end tag, the parser stands at whatever comes next, which may be the end tag of another element.
        return (
            start_tag
            if self.data[end - 2 : end] == b"/>"
            else (start, _tag_end(self.data, self._parser.CurrentByteIndex))
        )

    def patch(self, edits: Sequence[CellEdit]) -> tuple[bytes, list[CellEdit]]:
        """The part with these edits, and the edits left out."""
        left = [edit for edit in edits if (edit.row, edit.column) in self.formulas]
        rows: dict[int, list[CellEdit]] = {}
        for edit in edits:
            if (edit.row, edit.column) not in self.formulas:
                rows.setdefault(edit.row, []).append(edit)
        pieces, done = [], 0
        for number in sorted(rows, key=lambda number: self.rows[number]):
            start, end = self.rows[number]
            pieces += [self.data[done:start], self._row_with(rows[number])]
            done = end
        pieces.append(self.data[done:])
        return b"".join(pieces), left

    def _row_with(self, edits: Sequence[CellEdit]) -> bytes:
        start, end = self.rows[edits[0].row]
        done = _tag_end(self.data, start)
        # `spans` is a hint for readers (18.3.1.73); a cell outside it would contradict it.
        head = re.sub(rb"\sspans=(\"[^\"]*\"|'[^']*')", b"", self.data[start:done])
        closed = head.endswith(b"/>")
        pieces = [head[:-2].rstrip() + b">" if closed else head]
        close = end if closed else self.data.rindex(b"</", start, end)
        places = {edit: self._place(edit, close) for edit in edits}
        for edit in sorted(edits, key=lambda edit: (places[edit], edit.column)):
            first, last = places[edit]
            pieces += [self.data[done:first], self._cell(edit, self.data[first:last])]
            done = last
        pieces += [self.data[done:end], f"</{self.prefix}row>".encode() if closed else b""]
        return b"".join(pieces)

    def _place(self, edit: CellEdit, close: int) -> tuple[int, int]:
        """The offsets of a cell; of a missing one where it is inserted: before the next at its right, or at the row's end."""
        cells = self.cells[edit.row]
        if edit.column in cells:
            return cells[edit.column]
        after = min((column for column in cells if column > edit.column), default=None)
        at = close if after is None else cells[after][0]
        return at, at

    def _cell(self, edit: CellEdit, old: bytes) -> bytes:
        reference = f"{get_column_letter(edit.column + 1)}{edit.row}"
        style = self._style(edit, old)
        style_attribute = f' s="{style}"' if style else ""
        p = self.prefix
        inline = f'<{p}is><{p}t xml:space="preserve">{_escaped(edit.text)}</{p}t></{p}is>'
        return f'<{p}c r="{reference}"{style_attribute} t="inlineStr">{inline}</{p}c>'.encode()

    def _style(self, edit: CellEdit, old: bytes) -> str | None:
        """The style of the old cell; of a new one that of its row or else its column, as spreadsheet programs do."""
        if old:
            found = _STYLE.search(old[: _tag_end(old, 0)])
            return found[1].decode() if found else None
        by_column = next((style for columns, style in self.column_styles if edit.column in columns), None)
        return self.row_styles.get(edit.row, by_column)

"""A spreadsheet as Google keeps it, the requests that change it, and a person's hand at it.

Nastier than the real one: nothing grows by itself, pasting formulas leaves constants alone, ids of talks that look like
numbers become numbers, empty cells at the end of a row are left out of answers.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from peers.field_masks import Invalid, check_mask, parse_mask


@dataclass
class Cell:
    """`shows` is what a formula evaluates to."""

    value: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    shows: str = ""

    def effective(self) -> dict[str, Any]:
        return {"stringValue": self.shows} if "formulaValue" in self.value else self.value

    def json(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if self.value:
            made = {
                "userEnteredValue": dict(self.value),
                "effectiveValue": dict(self.effective()),
                "formattedValue": shown(self.effective()),
            }
        return {**made, "note": self.note} if self.note else made


def shown(value: Mapping[str, Any]) -> str:
    """A value as a person sees it."""
    if "numberValue" in value:
        return f"{value['numberValue']:.10g}"
    if "boolValue" in value:
        return "TRUE" if value["boolValue"] else "FALSE"
    return str(value.get("stringValue", ""))


def typed(text: str) -> dict[str, Any]:
    """What becomes of a text that a person types into a cell."""
    if not text:
        return {}
    if text.startswith("'"):
        return {"stringValue": text[1:]}
    if text.startswith("="):
        return {"formulaValue": text}
    if text.upper() in {"TRUE", "FALSE"}:
        return {"boolValue": text.upper() == "TRUE"}
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return {"numberValue": float(text)}
    return {"stringValue": text}


class Row(list[Cell]):
    """A row, with a `tag` that a test knows it by wherever it goes and whatever is written into it."""

    tag = ""


@dataclass
class Tab:
    id: int
    title: str
    cells: list[Row]
    hidden: bool = False

    @property
    def height(self) -> int:
        return len(self.cells)

    @property
    def width(self) -> int:
        return len(self.cells[0]) if self.cells else 0

    # A person's hand. Rows are counted from 1, columns from 0, as in vidd.

    def text(self, row: int, column: int) -> str:
        return shown(self.cells[row - 1][column].effective())

    def type(self, row: int, column: int, text: str) -> None:
        cell = self.cells[row - 1][column]
        cell.value, cell.shows = typed(text), "?" if text.startswith("=") else ""

    def move_row(self, row: int, to: int) -> None:
        self.cells.insert(to - 1, self.cells.pop(row - 1))

    def insert_row(self, row: int, *texts: str) -> Row:
        new = Row(Cell() for _ in range(self.width))
        self.cells.insert(row - 1, new)
        for column, text in enumerate(texts):
            self.type(row, column, text)
        return new

    def delete_row(self, row: int) -> Row:
        return self.cells.pop(row - 1)

    def insert_column(self, column: int) -> None:
        for row in self.cells:
            row.insert(column, Cell())

    def move_column(self, column: int, to: int) -> None:
        for row in self.cells:
            row.insert(to, row.pop(column))

    def sort(self, column: int, *, first: int = 2, reverse: bool = False) -> None:
        """Sort the rows from `first` down; empty cells go to the end."""
        body = self.cells[first - 1 :]
        filled = [row for row in body if shown(row[column].effective())]
        filled.sort(key=lambda row: shown(row[column].effective()), reverse=reverse)
        self.cells[first - 1 :] = filled + [row for row in body if not shown(row[column].effective())]

    def row_of(self, text: str, column: int = 0) -> int:
        return next(n for n, row in enumerate(self.cells, 1) if shown(row[column].effective()) == text)

    def texts(self) -> list[list[str]]:
        """What a person sees, without the empty end."""
        rows = [[shown(cell.effective()) for cell in row] for row in self.cells]
        for row in rows:
            while row and not row[-1]:
                row.pop()
        while rows and not rows[-1]:
            rows.pop()
        return rows


class Spreadsheet:
    """`version` counts every change, as Drive does."""

    def __init__(self, title: str = "Programme") -> None:
        self.title = title
        self.tabs: list[Tab] = []
        self.version = 1

    def add(self, title: str, rows: list[list[str]], *, height: int = 0, width: int = 0) -> Tab:
        """A tab that a person made, with some room around what is in it unless told otherwise."""
        width = max(width, *(len(row) for row in rows)) if rows else width or 1
        height = max(height, len(rows), 1)
        tab = Tab(7 + 13 * len(self.tabs), title, [Row(Cell() for _ in range(width)) for _ in range(height)])
        self.tabs.append(tab)
        for number, row in enumerate(rows, 1):
            for column, text in enumerate(row):
                tab.type(number, column, text)
        return tab

    def tab(self, title: str) -> Tab:
        return next(candidate for candidate in self.tabs if candidate.title == title)

    def visible(self) -> list[Tab]:
        return [tab for tab in self.tabs if not tab.hidden]

    def json(self, ranges: list[str], *, grids: bool) -> dict[str, Any]:
        """A `Spreadsheet` of the API."""
        parts: dict[int, list[tuple[int, int, int, int]]] = {}
        for range_ in ranges:
            tab, box = self.range(range_)
            parts.setdefault(tab.id, []).append(box)
        sheets = []
        for index, tab in enumerate(self.tabs):
            if ranges and tab.id not in parts:
                continue
            made: dict[str, Any] = {"properties": self._properties(tab, index)}
            if grids:
                boxes = parts.get(tab.id, [(0, tab.height, 0, tab.width)])
                made["data"] = [_grid_data(tab, *box) for box in boxes]
            sheets.append(made)
        return {"spreadsheetId": "", "properties": {"title": self.title, "locale": "en_GB"}, "sheets": sheets}

    def _properties(self, tab: Tab, index: int) -> dict[str, Any]:
        made = {
            "sheetId": tab.id,
            "title": tab.title,
            "index": index,
            "sheetType": "GRID",
            "gridProperties": {"rowCount": tab.height, "columnCount": tab.width},
        }
        return {**made, "hidden": True} if tab.hidden else made

    def range(self, text: str) -> tuple[Tab, tuple[int, int, int, int]]:
        """A range in A1 notation: its tab, and first row, end row, first column, end column, from 0."""
        match = re.fullmatch(r"(?:'((?:[^']|'')+)'|([^'!]+))(?:!([A-Z]*)(\d*)(?::([A-Z]*)(\d*))?)?", text)
        if match is None:
            raise Invalid(f"Unable to parse range: {text}")
        title = (match[1] or match[2]).replace("''", "'")
        tab = next((candidate for candidate in self.tabs if candidate.title == title), None)
        if tab is None:
            raise Invalid(f"Unable to parse range: {text}")
        if match[3] is None:
            return tab, (0, tab.height, 0, tab.width)
        single = match[5] is None and match[6] is None
        last_column, last_row = (match[3], match[4]) if single else (match[5], match[6])
        top = int(match[4]) - 1 if match[4] else 0
        left = _column(match[3]) - 1 if match[3] else 0
        bottom = min(int(last_row), tab.height) if last_row else tab.height
        right = min(_column(last_column), tab.width) if last_column else tab.width
        if top >= tab.height or left >= tab.width:
            raise Invalid(f"Range ({text}) exceeds grid limits.")
        return tab, (top, bottom, left, right)

    # Requests.

    def apply(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """All of them in their order, or none. Returns the replies."""
        kept = copy.deepcopy(self.tabs)
        try:
            replies = [self._apply(number, request) for number, request in enumerate(requests)]
        except Invalid:
            self.tabs = kept
            raise
        self.version += 1
        return replies

    def _apply(self, number: int, request: dict[str, Any]) -> dict[str, Any]:
        if len(request) != 1:
            raise Invalid(f"Invalid value at 'requests[{number}]': exactly one kind of request must be set")
        (kind, body), *_ = request.items()
        known: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
            "updateCells": self._update_cells,
            "copyPaste": self._copy_paste,
            "addSheet": self._add_sheet,
            "deleteSheet": self._delete_sheet,
            "updateSheetProperties": self._update_sheet,
            "appendDimension": self._append,
            "insertDimension": self._insert,
        }
        if kind not in known:
            raise NotImplementedError(f"this double does not know {kind}")
        try:
            return known[kind](body) or {}
        except Invalid as error:
            raise Invalid(f"Invalid requests[{number}].{kind}: {error}") from None

    def _tab(self, sheet_id: int | None) -> Tab:
        found = next((tab for tab in self.tabs if tab.id == (sheet_id or 0)), None)
        if found is None:
            raise Invalid(f"No grid with id: {sheet_id}")
        return found

    def _box(self, area: Mapping[str, Any]) -> tuple[Tab, int, int, int, int]:
        tab = self._tab(area.get("sheetId"))
        top, bottom = area.get("startRowIndex", 0), area.get("endRowIndex", tab.height)
        left, right = area.get("startColumnIndex", 0), area.get("endColumnIndex", tab.width)
        if not (0 <= top < bottom <= tab.height and 0 <= left < right <= tab.width):
            raise Invalid(f"Range {dict(area)} exceeds grid limits. Max rows: {tab.height}, max columns: {tab.width}")
        return tab, top, bottom, left, right

    def _update_cells(self, body: dict[str, Any]) -> None:
        mask = parse_mask(body.get("fields", ""))
        check_mask("sheets.v4", "CellData", mask)
        if not set(mask) <= {"userEnteredValue", "note"} or any(mask.values()):
            raise Invalid("this double writes userEnteredValue and note")
        rows = body.get("rows", [])
        if "start" in body:
            at = body["start"]
            tab, top, left = self._tab(at.get("sheetId")), at.get("rowIndex", 0), at.get("columnIndex", 0)
            bottom, right = top + len(rows), left + max((len(row.get("values", [])) for row in rows), default=0)
            if bottom > tab.height or right > tab.width:
                raise Invalid(f"Attempting to write beyond the last requested row {tab.height} or column {tab.width}")
            wholes = [len(row.get("values", [])) for row in rows]
        else:
            tab, top, bottom, left, right = self._box(body.get("range", {}))
            wholes = [right - left] * (bottom - top)
        for row, length in enumerate(wholes):
            values = rows[row].get("values", []) if row < len(rows) else []
            for column in range(length):
                new = values[column] if column < len(values) else {}
                cell = tab.cells[top + row][left + column]
                if "userEnteredValue" in mask:
                    cell.value, cell.shows = _entered(new.get("userEnteredValue", {})), "?"
                if "note" in mask:
                    cell.note = new.get("note", "")

    def _copy_paste(self, body: dict[str, Any]) -> None:
        source, top, bottom, left, right = self._box(body["source"])
        target, first, _, column, _ = self._box(body["destination"])
        if first + bottom - top > target.height or column + right - left > target.width:
            raise Invalid("the destination is too small")
        kind = body.get("pasteType", "PASTE_NORMAL")
        if kind not in {"PASTE_VALUES", "PASTE_FORMULA"}:
            raise NotImplementedError(f"this double does not paste {kind}")
        if kind == "PASTE_FORMULA" and (top, left) != (first, column):
            raise NotImplementedError("this double does not shift the references of formulas")
        copied = copy.deepcopy([row[left:right] for row in source.cells[top:bottom]])
        for down, row in enumerate(copied):
            for over, cell in enumerate(row):
                new = target.cells[first + down][column + over]
                if kind == "PASTE_VALUES":
                    new.value = dict(cell.effective())
                elif "formulaValue" in cell.value:
                    new.value, new.shows = dict(cell.value), "#REF!"

    def _add_sheet(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = body.get("properties", {})
        number = wanted.get("sheetId", 1000 + len(self.tabs))
        if number < 0 or any(tab.id == number for tab in self.tabs):
            raise Invalid(f"A sheet with the id {number} already exists or the id is negative.")
        title = wanted.get("title", f"Sheet{len(self.tabs) + 1}")
        if any(tab.title.casefold() == title.casefold() for tab in self.tabs):
            raise Invalid(f'A sheet with the name "{title}" already exists. Please enter another name.')
        grid = wanted.get("gridProperties", {})
        width, height = grid.get("columnCount", 26), grid.get("rowCount", 1000)
        cells = [Row(Cell() for _ in range(width)) for _ in range(height)]
        self.tabs.append(Tab(number, title, cells, hidden=wanted.get("hidden", False)))
        return {"addSheet": {"properties": self._properties(self.tabs[-1], len(self.tabs) - 1)}}

    def _delete_sheet(self, body: dict[str, Any]) -> None:
        tab = self._tab(body.get("sheetId"))
        if not [other for other in self.visible() if other is not tab]:
            raise Invalid("You can't remove all the visible sheets in a document.")
        self.tabs.remove(tab)

    def _update_sheet(self, body: dict[str, Any]) -> None:
        mask = parse_mask(body.get("fields", ""))
        check_mask("sheets.v4", "SheetProperties", mask)
        tab = self._tab(body["properties"].get("sheetId"))
        if not set(mask) <= {"title", "hidden"}:
            raise NotImplementedError(f"this double does not update {mask}")
        if "title" in mask:
            tab.title = body["properties"]["title"]
        if "hidden" in mask:
            tab.hidden = body["properties"].get("hidden", False)

    def _append(self, body: dict[str, Any]) -> None:
        tab, length = self._tab(body.get("sheetId")), body.get("length", 0)
        if length <= 0 or body.get("dimension") not in {"ROWS", "COLUMNS"}:
            raise Invalid("a dimension and a length are needed")
        if body["dimension"] == "ROWS":
            tab.cells += [Row(Cell() for _ in range(tab.width)) for _ in range(length)]
        else:
            for row in tab.cells:
                row += [Cell() for _ in range(length)]

    def _insert(self, body: dict[str, Any]) -> None:
        span = body["range"]
        tab = self._tab(span.get("sheetId"))
        start, end = span.get("startIndex", 0), span["endIndex"]
        edge = tab.height if span.get("dimension") == "ROWS" else tab.width
        if not 0 <= start < end or start >= edge:
            raise Invalid(f"Cannot insert from {start} to {end}: the grid ends at {edge}")
        for _ in range(end - start):
            if span["dimension"] == "ROWS":
                tab.insert_row(start + 1)
            else:
                tab.insert_column(start)


def _entered(value: Mapping[str, Any]) -> dict[str, Any]:
    if len(value) > 1 or "errorValue" in value:
        raise Invalid(f"exactly one kind of value can be written: {dict(value)}")
    if value.get("stringValue") == "":
        return {}
    if len(str(value.get("stringValue", ""))) > 50000:
        raise Invalid("Your input contains more than the maximum of 50000 characters in a single cell.")
    if "formulaValue" in value and not value["formulaValue"].startswith("="):
        raise Invalid(f"Invalid formula {value['formulaValue']!r}")
    return dict(value)


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def _grid_data(tab: Tab, top: int, bottom: int, left: int, right: int) -> dict[str, Any]:
    rows = [[cell.json() for cell in row[left:right]] for row in tab.cells[top:bottom]]
    for row in rows:
        while row and not row[-1]:
            row.pop()
    while rows and not rows[-1]:
        rows.pop()
    made: dict[str, Any] = {"rowData": [{"values": row} if row else {} for row in rows]} if rows else {}
    starts = {"startRow": top, "startColumn": left}
    return {**{name: at for name, at in starts.items() if at}, **made}

"""The cells of a spreadsheet, parsed from the answers of the Sheets API (Spreadsheet resource of its v4 reference).

A cell has the value that was entered (text, number, boolean or formula), the value it evaluates to, and how that is
shown. People go by what is shown; whether a cell is unchanged is told by what was entered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vidd.integrations.sheet.table import Grid

CELL_FIELDS = "userEnteredValue,effectiveValue,formattedValue,note"
SHEET_FIELDS = (
    "sheets(properties(sheetId,title,hidden,gridProperties(rowCount,columnCount)),"
    f"data(startRow,startColumn,rowData(values({CELL_FIELDS}))))"
)

Entered = Mapping[str, Any]
"""An `ExtendedValue`: one of stringValue, numberValue, boolValue, formulaValue; empty for an empty cell."""


def entered(text: str) -> Entered:
    """A text as an ExtendedValue: it stays a text, whatever it looks like."""
    return {"stringValue": text} if text else {}


def plain(value: Entered) -> str:
    """A value as text, independent of the cell's format."""
    if "numberValue" in value:
        return f"{value['numberValue']:.15g}"
    if "boolValue" in value:
        return "TRUE" if value["boolValue"] else "FALSE"
    return str(value.get("stringValue", value.get("formulaValue", "")))


@dataclass(frozen=True, slots=True)
class SheetCell:
    """A cell as it was read: the entered value, `plain` of its result, the shown text, and its note."""

    entered: Entered = field(default_factory=dict)
    plain: str = ""
    shown: str = ""
    note: str = ""

    @property
    def computed(self) -> bool:
        """Whether the cell holds a formula, or the spilled result of another cell's formula."""
        return "formulaValue" in self.entered or (not self.entered and bool(self.plain))


EMPTY = SheetCell()


@dataclass(frozen=True)
class Sheet:
    """One tab with all its cells. `height` and `width` are its grid's; rows count from 1, columns from 0."""

    id: int
    title: str
    hidden: bool
    height: int
    width: int
    rows: tuple[tuple[SheetCell, ...], ...]

    def cell(self, row: int, column: int) -> SheetCell:
        """The cell; an empty one beyond the edge."""
        cells = self.rows[row - 1] if 1 <= row <= len(self.rows) else ()
        return cells[column] if column < len(cells) else EMPTY

    @cached_property
    def grid(self) -> Grid:
        """The texts that people see, and the notes."""
        notes = {
            (number, column): cell.note
            for number, row in enumerate(self.rows, 1)
            for column, cell in enumerate(row)
            if cell.note
        }
        return Grid(self.title, tuple(tuple(cell.shown for cell in row) for row in self.rows), notes)

    @cached_property
    def plain(self) -> Grid:
        """The texts independent of the cells' formats."""
        return Grid(self.title, tuple(tuple(cell.plain for cell in row) for row in self.rows))

    def with_values(self, values: Mapping[tuple[int, int], Entered]) -> Sheet:
        """A copy with other values in some cells."""
        rows = [list(row) for row in self.rows]
        for (row, column), value in values.items():
            rows += [[] for _ in range(row - len(rows))]
            rows[row - 1] += [EMPTY] * (column + 1 - len(rows[row - 1]))
            text = "" if "formulaValue" in value else plain(value)
            rows[row - 1][column] = SheetCell(value, text, text, rows[row - 1][column].note)
        return Sheet(self.id, self.title, self.hidden, self.height, self.width, tuple(tuple(row) for row in rows))


def sheets(body: Mapping[str, Any]) -> list[Sheet]:
    """The tabs of a `Spreadsheet`, in their order; those without a grid (charts) are left out."""
    return [_parse_sheet(sheet) for sheet in body.get("sheets", ()) if "gridProperties" in sheet.get("properties", {})]


def _parse_sheet(sheet: Mapping[str, Any]) -> Sheet:
    properties = sheet["properties"]
    size = properties["gridProperties"]
    data: Sequence[Mapping[str, Any]] = sheet.get("data", ())
    rows = data[0].get("rowData", ()) if data else ()
    return Sheet(
        id=properties.get("sheetId", 0),
        title=properties.get("title", ""),
        hidden=properties.get("hidden", False),
        height=size.get("rowCount", 0),
        width=size.get("columnCount", 0),
        rows=tuple(tuple(_parse_cell(cell) for cell in row.get("values", ())) for row in rows),
    )


def _parse_cell(cell: Mapping[str, Any]) -> SheetCell:
    if not cell:
        return EMPTY
    return SheetCell(
        entered={} if cell.get("userEnteredValue") == {"stringValue": ""} else cell.get("userEnteredValue", {}),
        plain=plain(cell.get("effectiveValue", {})),
        shown=cell.get("formattedValue", ""),
        note=cell.get("note", ""),
    )

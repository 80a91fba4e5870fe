"""Spreadsheets as the Sheets API answers them (developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets).

A cell has what was entered (text, number, truth or formula), what it evaluates to, and how that is shown. People go by
what is shown; whether a cell is still the same is told by what was entered.
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
    """A text as it is written: it stays a text, whatever it looks like."""
    return {"stringValue": text} if text else {}


def plain(value: Entered) -> str:
    """A value as a text that does not depend on how it is shown."""
    if "numberValue" in value:
        return f"{value['numberValue']:.15g}"
    if "boolValue" in value:
        return "TRUE" if value["boolValue"] else "FALSE"
    return str(value.get("stringValue", value.get("formulaValue", "")))


@dataclass(frozen=True, slots=True)
class Spot:
    """A cell: what was entered, `plain` of what it evaluates to, how it is shown, and the note at it."""

    entered: Entered = field(default_factory=dict)
    plain: str = ""
    shown: str = ""
    note: str = ""

    @property
    def computed(self) -> bool:
        """Whether a formula stands here, or spills into here from another cell."""
        return "formulaValue" in self.entered or (not self.entered and bool(self.plain))


NOTHING = Spot()


@dataclass(frozen=True)
class Sheet:
    """One tab with all its cells. `height` and `width` are those of its grid; rows count from 1, columns from 0."""

    id: int
    title: str
    hidden: bool
    height: int
    width: int
    rows: tuple[tuple[Spot, ...], ...]

    def spot(self, row: int, column: int) -> Spot:
        """A cell; an empty one beyond the edge."""
        cells = self.rows[row - 1] if 1 <= row <= len(self.rows) else ()
        return cells[column] if column < len(cells) else NOTHING

    @cached_property
    def grid(self) -> Grid:
        """As people see it."""
        notes = {
            (number, column): spot.note
            for number, row in enumerate(self.rows, 1)
            for column, spot in enumerate(row)
            if spot.note
        }
        return Grid(self.title, tuple(tuple(spot.shown for spot in row) for row in self.rows), notes)

    @cached_property
    def plain(self) -> Grid:
        """As it is whatever the format."""
        return Grid(self.title, tuple(tuple(spot.plain for spot in row) for row in self.rows))

    def healed(self, values: Mapping[tuple[int, int], Entered]) -> Sheet:
        """With other values in some cells."""
        rows = [list(row) for row in self.rows]
        for (row, column), value in values.items():
            rows += [[] for _ in range(row - len(rows))]
            rows[row - 1] += [NOTHING] * (column + 1 - len(rows[row - 1]))
            text = "" if "formulaValue" in value else plain(value)
            rows[row - 1][column] = Spot(value, text, text, rows[row - 1][column].note)
        return Sheet(self.id, self.title, self.hidden, self.height, self.width, tuple(tuple(row) for row in rows))


def sheets(body: Mapping[str, Any]) -> list[Sheet]:
    """The tabs of a `Spreadsheet`, in their order; those without a grid (charts) are left out."""
    return [_sheet(sheet) for sheet in body.get("sheets", ()) if "gridProperties" in sheet.get("properties", {})]


def _sheet(one: Mapping[str, Any]) -> Sheet:
    properties = one["properties"]
    size = properties["gridProperties"]
    data: Sequence[Mapping[str, Any]] = one.get("data", ())
    rows = data[0].get("rowData", ()) if data else ()
    return Sheet(
        id=properties.get("sheetId", 0),
        title=properties.get("title", ""),
        hidden=properties.get("hidden", False),
        height=size.get("rowCount", 0),
        width=size.get("columnCount", 0),
        rows=tuple(tuple(_spot(cell) for cell in row.get("values", ())) for row in rows),
    )


def _spot(cell: Mapping[str, Any]) -> Spot:
    if not cell:
        return NOTHING
    return Spot(
        entered={} if cell.get("userEnteredValue") == {"stringValue": ""} else cell.get("userEnteredValue", {}),
        plain=plain(cell.get("effectiveValue", {})),
        shown=cell.get("formattedValue", ""),
        note=cell.get("note", ""),
    )

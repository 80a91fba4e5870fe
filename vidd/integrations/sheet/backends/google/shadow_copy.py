"""Writes into a spreadsheet while people edit it, without losing an edit of theirs, with the help of a hidden copy.

The API has no conditional write: between the reading and the writing a person may change the cell or move the row.
But the requests of one batch are applied together and in order. So every batch first copies the tab, as it is at that
instant, into a hidden tab of vidd's, notes there what it is about to write where and why, and then writes. The answer
contains the copy, which tells what every overwritten cell held and whose row it was. CellKey that is not what vidd
expected, vidd restores the cell's own value in the same way, wherever its row is by then, unless a person has changed
the cell again in the meantime.

The hidden copy outlives vidd: after a lost answer or a crash, the next reading examines it. The batch that repairs what
a copy shows also replaces that copy, so no other journal is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidd.integrations.sheet.backends.google.grid import Entered, Sheet
from vidd.integrations.sheet.backends.google.overwrite_detection import (
    CellKey,
    WriteNote,
    find_overwrites,
    restorations,
)
from vidd.integrations.sheet.backends.google.rows import headed

_TITLE = "vidd keeps "


def copy_id(sheet: int) -> int:
    """The id of the hidden copy of a tab: always the same, whatever people call the tabs."""
    return (sheet * 2654435761 + 1146307171) % 2**31


@dataclass
class Reading:
    """A reading of a spreadsheet, with the repairs that an earlier writing needs and the writes to come.

    `read` has people's tabs by id, `tabs` the same tabs as they will be once `restore` is written; `copies` are vidd's
    hidden ones, by the id of the tab they copy; `stale` are the ids of copies whose repairs this writing makes.
    """

    read: dict[int, Sheet]
    copies: dict[int, Sheet]
    tabs: list[Sheet]
    restore: dict[CellKey, Entered]
    stale: set[int]
    id_names: Sequence[str]
    writes: dict[CellKey, Entered] = field(default_factory=dict)
    notes: dict[CellKey, str] = field(default_factory=dict)

    @property
    def touched(self) -> set[int]:
        """The tabs in which something is to be written."""
        return {sheet for sheet, _, _ in [*self.writes, *self.notes]}

    @property
    def missing(self) -> list[int]:
        """The tabs in which something is to be written but that have no copy yet."""
        return sorted(sheet for sheet in self.touched if sheet not in self.copies)


def examine(found: Sequence[Sheet], id_names: Sequence[str]) -> Reading:
    """Sort the tabs into people's and vidd's, and find the values that have to be restored."""
    ours = {copy_id(sheet.id) for sheet in found}
    copies = {
        sheet.id: sheet for sheet in found if sheet.id in ours or (sheet.hidden and sheet.title.startswith(_TITLE))
    }
    people = {sheet.id: sheet for sheet in found if sheet.id not in copies}
    by_tab = {sheet: copies[copy_id(sheet)] for sheet in people if copy_id(sheet) in copies}
    orphans = {copy: sheet for copy, sheet in copies.items() if sheet not in by_tab.values()}
    restore: dict[CellKey, Entered] = {}
    stale: set[int] = set()
    tabs_of_people = [headed(person, id_names) for person in people.values()]
    for tab, copy in [*by_tab.items(), *((-1, orphan) for orphan in orphans.values())]:
        overwrites = list(find_overwrites(copy, tab, id_names))
        if overwrites:
            stale.add(copy.id)
            restore |= restorations(overwrites, tabs_of_people)
    tabs = []
    for sheet in people.values():
        values = {(row, column): value for (tab, row, column), value in restore.items() if tab == sheet.id}
        tabs.append(sheet.with_values(values) if values else sheet)
    return Reading(people, by_tab, tabs, restore, stale, id_names)


# Requests (developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request).


def creation_requests(reading: Reading) -> list[dict[str, Any]]:
    """The requests that create the missing copies."""
    return [
        {
            "addSheet": {
                "properties": {
                    "sheetId": copy_id(sheet),
                    "title": f"{_TITLE}{sheet}",
                    "hidden": True,
                    "gridProperties": {
                        "rowCount": max(reading.read[sheet].height, 1),
                        "columnCount": max(reading.read[sheet].width, 1),
                    },
                }
            }
        }
        for sheet in reading.missing
    ]


def write_requests(reading: Reading) -> list[dict[str, Any]]:
    """The requests that copy and write, and thereby repair what an earlier writing did wrong."""
    requests: list[dict[str, Any]] = []
    for sheet in sorted(reading.touched):
        requests += _sheet_requests(reading, sheet)
    touched = {reading.copies[sheet].id for sheet in reading.touched}
    requests += [_clear(copy) for copy in sorted(reading.stale - touched)]
    return requests


def _sheet_requests(reading: Reading, sheet: int) -> list[dict[str, Any]]:
    read, copy = reading.read[sheet], reading.copies[sheet]
    tab = headed(read, reading.id_names)
    cells = {(row, column): value for (tab_id, row, column), value in reading.writes.items() if tab_id == sheet}
    notes = {(row, column): text for (tab_id, row, column), text in reading.notes.items() if tab_id == sheet}
    positions = [*cells, *notes]
    bottom = max(len(read.rows), *(row for row, _ in positions))
    right = max(max((len(row) for row in read.rows), default=0), *(column + 1 for _, column in positions))
    requests = [
        *_grow(sheet, "COLUMNS", read.width, right),
        *_grow(copy.id, "COLUMNS", copy.width, right),
        *_grow(copy.id, "ROWS", copy.height, bottom),
        _clear(copy.id),
        _copy_columns(sheet, copy.id, bottom, (0, right), "PASTE_VALUES"),
    ]
    # As formulas only where a cell may have to be restored; Google would compute copies of all others for nothing.
    requests += [
        _copy_columns(sheet, copy.id, bottom, (column, column + 1), "PASTE_FORMULA")
        for column in sorted({column for _, column in cells})
    ]
    ours = tab.columns(tab.heading(column) for _, column in cells)
    for (row, column), value in cells.items():
        talk = tab.key(row)
        owed = reading.restore.get((sheet, row, column))
        others = Counter[str]() if talk and owed is None else tab.text_digests(row, ours)
        note = WriteNote(talk, tab.heading(column), read.cell(row, column).entered, value, others, owed)
        requests.append(_update_cell(copy.id, row, column, {"note": note.to_text()}))
    for (row, column), value in cells.items():
        requests.append(_update_cell(sheet, row, column, {"userEnteredValue": dict(value)}))
    for (row, column), text in notes.items():
        requests.append(_update_cell(sheet, row, column, {"note": text}))
    return requests


def _grow(sheet: int, dimension: str, now: int, wanted: int) -> list[dict[str, Any]]:
    if now >= wanted:
        return []
    return [{"appendDimension": {"sheetId": sheet, "dimension": dimension, "length": wanted - now}}]


def _clear(copy: int) -> dict[str, Any]:
    return {"updateCells": {"range": {"sheetId": copy}, "fields": "userEnteredValue,note"}}


def _copy_columns(source: int, copy: int, bottom: int, columns: tuple[int, int], how: str) -> dict[str, Any]:
    area = {"startRowIndex": 0, "endRowIndex": bottom, "startColumnIndex": columns[0], "endColumnIndex": columns[1]}
    return {
        "copyPaste": {
            "source": {"sheetId": source, **area},
            "destination": {"sheetId": copy, **area},
            "pasteType": how,
        }
    }


def _update_cell(sheet: int, row: int, column: int, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "updateCells": {
            "start": {"sheetId": sheet, "rowIndex": row - 1, "columnIndex": column},
            "rows": [{"values": [dict(values)]}],
            "fields": ",".join(values),
        }
    }

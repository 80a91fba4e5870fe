"""Writing into a spreadsheet in which people write at the same moment, without losing a word of theirs.

The API can not be told "write only if": between the reading and the writing a person may have changed the cell or moved
the row. But the requests of one batch are applied together, in their order. So every batch first copies the tab, as it
is at that instant, into a hidden tab of vidd's, notes there what it is about to write where and why, and then writes.
The copy, which comes back with the answer, says what stood in every cell that was overwritten and whose row it was.
Where that is not what was expected, the cell's own value is put back, wherever its row is by now, in the same way; a
person who changed the cell once more in the meantime is left alone.

The hidden copy outlives vidd: whatever was cut short (a lost answer, a crash) is judged from it at the next reading.
Because what is judged wrong in a copy is settled by the very batch that replaces the copy, no other journal is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidd.integrations.sheet.backends.google.grid import Entered, Sheet
from vidd.integrations.sheet.backends.google.overwrite_detection import Told, Where, harm, put_back
from vidd.integrations.sheet.backends.google.rows import headed

_TITLE = "vidd keeps "


def copy_id(sheet: int) -> int:
    """The id of the hidden copy of a tab: always the same, whatever people call the tabs."""
    return (sheet * 2654435761 + 1146307171) % 2**31


@dataclass
class Swap:
    """A reading of a spreadsheet, with what an earlier writing left to be put right.

    `tabs` are people's, as they will be once `back` is put back; `copies` are vidd's own, by the id of their tab.
    """

    read: dict[int, Sheet]
    copies: dict[int, Sheet]
    tabs: list[Sheet]
    back: dict[Where, Entered]
    settle: set[int]
    id_names: Sequence[str]
    writes: dict[Where, Entered] = field(default_factory=dict)
    remarks: dict[Where, str] = field(default_factory=dict)

    @property
    def touched(self) -> set[int]:
        """The tabs in which something is to be written."""
        return {sheet for sheet, _, _ in [*self.writes, *self.remarks]}

    @property
    def missing(self) -> list[int]:
        """The tabs in which something is to be written but that have no copy yet."""
        return sorted(one for one in self.touched if one not in self.copies)


def swap(found: Sequence[Sheet], id_names: Sequence[str]) -> Swap:
    """Look at a reading: what is people's, what is vidd's, and what has to be put back."""
    ours = {copy_id(sheet.id) for sheet in found}
    copies = {
        sheet.id: sheet for sheet in found if sheet.id in ours or (sheet.hidden and sheet.title.startswith(_TITLE))
    }
    people = {sheet.id: sheet for sheet in found if sheet.id not in copies}
    by_tab = {sheet: copies[copy_id(sheet)] for sheet in people if copy_id(sheet) in copies}
    orphans = {copy: sheet for copy, sheet in copies.items() if sheet not in by_tab.values()}
    back: dict[Where, Entered] = {}
    settle: set[int] = set()
    here = [headed(person, id_names) for person in people.values()]
    for of, copy in [*by_tab.items(), *((-1, orphan) for orphan in orphans.values())]:
        found_harm = list(harm(copy, of, id_names))
        if found_harm:
            settle.add(copy.id)
            back |= put_back(found_harm, here)
    tabs = []
    for sheet in people.values():
        values = {(row, column): value for (of, row, column), value in back.items() if of == sheet.id}
        tabs.append(sheet.healed(values) if values else sheet)
    return Swap(people, by_tab, tabs, back, settle, id_names)


# Requests (developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request).


def making(made: Swap) -> list[dict[str, Any]]:
    """The requests that make the copies that are missing."""
    return [
        {
            "addSheet": {
                "properties": {
                    "sheetId": copy_id(sheet),
                    "title": f"{_TITLE}{sheet}",
                    "hidden": True,
                    "gridProperties": {
                        "rowCount": max(made.read[sheet].height, 1),
                        "columnCount": max(made.read[sheet].width, 1),
                    },
                }
            }
        }
        for sheet in made.missing
    ]


def swapping(made: Swap) -> list[dict[str, Any]]:
    """The requests that copy, write and thereby settle what was wrong before."""
    requests: list[dict[str, Any]] = []
    for sheet in sorted(made.touched):
        requests += _forheaded(made, sheet)
    touched = {made.copies[one].id for one in made.touched}
    requests += [_cleared(copy) for copy in sorted(made.settle - touched)]
    return requests


def _forheaded(made: Swap, sheet: int) -> list[dict[str, Any]]:
    read, copy = made.read[sheet], made.copies[sheet]
    tab = headed(read, made.id_names)
    cells = {(row, column): value for (of, row, column), value in made.writes.items() if of == sheet}
    remarks = {(row, column): text for (of, row, column), text in made.remarks.items() if of == sheet}
    spots = [*cells, *remarks]
    bottom = max(len(read.rows), *(row for row, _ in spots))
    right = max(max((len(row) for row in read.rows), default=0), *(column + 1 for _, column in spots))
    requests = [
        *_grown(sheet, "COLUMNS", read.width, right),
        *_grown(copy.id, "COLUMNS", copy.width, right),
        *_grown(copy.id, "ROWS", copy.height, bottom),
        _cleared(copy.id),
        _copied(sheet, copy.id, bottom, (0, right), "PASTE_VALUES"),
    ]
    # As formulas only where a cell may have to be put back; copies of all the others would be computed for nothing.
    requests += [
        _copied(sheet, copy.id, bottom, (column, column + 1), "PASTE_FORMULA")
        for column in sorted({column for _, column in cells})
    ]
    ours = tab.columns(tab.heading(column) for _, column in cells)
    for (row, column), value in cells.items():
        talk = tab.key(row)
        owed = made.back.get((sheet, row, column))
        others = Counter[str]() if talk and owed is None else tab.words(row, ours)
        told = Told(talk, tab.heading(column), read.spot(row, column).entered, value, others, owed)
        requests.append(_cell(copy.id, row, column, {"note": told.note()}))
    for (row, column), value in cells.items():
        requests.append(_cell(sheet, row, column, {"userEnteredValue": dict(value)}))
    for (row, column), text in remarks.items():
        requests.append(_cell(sheet, row, column, {"note": text}))
    return requests


def _grown(sheet: int, dimension: str, now: int, wanted: int) -> list[dict[str, Any]]:
    if now >= wanted:
        return []
    return [{"appendDimension": {"sheetId": sheet, "dimension": dimension, "length": wanted - now}}]


def _cleared(copy: int) -> dict[str, Any]:
    return {"updateCells": {"range": {"sheetId": copy}, "fields": "userEnteredValue,note"}}


def _copied(source: int, copy: int, bottom: int, columns: tuple[int, int], how: str) -> dict[str, Any]:
    area = {"startRowIndex": 0, "endRowIndex": bottom, "startColumnIndex": columns[0], "endColumnIndex": columns[1]}
    return {
        "copyPaste": {
            "source": {"sheetId": source, **area},
            "destination": {"sheetId": copy, **area},
            "pasteType": how,
        }
    }


def _cell(sheet: int, row: int, column: int, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "updateCells": {
            "start": {"sheetId": sheet, "rowIndex": row - 1, "columnIndex": column},
            "rows": [{"values": [dict(values)]}],
            "fields": ",".join(values),
        }
    }

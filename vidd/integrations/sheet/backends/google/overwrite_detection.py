"""Finds in the hidden copy of a tab (see `shadow_copy`) which cells vidd overwrote by mistake, and where they are by now.

vidd recognizes rows by their ids and columns by their headings. Where those are empty or were changed at the same
moment, vidd recognizes a row by its other texts, and by what it wrote into the row itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vidd.integrations.sheet.backends.google.grid import Entered, Sheet, plain
from vidd.integrations.sheet.backends.google.rows import (
    SIMILAR,
    HeadedSheet,
    headed,
    is_same_row,
    similarity,
    text_digest,
)
from vidd.integrations.sheet.table import fold

CellKey = tuple[int, int, int]
"""A tab's id, a row from 1, a column from 0."""

_Position = tuple[int, int]
"""A row from 1, a column from 0."""


@dataclass(frozen=True, slots=True)
class WriteNote:
    """What a copy records of one write into a cell.

    vidd meant the cell of the row `talk` in the column `heading`, expected the value `was` there, and wrote `wrote`.
    `others` are digests of the row's other texts. Where the write restores a value that an earlier write overwrote by
    mistake, `owed` is that value: if this write hits another cell too, the value must still be restored. The field
    names are those of the JSON.
    """

    talk: str
    heading: str
    was: Entered
    wrote: Entered
    others: Counter[str] = field(default_factory=Counter)
    owed: Entered | None = None

    def to_text(self) -> str:
        """The JSON that is written into a note of the copy."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(
            {name: value for name, value in fields.items() if value or name != "others"}, ensure_ascii=False
        )

    @classmethod
    def from_text(cls, text: str) -> WriteNote | None:
        """Parse such a note; None for a note that somebody else wrote."""
        try:
            fields = json.loads(text)
            return cls(**{**fields, "others": Counter(fields.get("others"))})
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Overwrite:
    """A cell that vidd overwrote by mistake with `wrote`, and the `value` to restore.

    The cell was in the tab `sheet`, at `row` and `column`; it `is_heading` or not. Rows and columns may have moved since:
    `key` (the row's id) and `heading` identify the cell. A row without an id is identified by `others`, digests of its
    texts except for those under the headings `without`, and by `beside`, what vidd wrote into other cells of the row, by
    heading.
    """

    sheet: int
    row: int
    column: int
    key: str
    heading: str
    is_heading: bool
    value: Entered
    wrote: Entered
    others: Counter[str]
    without: frozenset[str]
    beside: tuple[tuple[str, Entered], ...] = ()


def is_clean(copy: Sheet, id_names: Sequence[str]) -> bool:
    """Whether a batch overwrote only the cells that vidd meant, each with the value that vidd expected."""
    tab = headed(copy, id_names)
    notes = dict(_write_notes(copy))
    columns = {column for _, column in notes}
    return all(
        _is_meant(tab, position, note, columns) and copy.cell(*position).entered == note.was
        for position, note in notes.items()
    )


def find_overwrites(copy: Sheet, sheet: int, id_names: Sequence[str]) -> Iterator[Overwrite]:
    """What a copy shows to be wrong in the tab `sheet` (its id): cells overwritten by mistake, or repairs that failed."""
    tab = headed(copy, id_names)
    notes = dict(_write_notes(copy))
    columns = tab.columns(note.heading for note in notes.values())
    debts = {position: note for position, note in notes.items() if note.owed is not None}
    for (row, column), note in notes.items():
        value = copy.cell(row, column).entered
        meant = _is_meant(tab, (row, column), note, columns)
        # Two rows without an id and without texts cannot be told apart.
        if meant and (note.talk or value == note.was):
            debts.pop((row, column), None)
        if meant and value == note.was:
            continue
        # The overwritten value may itself have been a mistake that vidd was about to repair.
        heading = fold(tab.heading(column))
        debt = next(
            (
                position
                for position, owing in debts.items()
                if owing.was == value and fold(owing.heading) == heading and _is_row(tab, row, owing, columns)
            ),
            None,
        )
        if debt is not None:
            value = debts.pop(debt).owed or {}
        if value != note.wrote:
            yield _overwrite(tab, (row, column), value, note, sheet=sheet, columns=columns, notes=notes)
    yield from _moved_writes(tab, sheet, notes, columns)
    for (row, column), note in debts.items():
        is_heading = tab.layout is not None and bool(note.talk) and note.talk == tab.key(tab.layout.row)
        yield Overwrite(
            sheet=sheet,
            row=row,
            column=column,
            key=note.talk,
            heading=note.heading,
            is_heading=is_heading,
            value=note.owed or {},
            wrote=note.was,
            others=note.others,
            without=frozenset(written.heading for written in notes.values()),
        )


def _moved_writes(
    tab: HeadedSheet, sheet: int, notes: Mapping[_Position, WriteNote], columns: set[int]
) -> Iterator[Overwrite]:
    """What a write overwrote that Google moved along with the row it was meant for.

    "Your changes may be altered with respect to collaborator changes" (spreadsheets.batchUpdate).
    """
    rows = {tab.key(row): row for row in range(len(tab.sheet.rows), 0, -1)}
    for position, note in notes.items():
        home = tab.layout.column([note.heading]) if tab.layout and note.heading else None
        if home is None or not note.talk or note.talk not in rows or (rows[note.talk], home) in {position, *notes}:
            continue
        value = tab.sheet.cell(rows[note.talk], home).entered
        if value not in (note.was, note.wrote):
            yield _overwrite(tab, (rows[note.talk], home), value, note, sheet=sheet, columns=columns, notes={})


def _overwrite(
    tab: HeadedSheet,
    position: _Position,
    value: Entered,
    note: WriteNote,
    *,
    sheet: int,
    columns: set[int],
    notes: Mapping[_Position, WriteNote],
) -> Overwrite:
    row, column = position
    written = {other: beside.wrote for (at, other), beside in notes.items() if at == row}
    return Overwrite(
        sheet=sheet,
        row=row,
        column=column,
        key=tab.key(row),
        heading=tab.heading(column),
        is_heading=tab.is_heading(row),
        value=value,
        wrote=note.wrote,
        others=tab.text_digests(row, columns | written.keys()),
        without=frozenset(tab.heading(other) for other in columns | written.keys()),
        beside=tuple((tab.heading(other), text) for other, text in written.items()),
    )


def _is_meant(tab: HeadedSheet, position: _Position, note: WriteNote, columns: set[int]) -> bool:
    """Whether this is the cell that vidd meant to write."""
    if tab.layout is None or fold(tab.heading(position[1])) != fold(note.heading):
        return False
    if note.talk and tab.key(position[0]) == note.talk:
        return True
    # A restored value belongs to its row even if a person has just given the row another id.
    return note.owed == note.wrote and _is_row(tab, position[0], note, columns)


def _is_row(tab: HeadedSheet, row: int, note: WriteNote, columns: set[int]) -> bool:
    if note.talk and (tab.key(row) == note.talk or note.talk in tab.keys):
        return tab.key(row) == note.talk
    return (bool(note.talk) or not tab.key(row)) and is_same_row(tab.text_digests(row, columns), note.others)


def _write_notes(copy: Sheet) -> Iterator[tuple[tuple[int, int], WriteNote]]:
    for number, row in enumerate(copy.rows, 1):
        for column, cell in enumerate(row):
            note = WriteNote.from_text(cell.note) if cell.note.startswith("{") else None
            if note is not None:
                yield (number, column), note


def restorations(overwrites: Sequence[Overwrite], tabs: Sequence[HeadedSheet]) -> dict[CellKey, Entered]:
    """The values to restore, by the cell they belong to now; without cells that a person has changed since."""
    restore: dict[CellKey, Entered] = {}
    wrote = {text_digest(plain(overwrite.wrote)) for overwrite in overwrites}
    # Headings first, because they identify the columns of all others; then the ids, which identify the rows.
    ids = {fold(tab.heading(tab.ids)) for tab in tabs if tab.ids is not None}
    for overwrite in sorted(
        overwrites, key=lambda overwrite: (not overwrite.is_heading, fold(overwrite.heading) not in ids)
    ):
        if overwrite.is_heading:
            key = _find_heading(overwrite, tabs, restore)
        else:
            key = _find_cell(overwrite, tabs, restore, wrote)
        if key is not None:
            restore[key] = overwrite.value
    return restore


def _find_heading(
    overwrite: Overwrite, tabs: Sequence[HeadedSheet], restore: Mapping[CellKey, Entered]
) -> CellKey | None:
    found = [
        (tab.sheet.id != overwrite.sheet, abs(column - overwrite.column), (tab.sheet.id, tab.layout.row, column))
        for tab in tabs
        if tab.layout is not None
        for column, cell in enumerate(tab.sheet.rows[tab.layout.row - 1])
        if cell.entered == overwrite.wrote and (tab.sheet.id, tab.layout.row, column) not in restore
    ]
    return min(found)[2] if found else None


def _find_cell(
    overwrite: Overwrite, tabs: Sequence[HeadedSheet], restore: Mapping[CellKey, Entered], wrote: set[str]
) -> CellKey | None:
    keys = {
        (tab.sheet.id, row): _current_key(tab, row, restore)
        for tab in tabs
        for row in range(1, len(tab.sheet.rows) + 1)
    }
    known = set(keys.values())
    best: tuple[float, ...] | None = None
    found = None
    for tab in tabs:
        for row, column in _written_cells(overwrite, tab, restore):
            restored = {
                other: value for (sheet, at, other), value in restore.items() if (sheet, at) == (tab.sheet.id, row)
            }
            others = tab.text_digests(row, {column, *tab.columns(overwrite.without)}, restored)
            for digest in wrote | {text_digest(plain(value)) for _, value in overwrite.beside}:
                others.pop(digest, None)
            similar = similarity(overwrite.others, others)
            key = keys[tab.sheet.id, row]
            is_row = bool(overwrite.key) and key == overwrite.key
            if not is_row and (
                similar < SIMILAR or (overwrite.key in known if overwrite.key else bool(key) and similar < 1)
            ):
                continue
            rank = (
                is_row,
                sum(_holds(tab, row, heading, value) for heading, value in overwrite.beside),
                similar,
                tab.sheet.id == overwrite.sheet,
                -abs(column - overwrite.column),
                -abs(row - overwrite.row),
            )
            if best is None or rank > best:
                best, found = rank, (tab.sheet.id, row, column)
    return found


def _current_key(tab: HeadedSheet, row: int, restore: Mapping[CellKey, Entered]) -> str:
    restored = None if tab.ids is None else restore.get((tab.sheet.id, row, tab.ids))
    return tab.key(row) if restored is None else plain(restored).strip()


def _holds(tab: HeadedSheet, row: int, heading: str, value: Entered) -> bool:
    return any(tab.sheet.cell(row, column).entered == value for column in tab.columns([heading]))


def _written_cells(overwrite: Overwrite, tab: HeadedSheet, restore: Mapping[CellKey, Entered]) -> Iterator[_Position]:
    """The cells of a tab, in the column in question, that hold what vidd wrote by mistake."""
    top = tab.layout.row if tab.layout else 0
    width = max((len(row) for row in tab.sheet.rows), default=0)
    headings = {}
    for column in range(width):
        restored = restore.get((tab.sheet.id, top, column))
        headings[column] = fold(tab.heading(column) if restored is None else plain(restored))
    wanted = fold(overwrite.heading)
    for column, heading in headings.items():
        if heading == wanted or (wanted not in headings.values() and (tab.layout or column == overwrite.column)):
            for row in range(top + 1, len(tab.sheet.rows) + 1):
                if (
                    tab.sheet.cell(row, column).entered == overwrite.wrote
                    and (tab.sheet.id, row, column) not in restore
                ):
                    yield row, column

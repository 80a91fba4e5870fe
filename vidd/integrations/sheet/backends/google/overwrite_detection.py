"""What a hidden copy of a tab (see `google_swap`) shows to be wrong in the tab itself, and where that is by now.

Rows are known by their ids, columns by their headings. Where those are empty or were changed at the same moment, a row is
known by its other words, and by what vidd wrote into it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vidd.integrations.sheet.backends.google.grid import Entered, Sheet, plain
from vidd.integrations.sheet.backends.google.rows import ALIKE, Headed, headed, likeness, mark, same
from vidd.integrations.sheet.table import fold

Where = tuple[int, int, int]
"""A tab's id, a row from 1, a column from 0."""


_At = tuple[int, int]
"""A row from 1, a column from 0."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a copy notes of one cell: whose row and which column vidd meant, what it took to be there, what it wrote.

    `others` stand for the other words of the row. Where the writing makes good an earlier mistake, `owed` is what
    belongs into the cell, should this writing have missed it too.
    """

    talk: str
    heading: str
    was: Entered
    wrote: Entered
    others: Counter[str] = field(default_factory=Counter)
    owed: Entered | None = None

    def note(self) -> str:
        """As it is written into the copy."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(
            {name: value for name, value in said.items() if value or name != "others"}, ensure_ascii=False
        )

    @classmethod
    def from_note(cls, text: str) -> Told | None:
        """The opposite; None for what somebody else wrote there."""
        try:
            said = json.loads(text)
            return cls(**{**said, "others": Counter(said.get("others"))})
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Harm:
    """A cell that vidd overwrote though it was not what vidd took it for. `value` is what belongs there.

    `key` and `heading` tell whose it is; `row`, `column` and `others` (the other words of its row) where those are empty.
    `without` are the headings that `others` leave out; `beside` is what else was written into the same row, by heading.
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


def hit(copy: Sheet, id_names: Sequence[str]) -> bool:
    """Whether a writing fell on nothing but the cells it was meant for, as they were taken to be."""
    tab = headed(copy, id_names)
    told = dict(_told(copy))
    columns = {column for _, column in told}
    return all(_meant(tab, spot, note, columns) and copy.spot(*spot).entered == note.was for spot, note in told.items())


def harm(copy: Sheet, of: int, id_names: Sequence[str]) -> Iterator[Harm]:
    """What a copy shows to be wrong in the tab `of`: overwritten by mistake, or not made good."""
    tab = headed(copy, id_names)
    told = dict(_told(copy))
    columns = tab.columns(note.heading for note in told.values())
    debts = {spot: note for spot, note in told.items() if note.owed is not None}
    for (row, column), note in told.items():
        value = copy.spot(row, column).entered
        meant = _meant(tab, (row, column), note, columns)
        # Two rows without an id and without words are not told apart.
        if meant and (note.talk or value == note.was):
            debts.pop((row, column), None)
        if meant and value == note.was:
            continue
        # What was overwritten may itself have been a mistake that was about to be made good.
        heading = fold(tab.heading(column))
        debt = next(
            (
                at
                for at, owing in debts.items()
                if owing.was == value and fold(owing.heading) == heading and _is_row(tab, row, owing, columns)
            ),
            None,
        )
        if debt is not None:
            value = debts.pop(debt).owed or {}
        if value != note.wrote:
            yield _harm(tab, (row, column), value, note, of=of, columns=columns, told=told)
    yield from _elsewhere(tab, of, told, columns)
    for (row, column), note in debts.items():
        is_heading = tab.layout is not None and bool(note.talk) and note.talk == tab.key(tab.layout.row)
        yield Harm(
            sheet=of,
            row=row,
            column=column,
            key=note.talk,
            heading=note.heading,
            is_heading=is_heading,
            value=note.owed or {},
            wrote=note.was,
            others=note.others,
            without=frozenset(one.heading for one in told.values()),
        )


def _elsewhere(tab: Headed, of: int, told: Mapping[tuple[int, int], Told], columns: set[int]) -> Iterator[Harm]:
    """Google may have moved a writing along with the row it was meant for: what it overwrote there.

    "Your changes may be altered with respect to collaborator changes" (spreadsheets.batchUpdate).
    """
    rows = {tab.key(row): row for row in range(len(tab.sheet.rows), 0, -1)}
    for spot, note in told.items():
        home = tab.layout.column([note.heading]) if tab.layout and note.heading else None
        if home is None or not note.talk or note.talk not in rows or (rows[note.talk], home) in {spot, *told}:
            continue
        value = tab.sheet.spot(rows[note.talk], home).entered
        if value not in (note.was, note.wrote):
            yield _harm(tab, (rows[note.talk], home), value, note, of=of, columns=columns, told={})


def _harm(
    tab: Headed, spot: _At, value: Entered, one: Told, *, of: int, columns: set[int], told: Mapping[_At, Told]
) -> Harm:
    row, column = spot
    written = {over: other.wrote for (at, over), other in told.items() if at == row}
    return Harm(
        sheet=of,
        row=row,
        column=column,
        key=tab.key(row),
        heading=tab.heading(column),
        is_heading=tab.is_heading(row),
        value=value,
        wrote=one.wrote,
        others=tab.words(row, columns | written.keys()),
        without=frozenset(tab.heading(over) for over in columns | written.keys()),
        beside=tuple((tab.heading(over), text) for over, text in written.items()),
    )


def _meant(tab: Headed, spot: tuple[int, int], one: Told, columns: set[int]) -> bool:
    """Whether this is the cell that vidd had in mind."""
    if tab.layout is None or fold(tab.heading(spot[1])) != fold(one.heading):
        return False
    if one.talk and tab.key(spot[0]) == one.talk:
        return True
    # What is put back belongs to its row even if a person has just given that another id.
    return one.owed == one.wrote and _is_row(tab, spot[0], one, columns)


def _is_row(tab: Headed, row: int, one: Told, columns: set[int]) -> bool:
    if one.talk and (tab.key(row) == one.talk or one.talk in tab.keys):
        return tab.key(row) == one.talk
    return (bool(one.talk) or not tab.key(row)) and same(tab.words(row, columns), one.others)


def _told(copy: Sheet) -> Iterator[tuple[tuple[int, int], Told]]:
    for number, row in enumerate(copy.rows, 1):
        for column, spot in enumerate(row):
            told = Told.from_note(spot.note) if spot.note.startswith("{") else None
            if told is not None:
                yield (number, column), told


def put_back(harms: Sequence[Harm], here: Sequence[Headed]) -> dict[Where, Entered]:
    """Where each value belongs now; those that a person has changed since are left out."""
    back: dict[Where, Entered] = {}
    wrote = {mark(plain(harm.wrote)) for harm in harms}
    # Headings first: they say which column is which for all others; then the ids, which say which row is which.
    ids = {fold(tab.heading(tab.ids)) for tab in here if tab.ids is not None}
    for harm in sorted(harms, key=lambda harm: (not harm.is_heading, fold(harm.heading) not in ids)):
        place = _heading_now(harm, here, back) if harm.is_heading else _cell_now(harm, here, back, wrote)
        if place is not None:
            back[place] = harm.value
    return back


def _heading_now(one: Harm, here: Sequence[Headed], back: Mapping[Where, Entered]) -> Where | None:
    found = [
        (tab.sheet.id != one.sheet, abs(column - one.column), (tab.sheet.id, tab.layout.row, column))
        for tab in here
        if tab.layout is not None
        for column, spot in enumerate(tab.sheet.rows[tab.layout.row - 1])
        if spot.entered == one.wrote and (tab.sheet.id, tab.layout.row, column) not in back
    ]
    return min(found)[2] if found else None


def _cell_now(one: Harm, here: Sequence[Headed], back: Mapping[Where, Entered], wrote: set[str]) -> Where | None:
    keys = {(tab.sheet.id, row): _key_now(tab, row, back) for tab in here for row in range(1, len(tab.sheet.rows) + 1)}
    known = set(keys.values())
    best: tuple[float, ...] | None = None
    place = None
    for tab in here:
        for row, column in _same_writing(one, tab, back):
            undone = {over: value for (of, at, over), value in back.items() if (of, at) == (tab.sheet.id, row)}
            others = tab.words(row, {column, *tab.columns(one.without)}, undone)
            for word in wrote | {mark(plain(value)) for _, value in one.beside}:
                others.pop(word, None)
            alike = likeness(one.others, others)
            key = keys[tab.sheet.id, row]
            mine = bool(one.key) and key == one.key
            if not mine and (alike < ALIKE or (one.key in known if one.key else bool(key) and alike < 1)):
                continue
            rank = (
                mine,
                sum(_holds(tab, row, heading, value) for heading, value in one.beside),
                alike,
                tab.sheet.id == one.sheet,
                -abs(column - one.column),
                -abs(row - one.row),
            )
            if best is None or rank > best:
                best, place = rank, (tab.sheet.id, row, column)
    return place


def _key_now(tab: Headed, row: int, back: Mapping[Where, Entered]) -> str:
    undone = None if tab.ids is None else back.get((tab.sheet.id, row, tab.ids))
    return tab.key(row) if undone is None else plain(undone).strip()


def _holds(tab: Headed, row: int, heading: str, value: Entered) -> bool:
    return any(tab.sheet.spot(row, column).entered == value for column in tab.columns([heading]))


def _same_writing(one: Harm, tab: Headed, back: Mapping[Where, Entered]) -> Iterator[tuple[int, int]]:
    """The cells of a tab, in the column in question, that hold what vidd wrote by mistake."""
    top = tab.layout.row if tab.layout else 0
    width = max((len(row) for row in tab.sheet.rows), default=0)
    headings = {}
    for column in range(width):
        undone = back.get((tab.sheet.id, top, column))
        headings[column] = fold(tab.heading(column) if undone is None else plain(undone))
    wanted = fold(one.heading)
    for column, heading in headings.items():
        if heading == wanted or (wanted not in headings.values() and (tab.layout or column == one.column)):
            for row in range(top + 1, len(tab.sheet.rows) + 1):
                if tab.sheet.spot(row, column).entered == one.wrote and (tab.sheet.id, row, column) not in back:
                    yield row, column

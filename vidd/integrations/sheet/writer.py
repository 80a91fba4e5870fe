"""One writing of a sheet, for all who wished something of it, beside the people who write into the same rows.

What vidd wrote last into a cell is remembered, so that a person's word is told from vidd's own: a person's stays, and
where vidd has something new to say it is a conflict, shown at the cell and never decided. Whatever was asked for so far
is compared with the sheet at every writing, so what was lost is made good, and a repeated attempt does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from vidd.aio.batcher import Batcher
from vidd.errors import Fault, Refused
from vidd.integrations.sheet.merge import Known, Verdict, merged
from vidd.integrations.sheet.rows import RowOptions, place_of, receipt_of
from vidd.integrations.sheet.table import Book, Cell, Grid, Layout, Names, Place, Remark, fold, places
from vidd.model.publication import Receipt
from vidd.model.talk import Status, TalkStatus
from vidd.ports import Memory, Tools

_OWN = frozenset(status.value for status in Status)
_NOTE = "vidd: "
# A row whose id was corrected keeps this of the talk that was not known.
_NOTHING = Status.NOT_UPLOADED.value


@dataclass(frozen=True)
class _Wish:
    """What somebody wants the sheet to say; a notice wants to know where."""

    options: RowOptions
    book: Book
    memory: Memory
    standings: tuple[TalkStatus, ...]
    notice: bool


async def written(
    options: RowOptions, tools: Tools, standings: Sequence[TalkStatus], *, notice: bool = False
) -> Receipt:
    """Have the rows say how their talks stand; a `notice` is for one talk and gets its row's receipt.

    All who come while the sheet is being written are served by the next writing.
    """
    book = options.book(tools, options.columns.id)
    wish = _Wish(options, book, tools.memory, tuple(standings), notice)
    desks = _desks.setdefault(asyncio.get_running_loop(), {})
    return await desks.setdefault((book.address, options.model_dump_json()), Batcher(_serve)).ask(wish)


async def _serve(wishes: Sequence[_Wish]) -> list[Receipt | Fault]:
    newest = wishes[-1]
    return await _Writing(newest.options, newest.book, newest.memory).serve(wishes)


_Desks = dict[tuple[str, str], Batcher[_Wish, Receipt]]
_desks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Desks] = WeakKeyDictionary()


@dataclass
class _Writing:
    """One writing of the sheet, for several who wished something."""

    options: RowOptions
    book: Book
    memory: Memory
    known: dict[str, Known] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)
    faults: dict[str, Refused] = field(default_factory=dict)
    found: dict[str, Place] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    @property
    def space(self) -> str:
        return f"sheet:{self.book.address}"

    async def serve(self, wishes: Sequence[_Wish]) -> list[Receipt | Fault]:
        """Write what all of them want; each is answered with its row, or with what is wrong with it."""
        remembered = await self.memory.recall(self.space)
        self.known = {name: Known.from_text(text) for name, text in remembered.items()}
        standings = _foremost([standing for wish in wishes for standing in wish.standings])
        for standing in standings.values():
            for names, text in self.options.said(standing):
                if text is not None:
                    name = _name(names, standing.talk)
                    self.known[name] = replace(self.known.get(name, Known()), wanted=text)
        # What may stand in a cell after a crash must be known for vidd's own, so it is remembered before it is written.
        self.known = {name: one.setting_out() for name, one in self.known.items()}
        self.asked = {standing.talk for wish in wishes if wish.notice for standing in wish.standings}
        everyone = not all(wish.notice for wish in wishes)
        await self._remember(remembered)
        remembered = {name: one.to_text() for name, one in self.known.items()}
        left = await self.book.edit(lambda grids: self._change(grids, everyone=everyone))
        for name, verdict in self.verdicts.items():
            if self.cells.get(name) not in left:
                self.known[name] = self.known[name].arrived(verdict)
        await self._remember(remembered)
        return [self._answer(wish, left) for wish in wishes]

    async def _remember(self, before: Mapping[str, str]) -> None:
        now = {name: one.to_text() for name, one in self.known.items()}
        new = {name: text for name, text in now.items() if before.get(name) != text}
        if new:
            await self.memory.remember(self.space, new)

    def _change(self, grids: Sequence[Grid], *, everyone: bool) -> list[Cell | Remark]:
        self.verdicts, self.cells, self.faults, self.found = {}, {}, {}, {}
        added = _Added()
        cells: list[Cell | Remark] = []
        rows = places(grids, self.options.columns.id)
        for talk in self.asked:
            try:
                self.found[talk] = place_of(grids, talk, self.options, self.book)
            except Refused as refusal:
                self.faults[talk] = refusal
        for talk, found in rows.items():
            if len(found) == 1:
                cells += self._row(talk, found[0], added, everyone=everyone)
        return cells

    def _row(self, talk: str, place: Place, added: _Added, *, everyone: bool) -> list[Cell | Remark]:
        cells: list[Cell | Remark] = []
        status = self.options.columns.status
        if everyone and _name(status, talk) not in self.known and not _text(place, status).strip():
            self.known[_name(status, talk)] = Known(wanted=Status.NOT_UPLOADED.value)
        said = [names for names in self.options.columns.written() if _name(names, talk) in self.known]
        if status in said and self.options.columns.link not in said:
            # The heading of the link is made together with that of the status, so that they stand side by side.
            said.insert(1, self.options.columns.link)
        for names in said:
            column, heading = added.column(place.layout, names)
            cells += heading
            name = _name(names, talk)
            if name in self.known:
                cells += self._cell(name, place, column, own=_OWN if names == status else frozenset())
        return cells

    def _cell(self, name: str, place: Place, column: int, *, own: frozenset[str]) -> list[Cell | Remark]:
        tab, row, grid = place.layout.grid.tab, place.row, place.layout.grid
        verdict = self.verdicts[name] = merged(self.known[name], grid.text(row, column), own, _NOTHING)
        cells: list[Cell | Remark] = []
        if verdict.write is not None:
            self.cells[name] = Cell(tab, row, column, verdict.write)
            cells.append(self.cells[name])
        note = grid.notes.get((row, column), "")
        wanted = _note(verdict.conflict)
        if note != wanted and (not note or note.startswith(_NOTE)):
            cells.append(Remark(tab, row, column, wanted))
        return cells

    def _answer(self, wish: _Wish, left: Sequence[Cell]) -> Receipt | Fault:
        if not wish.notice:
            return Receipt()
        talk = wish.standings[0].talk
        if talk in self.faults:
            return self.faults[talk]
        place = self.found[talk]
        if any((cell.tab, cell.row) == (place.layout.grid.tab, place.row) for cell in left):
            return Refused(f"In {place.words} of the sheet a formula stands where vidd writes: move it, then retry.")
        columns = {_name(names, talk): names[0] for names in self.options.columns.written()}
        kept = {
            heading: self.verdicts[name].conflict
            for name, heading in columns.items()
            if name in self.verdicts and self.verdicts[name].conflict
        }
        return receipt_of(place, {heading: str(text) for heading, text in kept.items()})


class _Added:
    """The columns that one change adds, by tab."""

    def __init__(self) -> None:
        self.columns: dict[tuple[str, str], int] = {}

    def column(self, layout: Layout, names: Names) -> tuple[int, list[Cell]]:
        """Where a heading is, and the cell that makes it where it is not there yet."""
        column = layout.column(names)
        tab = layout.grid.tab
        if column is not None:
            return column, []
        if (tab, names[0]) in self.columns:
            return self.columns[tab, names[0]], []
        column = layout.end + sum(1 for other, _ in self.columns if other == tab)
        self.columns[tab, names[0]] = column
        return column, [Cell(tab, layout.row, column, names[0])]


def _foremost(standings: Sequence[TalkStatus]) -> dict[str, TalkStatus]:
    """The last word on each talk; but who says that it is published knows more than who saw it on its way there."""
    found: dict[str, TalkStatus] = {}
    for standing in standings:
        if (
            standing.talk not in found
            or found[standing.talk].status is not Status.PUBLISHED
            or standing.status is Status.PUBLISHED
        ):
            found[standing.talk] = standing
    return found


def _name(names: Names, talk: str) -> str:
    """What a cell is remembered by."""
    return f"{fold(names[0])}: {talk}"


def _note(conflict: str | None) -> str:
    """What is said at a cell in which a person's word stands."""
    if conflict is None:
        return ""
    return f"{_NOTE}somebody wrote this, so it stays. vidd would write: {conflict}\nEmpty the cell to have that."


def _text(place: Place, names: Names) -> str:
    column = place.layout.column(names)
    return "" if column is None else place.layout.grid.text(place.row, column)

"""The talk's row in the sheet says how the talk stands, and where it was published.

People write into the same rows. What vidd wrote last into a cell is remembered, so that a person's word is told from
vidd's own: a person's stays, and where vidd has something new to say it is a conflict, shown at the cell and never
decided. Whatever was asked for so far is compared with the sheet at every writing, so what was lost is made good, and a
repeated attempt does no harm. Rows are looked for by the talk's id in the sheet as it is at that moment.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from pydantic import Field

from vidd.clients.books import SheetOptions
from vidd.clients.merge import Known, Verdict, merged
from vidd.clients.table import (
    ID_NAMES,
    LIBRARY_NAMES,
    LINK_NAMES,
    STATUS_NAMES,
    Book,
    Cell,
    Grid,
    Layout,
    Names,
    Place,
    Remark,
    fold,
    headings_found,
    layouts,
    places,
)
from vidd.clients.together import Together
from vidd.errors import Fault, Refused
from vidd.model.publication import Receipt
from vidd.model.talk import Standing, Status
from vidd.options import Options as Base
from vidd.ports import Memory, Parcel, Tools

SLOT: str | None = None
_OWN = frozenset(one.value for one in Status)
_LIBRARY = re.compile(r"library|(?:s3|folder)(?:-\d+)?")
_NOTE = "vidd: "
# A row whose id was corrected keeps this of the talk that was not known.
_NOTHING = Status.NOT_UPLOADED.value


class Columns(Base):
    """The headings; one of the last three that is missing is added at the right when there is something to write."""

    id: Names = Field(ID_NAMES, description="The talk's id.")
    status: Names = Field(STATUS_NAMES, description="Where the status word goes.")
    link: Names = Field(LINK_NAMES, description="Where the link goes.")
    library: Names = Field(LIBRARY_NAMES, description="Where the link into the library goes.")

    def written(self) -> list[Names]:
        """The columns that vidd writes."""
        return [self.status, self.link, self.library]


class Options(SheetOptions):
    """Settings of a notice of kind `sheet`."""

    columns: Columns = Field(Columns(), description="The headings, where they are not the usual ones.")
    link_of: str | None = Field(None, description="The publisher, by label, whose address is the link; else the first.")
    library_of: str | None = Field(
        None, description="The publisher whose address is the library link; else one labelled library, s3 or folder."
    )


async def publish(options: Options, parcel: Parcel) -> Receipt:
    """Write `published` and the links. Refused where the talk has no row, or two, or a formula stands in the way."""
    links = {name: one.url for name, one in parcel.receipts.items() if one.url}
    standing = Standing(_talk(parcel), Status.PUBLISHED, parcel.link, links)
    return await _desk(options, parcel.tools).ask(_wish(options, parcel.tools, (standing,), notice=True))


async def reconcile(options: Options, parcel: Parcel) -> Receipt | None:
    """The receipt where the row already says so, None where it does not."""
    links = {name: one.url for name, one in parcel.receipts.items() if one.url}
    standing = Standing(_talk(parcel), Status.PUBLISHED, parcel.link, links)
    book = options.book(parcel.tools, options.columns.id)
    place = _place(await book.read(), standing.talk, options, book)
    for names, text in _said(standing, options):
        column = place.layout.column(names)
        if text and (column is None or place.layout.grid.text(place.row, column) != text):
            return None
    return _receipt(place, {})


async def follow(options: Options, standings: Sequence[Standing], tools: Tools) -> None:
    """Make all rows say how their talks stand, in one writing; a talk that has no row, or two, is passed over."""
    await _desk(options, tools).ask(_wish(options, tools, tuple(standings)))


async def check(options: Options, tools: Tools) -> str:
    """Read the sheet once and say how many talks it has; Refused where it has no id column."""
    if options.path is not None and not tools.path(options.path).exists():
        return f"{tools.path(options.path)} is not there yet; it must be when the first talk is published"
    book = options.book(tools, options.columns.id)
    grids = await book.read()
    _with_ids(grids, options, book)
    return f"{len(places(grids, options.columns.id))} talks have a row"


@dataclass(frozen=True)
class _Wish:
    """What somebody wants the sheet to say; a notice wants to know where."""

    options: Options
    book: Book
    memory: Memory
    standings: tuple[Standing, ...]
    notice: bool


def _wish(options: Options, tools: Tools, standings: tuple[Standing, ...], *, notice: bool = False) -> _Wish:
    return _Wish(options, options.book(tools, options.columns.id), tools.memory, standings, notice)


async def _serve(wishes: Sequence[_Wish]) -> list[Receipt | Fault]:
    newest = wishes[-1]
    return await _Writing(newest.options, newest.book, newest.memory).serve(wishes)


_Desks = dict[tuple[str, str], Together[_Wish, Receipt]]
_desks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Desks] = WeakKeyDictionary()


def _desk(options: Options, tools: Tools) -> Together[_Wish, Receipt]:
    """The one place where a sheet is written: whoever comes while it is busy is served with the others next."""
    desks = _desks.setdefault(asyncio.get_running_loop(), {})
    key = (options.book(tools, options.columns.id).address, options.model_dump_json())
    return desks.setdefault(key, Together(_serve))


@dataclass
class _Writing:
    """One writing of the sheet, for several who wished something."""

    options: Options
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
        standings = _foremost([one for wish in wishes for one in wish.standings])
        for standing in standings.values():
            for names, text in _said(standing, self.options):
                if text is not None:
                    name = _name(names, standing.talk)
                    self.known[name] = replace(self.known.get(name, Known()), wanted=text)
        # What may stand in a cell after a crash must be known for vidd's own, so it is remembered before it is written.
        self.known = {name: one.setting_out() for name, one in self.known.items()}
        self.asked = {one.talk for wish in wishes if wish.notice for one in wish.standings}
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
                self.found[talk] = _place(grids, talk, self.options, self.book)
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
        return _receipt(place, {heading: str(text) for heading, text in kept.items()})


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


def _foremost(standings: Sequence[Standing]) -> dict[str, Standing]:
    """The last word on each talk; but who says that it is published knows more than who saw it on its way there."""
    found: dict[str, Standing] = {}
    for one in standings:
        if one.talk not in found or found[one.talk].status is not Status.PUBLISHED or one.status is Status.PUBLISHED:
            found[one.talk] = one
    return found


def _said(standing: Standing, options: Options) -> list[tuple[Names, str | None]]:
    """What the row of a talk is to say, by column."""
    links = standing.links
    link = standing.link if options.link_of is None else links.get(options.link_of)
    if options.library_of is not None:
        library = links.get(options.library_of)
    else:
        found = [url for name, url in links.items() if _LIBRARY.fullmatch(name)]
        library = found[0] if found and len(links) > 1 and found[0] != link else None
    columns = options.columns
    return [(columns.status, standing.status.value), (columns.link, link), (columns.library, library)]


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


def _place(grids: Sequence[Grid], talk: str, options: Options, book: Book) -> Place:
    _with_ids(grids, options, book)
    found = places(grids, options.columns.id).get(talk, [])
    if not found:
        raise Refused(f"The talk {talk!r} has no row in {book.name} any more: put it back, then retry.")
    if len(found) > 1:
        rows = " and ".join(place.words for place in found)
        raise Refused(f"The talk {talk!r} has {rows} in {book.name}: leave one of them, then retry.")
    return found[0]


def _with_ids(grids: Sequence[Grid], options: Options, book: Book) -> None:
    if not layouts(grids, options.columns.id):
        raise Refused(
            f"{book.name} has no column {options.columns.id[0]!r} for the talks' ids; the headings found are "
            f"{headings_found(grids)}: add the column, or name yours under `columns`."
        )


def _talk(parcel: Parcel) -> str:
    talk = parcel.job.talk or (parcel.talk.id if parcel.talk else None)
    if not talk:
        raise Refused(
            "This job belongs to no talk, so it has no row in the sheet: take the notice out of its pipeline."
        )
    return talk


def _receipt(place: Place, kept: Mapping[str, str]) -> Receipt:
    facts = {"row": place.row, "tab": place.layout.grid.tab}
    return Receipt(facts={**facts, "kept": dict(kept)} if kept else facts)

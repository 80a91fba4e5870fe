"""Writes the statuses and links of talks into their rows, in batches, without overwriting what people wrote there.

vidd remembers what it last wrote into a cell, so that it can tell a person's text from its own. A person's text stays;
where vidd has something new to write there, that is a conflict, which vidd shows in a note at the cell and never
decides. Every writing compares all that was requested so far with the sheet, so it repairs what was lost, and a
repeated attempt does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vidd.aio.batcher import Batcher
from vidd.errors import Fault, Refused
from vidd.integrations.sheet.merge import CellRecord, Verdict, merge_cell
from vidd.integrations.sheet.rows import RowOptions, find_row, row_receipt
from vidd.integrations.sheet.table import Book, CellEdit, Grid, Layout, Names, NoteEdit, TalkRow, fold, talk_rows
from vidd.model.publication import Receipt
from vidd.model.talk import Status, TalkStatus
from vidd.ports import Memory, Tools

_OWN_STATUSES = frozenset(status.value for status in Status)
_NOTE_PREFIX = "vidd: "
# A row whose id was corrected still has this status, of the id that was unknown.
_BLANK = Status.NOT_UPLOADED.value


@dataclass(frozen=True)
class _Request:
    """Statuses to write. The request of a notice is for one talk and is answered with that talk's row."""

    options: RowOptions
    book: Book
    memory: Memory
    statuses: tuple[TalkStatus, ...]
    notice: bool


async def write_statuses(
    options: RowOptions, tools: Tools, statuses: Sequence[TalkStatus], *, notice: bool = False
) -> Receipt:
    """Write the statuses into the talks' rows; a `notice` is for one talk and gets its row's receipt.

    Requests that come while the sheet is being written go together into the next writing.
    """
    book = options.book(tools, options.columns.id)
    request = _Request(options, book, tools.memory, tuple(statuses), notice)
    return await tools.shared.get(SheetBatchers).batcher(book.address, options).ask(request)


class SheetBatchers:
    """The batchers of all sheets that a daemon writes into, by address and options."""

    def __init__(self) -> None:
        self._batchers: dict[tuple[str, str], Batcher[_Request, Receipt]] = {}

    def batcher(self, address: str, options: RowOptions) -> Batcher[_Request, Receipt]:
        """The batcher of one sheet, for requests with the same options."""
        return self._batchers.setdefault((address, options.model_dump_json()), Batcher(_write))


async def _write(requests: Sequence[_Request]) -> list[Receipt | Fault]:
    newest = requests[-1]
    return await _Writing(newest.options, newest.book, newest.memory).write(requests)


@dataclass
class _Writing:
    """One writing of the sheet, for several requests."""

    options: RowOptions
    book: Book
    memory: Memory
    known: dict[str, CellRecord] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    edits: dict[str, CellEdit] = field(default_factory=dict)
    faults: dict[str, Refused] = field(default_factory=dict)
    rows: dict[str, TalkRow] = field(default_factory=dict)
    noticed: set[str] = field(default_factory=set)

    @property
    def space(self) -> str:
        return f"sheet:{self.book.address}"

    async def write(self, requests: Sequence[_Request]) -> list[Receipt | Fault]:
        """Write what all of them request; returns for each its row's receipt, or its fault."""
        remembered = await self.memory.recall(self.space)
        self.known = {name: CellRecord.from_text(text) for name, text in remembered.items()}
        statuses = _latest_statuses([talk_status for request in requests for talk_status in request.statuses])
        for talk_status in statuses.values():
            for names, text in self.options.cell_texts(talk_status):
                if text is not None:
                    name = _name(names, talk_status.talk)
                    self.known[name] = replace(self.known.get(name, CellRecord()), wanted=text)
        # After a crash vidd must recognize its own text in a cell, so it remembers the text before it writes it.
        self.known = {name: record.begin_write() for name, record in self.known.items()}
        self.noticed = {talk_status.talk for request in requests if request.notice for talk_status in request.statuses}
        all_rows = not all(request.notice for request in requests)
        await self._remember(remembered)
        remembered = {name: record.to_text() for name, record in self.known.items()}
        left = await self.book.edit(lambda grids: self._change(grids, all_rows=all_rows))
        for name, verdict in self.verdicts.items():
            if self.edits.get(name) not in left:
                self.known[name] = self.known[name].finish_write(verdict)
        await self._remember(remembered)
        return [self._answer(request, left) for request in requests]

    async def _remember(self, before: Mapping[str, str]) -> None:
        now = {name: record.to_text() for name, record in self.known.items()}
        new = {name: text for name, text in now.items() if before.get(name) != text}
        if new:
            await self.memory.remember(self.space, new)

    def _change(self, grids: Sequence[Grid], *, all_rows: bool) -> list[CellEdit | NoteEdit]:
        self.verdicts, self.edits, self.faults, self.rows = {}, {}, {}, {}
        added = _AddedColumns()
        edits: list[CellEdit | NoteEdit] = []
        rows = talk_rows(grids, self.options.columns.id)
        for talk in self.noticed:
            try:
                self.rows[talk] = find_row(grids, talk, self.options, self.book)
            except Refused as refusal:
                self.faults[talk] = refusal
        for talk, found in rows.items():
            if len(found) == 1:
                edits += self._row(talk, found[0], added, all_rows=all_rows)
        return edits

    def _row(self, talk: str, row: TalkRow, added: _AddedColumns, *, all_rows: bool) -> list[CellEdit | NoteEdit]:
        edits: list[CellEdit | NoteEdit] = []
        status = self.options.columns.status
        if all_rows and _name(status, talk) not in self.known and not _text(row, status).strip():
            self.known[_name(status, talk)] = CellRecord(wanted=Status.NOT_UPLOADED.value)
        columns = [names for names in self.options.columns.write_statuses() if _name(names, talk) in self.known]
        if status in columns and self.options.columns.link not in columns:
            # The link's heading is added together with the status's, so that they stand side by side.
            columns.insert(1, self.options.columns.link)
        for names in columns:
            column, heading = added.column(row.layout, names)
            edits += heading
            name = _name(names, talk)
            if name in self.known:
                edits += self._cell(name, row, column, own=_OWN_STATUSES if names == status else frozenset())
        return edits

    def _cell(self, name: str, talk_row: TalkRow, column: int, *, own: frozenset[str]) -> list[CellEdit | NoteEdit]:
        grid, row = talk_row.layout.grid, talk_row.row
        verdict = self.verdicts[name] = merge_cell(self.known[name], grid.text(row, column), own, _BLANK)
        edits: list[CellEdit | NoteEdit] = []
        if verdict.write is not None:
            self.edits[name] = CellEdit(grid.tab, row, column, verdict.write)
            edits.append(self.edits[name])
        note = grid.notes.get((row, column), "")
        wanted = _note(verdict.conflict)
        if note != wanted and (not note or note.startswith(_NOTE_PREFIX)):
            edits.append(NoteEdit(grid.tab, row, column, wanted))
        return edits

    def _answer(self, request: _Request, left: Sequence[CellEdit]) -> Receipt | Fault:
        if not request.notice:
            return Receipt()
        talk = request.statuses[0].talk
        if talk in self.faults:
            return self.faults[talk]
        row = self.rows[talk]
        if any((edit.tab, edit.row) == (row.layout.grid.tab, row.row) for edit in left):
            return Refused(f"In {row.label} of the sheet a formula stands where vidd writes: move it, then retry.")
        columns = {_name(names, talk): names[0] for names in self.options.columns.write_statuses()}
        conflicts = {
            heading: self.verdicts[name].conflict
            for name, heading in columns.items()
            if name in self.verdicts and self.verdicts[name].conflict
        }
        return row_receipt(row, {heading: str(text) for heading, text in conflicts.items()})


class _AddedColumns:
    """The columns that one change adds, by tab."""

    def __init__(self) -> None:
        self.columns: dict[tuple[str, str], int] = {}

    def column(self, layout: Layout, names: Names) -> tuple[int, list[CellEdit]]:
        """The column of a heading, and the edit that adds the heading where it is missing."""
        column = layout.column(names)
        tab = layout.grid.tab
        if column is not None:
            return column, []
        if (tab, names[0]) in self.columns:
            return self.columns[tab, names[0]], []
        column = layout.end + sum(1 for other, _ in self.columns if other == tab)
        self.columns[tab, names[0]] = column
        return column, [CellEdit(tab, layout.row, column, names[0])]


def _latest_statuses(statuses: Sequence[TalkStatus]) -> dict[str, TalkStatus]:
    """The last status of each talk; but a published one counts more than those from before it was published."""
    found: dict[str, TalkStatus] = {}
    for talk_status in statuses:
        if (
            talk_status.talk not in found
            or found[talk_status.talk].status is not Status.PUBLISHED
            or talk_status.status is Status.PUBLISHED
        ):
            found[talk_status.talk] = talk_status
    return found


def _name(names: Names, talk: str) -> str:
    """The name that a cell has in the memory."""
    return f"{fold(names[0])}: {talk}"


def _note(conflict: str | None) -> str:
    """The note at a cell that holds a person's text."""
    if conflict is None:
        return ""
    return f"{_NOTE_PREFIX}somebody wrote this, so it stays. vidd would write: {conflict}\nEmpty the cell to have that."


def _text(row: TalkRow, names: Names) -> str:
    column = row.layout.column(names)
    return "" if column is None else row.layout.grid.text(row.row, column)

"""A sheet as rows of texts, and the protocol of the books that store one.

Rows are counted from 1, as a person reads them at the edge of the sheet; columns from 0. A change of a sheet is a
function from a fresh reading to the cells to write, so that a book can run it again when a person was quicker. vidd
finds a talk's row by its id, never by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from pydantic import BeforeValidator

_HEADING_DEPTH = 10

ID_NAMES = ("uuid", "id", "talk id", "talk uuid")
STATUS_NAMES = ("status",)
LINK_NAMES = ("link", "url", "video link")
LIBRARY_NAMES = ("library link", "library")

Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
"""One heading, or several accepted ones of which the first one found counts."""


@dataclass(frozen=True, slots=True)
class Grid:
    """All cells of one tab. The tab of a CSV file is called "". `notes` are the cells' notes, by row and column."""

    tab: str
    rows: tuple[tuple[str, ...], ...]
    notes: Mapping[tuple[int, int], str] = field(default_factory=dict, hash=False)

    def text(self, row: int, column: int) -> str:
        """A cell's text; "" beyond the edge."""
        cells = self.rows[row - 1] if row <= len(self.rows) else ()
        return cells[column] if column < len(cells) else ""


@dataclass(frozen=True, slots=True)
class CellEdit:
    """A text to write into a cell."""

    tab: str
    row: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class NoteEdit:
    """A text to write into the note of a cell; "" removes the note. Books that are files ignore notes."""

    tab: str
    row: int
    column: int
    text: str


Change = Callable[[Sequence[Grid]], Sequence[CellEdit | NoteEdit]]


@dataclass(frozen=True, slots=True)
class Version:
    """The state of a book: a different `mark` means that it changed. `changed` is when, for books that are written slowly."""

    mark: Hashable
    changed: datetime | None = None


class Book(Protocol):
    """What stores a sheet. `name` is for sentences; `address` identifies it."""

    @property
    def name(self) -> str:
        """The name that an operator knows."""

    @property
    def address(self) -> str:
        """The address that identifies the book."""

    async def version(self) -> Version | None:
        """The state of the book, cheaply; None where only reading it can tell. Raises Refused or RetryLater like `read`."""

    async def read(self) -> Sequence[Grid]:
        """All tabs, or the one that the settings name. Raises Refused, or RetryLater while the book cannot be read."""

    async def edit(self, change: Change) -> Sequence[CellEdit]:
        """Write what `change` returns and nothing else; durable when it returns. `change` may be called several times.

        Returns the edits left out because their cells hold formulas. What `change` raises passes through.
        """


@dataclass(frozen=True, slots=True)
class Layout:
    """The headings of a tab and their row. `end` is the first free column at the right."""

    grid: Grid
    row: int
    headings: tuple[str, ...]

    def column(self, names: Sequence[str]) -> int | None:
        """The column of the first of these names that the tab has, compared without case, `_` and `-`."""
        folded = [fold(heading) for heading in self.headings]
        return next((folded.index(fold(name)) for name in names if fold(name) in folded), None)

    @property
    def end(self) -> int:
        """The first column in which no row has anything."""
        return max((len(row) for row in self.grid.rows), default=0)

    def below(self) -> Iterator[int]:
        """The numbers of the rows under the headings."""
        return iter(range(self.row + 1, len(self.grid.rows) + 1))


@dataclass(frozen=True, slots=True)
class TalkRow:
    """A talk's row."""

    layout: Layout
    row: int

    @property
    def label(self) -> str:
        """The row as sentences name it."""
        tab = self.layout.grid.tab
        return f"row {self.row} of the tab {tab!r}" if tab else f"row {self.row}"


def fold(heading: str) -> str:
    """A heading normalized for comparison."""
    return " ".join(heading.replace("_", " ").replace("-", " ").split()).casefold()


def layouts(grids: Sequence[Grid], id_names: Sequence[str]) -> list[Layout]:
    """The layouts of the tabs that have an id column. The headings may stand below a few lines of title."""
    found = []
    for grid in grids:
        for number, cells in enumerate(grid.rows[:_HEADING_DEPTH], start=1):
            layout = Layout(grid, number, tuple(cell.strip() for cell in cells))
            if layout.column(id_names) is not None:
                found.append(layout)
                break
    return found


def describe_headings(grids: Sequence[Grid]) -> str:
    """The first non-empty lines, which could be headings, for a sentence that says what is missing."""
    firsts = (next((row for row in grid.rows if any(cell.strip() for cell in row)), ()) for grid in grids)
    texts = [cell.strip()[:40] for row in firsts for cell in row if cell.strip()]
    return ", ".join(repr(text) for text in texts[:30]) or "none"


def talk_rows(grids: Sequence[Grid], id_names: Sequence[str]) -> dict[str, list[TalkRow]]:
    """The rows of every talk id, in the order of the sheet; more than one row is a fault of the sheet."""
    rows: dict[str, list[TalkRow]] = {}
    for layout in layouts(grids, id_names):
        column = layout.column(id_names)
        for number in layout.below():
            talk = layout.grid.text(number, column).strip() if column is not None else ""
            if talk:
                rows.setdefault(talk, []).append(TalkRow(layout, number))
    return rows

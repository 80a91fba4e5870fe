"""A sheet as rows of texts, whatever it is stored in, and the promise of everything that stores one.

Rows are counted from 1, as a person reads them at the edge of the sheet; columns from 0. A change of a sheet is
a function from a fresh reading to the cells to write, so whoever stores it can run it again when a person was
quicker. A talk's row is found by its id, never by its number.
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
"""One heading, or several that are accepted, the first one found wins."""


@dataclass(frozen=True, slots=True)
class Grid:
    """One tab, read whole. A CSV file has one, called "". `notes` are those at its cells, by row and column."""

    tab: str
    rows: tuple[tuple[str, ...], ...]
    notes: Mapping[tuple[int, int], str] = field(default_factory=dict, hash=False)

    def text(self, row: int, column: int) -> str:
        """A cell's text; "" beyond the edge."""
        cells = self.rows[row - 1] if row <= len(self.rows) else ()
        return cells[column] if column < len(cells) else ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text to be written."""

    tab: str
    row: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What is to be said in a note at a cell; "" takes the note away. Sheets that are files have no notes."""

    tab: str
    row: int
    column: int
    text: str


Change = Callable[[Sequence[Grid]], Sequence[Cell | Remark]]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which state a book is in: another `mark` means that it changed. `changed` is when, where one must wait for its end."""

    mark: Hashable
    changed: datetime | None = None


class Book(Protocol):
    """What stores a sheet. `name` is for sentences; `address` tells it from all others."""

    @property
    def name(self) -> str:
        """As an operator knows it."""

    @property
    def address(self) -> str:
        """Where it is."""

    async def stamp(self) -> Stamp | None:
        """Which state it is in, cheaply; None where only reading it can tell. Refused or RetryLater as reading it."""

    async def read(self) -> Sequence[Grid]:
        """All its tabs, or the one that was asked for. Refused, or RetryLater while it cannot be read."""

    async def edit(self, change: Change) -> Sequence[Cell]:
        """Write what `change` asks for and nothing else; durable when it returns. `change` may be asked several times.

        Returns the cells that were left alone because they hold formulas. What `change` raises passes through.
        """


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a tab has its headings. `end` is the first free column at the right."""

    grid: Grid
    row: int
    headings: tuple[str, ...]

    def column(self, names: Sequence[str]) -> int | None:
        """The column of the first of these names that there is, compared without case, `_` and `-`."""
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
class Place:
    """A talk's row."""

    layout: Layout
    row: int

    @property
    def words(self) -> str:
        """As an operator looks for it."""
        tab = self.layout.grid.tab
        return f"row {self.row} of the tab {tab!r}" if tab else f"row {self.row}"


def fold(heading: str) -> str:
    """A heading as it is compared."""
    return " ".join(heading.replace("_", " ").replace("-", " ").split()).casefold()


def layouts(grids: Sequence[Grid], id_names: Sequence[str]) -> list[Layout]:
    """The tabs that have an id column. Their headings may stand below a few lines of title."""
    found = []
    for grid in grids:
        for number, cells in enumerate(grid.rows[:_HEADING_DEPTH], start=1):
            layout = Layout(grid, number, tuple(cell.strip() for cell in cells))
            if layout.column(id_names) is not None:
                found.append(layout)
                break
    return found


def headings_found(grids: Sequence[Grid]) -> str:
    """The first lines that could have been headings, for a sentence that says what is missing."""
    firsts = (next((row for row in grid.rows if any(cell.strip() for cell in row)), ()) for grid in grids)
    words = [cell.strip()[:40] for row in firsts for cell in row if cell.strip()]
    return ", ".join(repr(word) for word in words[:30]) or "none"


def places(grids: Sequence[Grid], id_names: Sequence[str]) -> dict[str, list[Place]]:
    """Every talk id with its rows, in the order of the sheet; more than one row is the sheet's fault."""
    rows: dict[str, list[Place]] = {}
    for layout in layouts(grids, id_names):
        column = layout.column(id_names)
        for number in layout.below():
            talk = layout.grid.text(number, column).strip() if column is not None else ""
            if talk:
                rows.setdefault(talk, []).append(Place(layout, number))
    return rows

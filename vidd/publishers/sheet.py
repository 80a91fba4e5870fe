"""The talk's row in the sheet says that it is published, and where.

Writing a cell with what it already says changes nothing, so a repeated attempt does no harm. The row is looked
for by the talk's id in the sheet as it is at that moment: rows may have been sorted, added and deleted since.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from vidd.clients.sheetfile import open_book
from vidd.clients.table import (
    ID_NAMES,
    LINK_NAMES,
    STATUS_NAMES,
    Book,
    Cell,
    Grid,
    Layout,
    Names,
    Place,
    headings_found,
    layouts,
    places,
)
from vidd.errors import Refused
from vidd.model.publication import Receipt
from vidd.model.talk import Standing, Status
from vidd.options import Options as Base
from vidd.ports import Parcel, Tools

SLOT: str | None = None


class Columns(Base):
    """The headings; one of the last two that is missing is added at the right."""

    id: Names = Field(ID_NAMES, description="The talk's id.")
    status: Names = Field(STATUS_NAMES, description="Where the status word goes.")
    link: Names = Field(LINK_NAMES, description="Where the link goes.")


class Options(Base):
    """Settings of a notice of kind `sheet`."""

    path: Path = Field(description="The .csv or .xlsx file; from the state directory where it is relative.")
    tab: str | None = Field(None, description="The only tab of a workbook that counts; all visible ones otherwise.")
    columns: Columns = Field(Columns(), description="The headings, where they are not the usual ones.")


async def publish(options: Options, parcel: Parcel) -> Receipt:
    """Write `published` and the link. Refused where the talk has no row, or two, or a formula stands in the way."""
    talk = _talk(parcel)
    found: list[Place] = []

    def change(grids: Sequence[Grid]) -> list[Cell]:
        place = _place(grids, talk, options)
        found[:] = [place]
        return _cells(place, Standing(talk, Status.PUBLISHED, parcel.link), options, _Added())

    left = await _book(options, parcel.tools).edit(change)
    if left:
        raise Refused(f"In {found[0].words} of the sheet a formula stands where vidd writes: move it, then retry.")
    return _receipt(found[0])


async def reconcile(options: Options, parcel: Parcel) -> Receipt | None:
    """The receipt where the row already says so, None where it does not."""
    talk = _talk(parcel)
    place = _place(await _book(options, parcel.tools).read(), talk, options)
    wanted = {options.columns.status: Status.PUBLISHED.value, options.columns.link: parcel.link}
    for names, text in wanted.items():
        column = place.layout.column(names)
        if text and (column is None or place.layout.grid.text(place.row, column) != text):
            return None
    return _receipt(place)


async def follow(options: Options, standings: Sequence[Standing], tools: Tools) -> None:
    """Make all rows say how their talks stand, in one writing; a talk that has no row, or two, is passed over."""
    standing = {one.talk: one for one in standings}

    def change(grids: Sequence[Grid]) -> list[Cell]:
        cells: list[Cell] = []
        added = _Added()
        for talk, found in places(grids, options.columns.id).items():
            place = found[0]
            if len(found) > 1:
                continue
            if talk in standing:
                cells += _cells(place, standing[talk], options, added)
            elif not _status(place, options):
                cells += _cells(place, Standing(talk, Status.NOT_UPLOADED), options, added)
        return cells

    await _book(options, tools).edit(change)


async def check(options: Options, tools: Tools) -> str:
    """Read the sheet once and say how many talks it has; Refused where it has no id column."""
    path = tools.path(options.path)
    if not path.exists():
        return f"{path} is not there yet; it must be when the first talk is published"
    grids = await _book(options, tools).read()
    _with_ids(grids, options)
    return f"{len(places(grids, options.columns.id))} talks have a row"


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


def _cells(place: Place, standing: Standing, options: Options, added: _Added) -> list[Cell]:
    cells = []
    # The heading of the link is made together with that of the status, so that they stand side by side.
    for names, text in ((options.columns.status, standing.status.value), (options.columns.link, standing.link)):
        column, heading = added.column(place.layout, names)
        cells += heading
        if text is not None:
            cells.append(Cell(place.layout.grid.tab, place.row, column, text))
    return cells


def _status(place: Place, options: Options) -> str:
    column = place.layout.column(options.columns.status)
    return "" if column is None else place.layout.grid.text(place.row, column).strip()


def _place(grids: Sequence[Grid], talk: str, options: Options) -> Place:
    _with_ids(grids, options)
    found = places(grids, options.columns.id).get(talk, [])
    if not found:
        raise Refused(f"The talk {talk!r} has no row in {options.path.name} any more: put it back, then retry.")
    if len(found) > 1:
        rows = " and ".join(place.words for place in found)
        raise Refused(f"The talk {talk!r} has {rows} in {options.path.name}: leave one of them, then retry.")
    return found[0]


def _with_ids(grids: Sequence[Grid], options: Options) -> None:
    if not layouts(grids, options.columns.id):
        raise Refused(
            f"{options.path.name} has no column {options.columns.id[0]!r} for the talks' ids; the headings found are "
            f"{headings_found(grids)}: add the column, or name yours under `columns`."
        )


def _talk(parcel: Parcel) -> str:
    talk = parcel.job.talk or (parcel.talk.id if parcel.talk else None)
    if not talk:
        raise Refused(
            "This job belongs to no talk, so it has no row in the sheet: take the notice out of its pipeline."
        )
    return talk


def _receipt(place: Place) -> Receipt:
    return Receipt(facts={"row": place.row, "tab": place.layout.grid.tab})


def _book(options: Options, tools: Tools) -> Book:
    return open_book(tools.path(options.path), options.tab)

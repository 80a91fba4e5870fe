"""A talk's row in a sheet: its columns, the texts that vidd writes, and how vidd finds the row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import Field

from vidd.errors import FaultCode, Refused
from vidd.integrations.sheet.options import SheetOptions
from vidd.integrations.sheet.table import (
    ID_NAMES,
    LIBRARY_NAMES,
    LINK_NAMES,
    STATUS_NAMES,
    Book,
    Grid,
    Names,
    TalkRow,
    describe_headings,
    layouts,
    talk_rows,
)
from vidd.model.publication import Receipt
from vidd.model.talk import TalkStatus
from vidd.settings.types import Options as Base

_LIBRARY = re.compile(r"library|(?:s3|folder)(?:-\d+)?")


class Columns(Base):
    """The headings; one of the last three that is missing is added at the right when there is something to write."""

    id: Names = Field(ID_NAMES, description="The talk's id.")
    status: Names = Field(STATUS_NAMES, description="Where the status word goes.")
    link: Names = Field(LINK_NAMES, description="Where the link goes.")
    library: Names = Field(LIBRARY_NAMES, description="Where the link into the library goes.")

    def write_statuses(self) -> list[Names]:
        """The columns that vidd writes."""
        return [self.status, self.link, self.library]


class RowOptions(SheetOptions):
    """The settings that say which cells of a talk's row are written."""

    columns: Columns = Field(Columns(), description="The headings, where they are not the usual ones.")
    link_of: str | None = Field(None, description="The publisher, by label, whose address is the link; else the first.")
    library_of: str | None = Field(
        None,
        description="The publisher whose address is the library link; else one labelled library, s3 or folder, unless that"
        " address is the link already.",
    )

    def labels_named(self) -> dict[tuple[str, ...], str]:
        """The labels of publishers that the options name, by option."""
        named = {("link_of",): self.link_of, ("library_of",): self.library_of}
        return {where: label for where, label in named.items() if label is not None}

    def cell_texts(self, talk_status: TalkStatus) -> list[tuple[Names, str | None]]:
        """The texts of a talk's row, by column; None where there is nothing to write."""
        links = talk_status.links
        link = talk_status.link if self.link_of is None else links.get(self.link_of)
        if self.library_of is not None:
            library = links.get(self.library_of)
        else:
            found = [url for name, url in links.items() if _LIBRARY.fullmatch(name)]
            library = found[0] if found and found[0] != link else None
        columns = self.columns
        return [(columns.status, talk_status.status.value), (columns.link, link), (columns.library, library)]


def find_row(grids: Sequence[Grid], talk: str, options: RowOptions, book: Book) -> TalkRow:
    """A talk's row. Raises Refused where there is none, or two."""
    require_ids(grids, options, book)
    found = talk_rows(grids, options.columns.id).get(talk, [])
    if not found:
        raise Refused(
            f"The talk {talk!r} has no row in {book.name} any more: put the row back, then retry.",
            code=FaultCode.NOT_FOUND,
        )
    if len(found) > 1:
        rows = " and ".join(row.label for row in found)
        raise Refused(
            f"The talk {talk!r} has {rows} in {book.name}: leave one of them, then retry.", code=FaultCode.CONFLICT
        )
    return found[0]


def require_ids(grids: Sequence[Grid], options: RowOptions, book: Book) -> None:
    """Raise Refused where no tab has a column for the talks' ids."""
    if not layouts(grids, options.columns.id):
        raise Refused(
            f"{book.name} has no column {options.columns.id[0]!r} for the talks' ids; the headings found are "
            f"{describe_headings(grids)}: add the column, or name yours under `columns`."
        )


def row_receipt(row: TalkRow, conflicts: Mapping[str, str]) -> Receipt:
    """The receipt of a row; `conflicts` are the texts that vidd would write, by column, where a person's text stays."""
    facts = {"row": row.row, "tab": row.layout.grid.tab}
    if conflicts:
        notes = [
            f"The cell under {name} is a person's and stays; vidd would write: {text}"
            for name, text in conflicts.items()
        ]
        facts |= {"kept": dict(conflicts), "notes": notes}
    return Receipt(facts=facts)

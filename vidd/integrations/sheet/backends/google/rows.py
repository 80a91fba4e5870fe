"""Recognizes the rows and columns of a tab after people have moved them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from vidd.integrations.sheet.backends.google.grid import Entered, Sheet, plain
from vidd.integrations.sheet.table import Layout, fold, layouts

SIMILAR = 0.3
"""From this similarity on, two rows can be one row at two times."""


@dataclass(frozen=True)
class HeadedSheet:
    """A tab with its headings. `ids` is the id column; it and `layout` are None where the tab has none."""

    sheet: Sheet
    layout: Layout | None
    ids: int | None

    def key(self, row: int) -> str:
        """The id in a row; "" where it has none."""
        return "" if self.ids is None else self.sheet.cell(row, self.ids).plain.strip()

    @cached_property
    def keys(self) -> set[str]:
        """The ids of all rows."""
        return {self.key(row) for row in range(1, len(self.sheet.rows) + 1)}

    def is_heading(self, row: int) -> bool:
        """Whether this row holds the headings."""
        return self.layout is not None and row == self.layout.row

    def heading(self, column: int) -> str:
        """The heading of a column; "" where it has none."""
        return "" if self.layout is None else self.sheet.cell(self.layout.row, column).plain.strip()

    def text_digests(
        self, row: int, without: Iterable[int], instead: Mapping[int, Entered] = MappingProxyType({})
    ) -> Counter[str]:
        """Digests of the texts of a row, except its id and some columns, with other values in some columns."""
        cells = self.sheet.rows[row - 1] if row <= len(self.sheet.rows) else ()
        texts = {column: cell.plain for column, cell in enumerate(cells)}
        texts |= {column: plain(value) for column, value in instead.items()}
        left_out = {*without, self.ids}
        return Counter(text_digest(text) for column, text in texts.items() if text and column not in left_out)

    def columns(self, headings: Iterable[str]) -> set[int]:
        """The columns that have one of these headings."""
        wanted = {fold(heading) for heading in headings} - {""}
        width = max((len(row) for row in self.sheet.rows), default=0)
        return {column for column in range(width) if fold(self.heading(column)) in wanted}


def text_digest(text: str) -> str:
    """A CRC-32 of a cell's text in hex digits: texts are long, and the notes that hold their digests must be short."""
    return f"{zlib.crc32(text.encode(errors='replace')):08x}"


def headed(sheet: Sheet, id_names: Sequence[str]) -> HeadedSheet:
    """A tab whose id column has one of these headings."""
    found = layouts([sheet.plain], id_names)
    layout = found[0] if found else None
    return HeadedSheet(sheet, layout, layout.column(id_names) if layout else None)


def is_same_row(before: Counter[str], now: Counter[str]) -> bool:
    """Whether a row with these digests can be the row that had the digests `before`."""
    return similarity(before, now) >= SIMILAR if before and now else before == now


def similarity(before: Counter[str], now: Counter[str]) -> float:
    """How much of a row's content `before` is there now, from 0 to 1; people may have added something since."""
    if not before:
        return 1 / (1 + now.total())
    return (before & now).total() / max(1, min(before.total(), now.total()))

"""The rows and columns of a tab, as they are known again after people have moved them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from vidd.integrations.sheet.backends.google.grid import Entered, Sheet, plain
from vidd.integrations.sheet.table import Layout, fold, layouts

ALIKE = 0.3
"""From this likeness on, a row can be another one some seconds later."""


@dataclass(frozen=True)
class Headed:
    """A tab with its ids and headings; `layout` is None where it has no id column."""

    sheet: Sheet
    layout: Layout | None
    ids: int | None

    def key(self, row: int) -> str:
        """The id in a row, "" where it has none."""
        return "" if self.ids is None else self.sheet.spot(row, self.ids).plain.strip()

    @cached_property
    def keys(self) -> set[str]:
        """All ids there are."""
        return {self.key(row) for row in range(1, len(self.sheet.rows) + 1)}

    def is_heading(self, row: int) -> bool:
        """Whether the headings stand in this row."""
        return self.layout is not None and row == self.layout.row

    def heading(self, column: int) -> str:
        """The heading of a column, "" where it has none."""
        return "" if self.layout is None else self.sheet.spot(self.layout.row, column).plain.strip()

    def words(
        self, row: int, without: Iterable[int], instead: Mapping[int, Entered] = MappingProxyType({})
    ) -> Counter[str]:
        """What stands in a row but for its id and some columns, with other values in some."""
        cells = self.sheet.rows[row - 1] if row <= len(self.sheet.rows) else ()
        texts = {column: spot.plain for column, spot in enumerate(cells)}
        texts |= {column: plain(value) for column, value in instead.items()}
        left_out = {*without, self.ids}
        return Counter(mark(text) for column, text in texts.items() if text and column not in left_out)

    def columns(self, headings: Iterable[str]) -> set[int]:
        """Where these headings are."""
        wanted = {fold(heading) for heading in headings} - {""}
        width = max((len(row) for row in self.sheet.rows), default=0)
        return {column for column in range(width) if fold(self.heading(column)) in wanted}


def mark(text: str) -> str:
    """What stands for a cell's text among the words of its row: descriptions are long, notes must be short."""
    return f"{zlib.crc32(text.encode(errors='replace')):08x}"


def headed(sheet: Sheet, id_names: Sequence[str]) -> Headed:
    """A tab whose ids stand under one of these headings."""
    found = layouts([sheet.plain], id_names)
    layout = found[0] if found else None
    return Headed(sheet, layout, layout.column(id_names) if layout else None)


def same(one: Counter[str], other: Counter[str]) -> bool:
    """Whether the words of a row at one instant can be those it had a moment before."""
    return likeness(one, other) >= ALIKE if one and other else one == other


def likeness(one: Counter[str], other: Counter[str]) -> float:
    """How much of what stood in a row stands there now, from 0 to 1; people may have added something since."""
    if not one:
        return 1 / (1 + other.total())
    return (one & other).total() / max(1, min(one.total(), other.total()))

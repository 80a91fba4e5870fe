"""Decides what to do with a cell that both vidd and people write: a three-way merge of one cell.

A person's text always stays. vidd writes where a person left the cell alone or cleared it; where vidd has something new
to write and a person's text stands there, that is a conflict, which vidd shows and does not decide.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class CellRecord:
    """What vidd remembers of a cell: the text it last wrote, texts it began to write and may have written, the wanted one."""

    written: str | None = None
    attempted: tuple[str, ...] = ()
    wanted: str | None = None

    def to_text(self) -> str:
        """The JSON list that is remembered."""
        return json.dumps([self.written, list(self.attempted), self.wanted], ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str | None) -> CellRecord:
        """Parse such a text; an empty record where there is none."""
        if text is None:
            return cls()
        written, attempted, wanted = json.loads(text)
        return cls(written, tuple(attempted), wanted)

    def begin_write(self) -> CellRecord:
        """The record before vidd writes the wanted text, which from then on may stand in the cell."""
        if self.wanted in {None, "", self.written, *self.attempted}:
            return self
        return replace(self, attempted=(*self.attempted, str(self.wanted)))

    def finish_write(self, verdict: Verdict) -> CellRecord:
        """The record after the verdict was carried out."""
        return (
            CellRecord(verdict.stands, (), self.wanted) if verdict.stands is not None else replace(self, attempted=())
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """`write` is the text to write, if any; `conflict` the text that vidd would write where a person's stays.

    `stands` is vidd's text in the cell afterwards; None where the text is a person's.
    """

    write: str | None = None
    stands: str | None = None
    conflict: str | None = None


def merge_cell(record: CellRecord, theirs: str, own: Collection[str] = (), blank: str = "") -> Verdict:
    """What to do with a cell that holds the text `theirs`.

    `own` are texts that count as vidd's where no record says that vidd wrote one; `blank` counts as an empty cell.
    """
    ours = record.wanted
    if ours is None:
        return Verdict()
    if theirs == ours:
        return Verdict(stands=ours)
    vidds = {record.written, *record.attempted} - {None}
    if theirs.strip() in {"", blank} or theirs in vidds or (record.written is None and theirs in own):
        return Verdict(write=ours, stands=ours)
    return Verdict(conflict=None if ours == record.written else ours)

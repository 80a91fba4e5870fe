"""One cell that both vidd and people write: what vidd wrote last, what stands there, what vidd wants.

A person's word stays, always. vidd goes on where a person left the cell alone or cleared it; where vidd has something
new to say and a person's word stands there, that is a conflict, which is shown and not decided.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a cell. `trying` are texts that vidd set out to write and may have written."""

    written: str | None = None
    trying: tuple[str, ...] = ()
    wanted: str | None = None

    def to_text(self) -> str:
        """As it is remembered."""
        return json.dumps([self.written, list(self.trying), self.wanted], ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str | None) -> Known:
        """The opposite; one that knows nothing where there is no text."""
        if text is None:
            return cls()
        written, trying, wanted = json.loads(text)
        return cls(written, tuple(trying), wanted)

    def setting_out(self) -> Known:
        """Before what is wanted is written: from here on it may stand there."""
        if self.wanted in {None, "", self.written, *self.trying}:
            return self
        return replace(self, trying=(*self.trying, str(self.wanted)))

    def arrived(self, verdict: Verdict) -> Known:
        """After the verdict was carried out."""
        return Known(verdict.stands, (), self.wanted) if verdict.stands is not None else replace(self, trying=())


@dataclass(frozen=True, slots=True)
class Verdict:
    """`write` is what is to be written, if anything; `conflict` what vidd would say where a person's word stays.

    `stands` is what of vidd's stands in the cell afterwards, None where it is a person's.
    """

    write: str | None = None
    stands: str | None = None
    conflict: str | None = None


def merged(known: Known, theirs: str, own: Collection[str] = (), nothing: str = "") -> Verdict:
    """What to do with a cell in which `theirs` stands.

    `own` are words that are taken for vidd's where it is not known to have written any; `nothing` says as much as an
    empty cell.
    """
    ours = known.wanted
    if ours is None:
        return Verdict()
    if theirs == ours:
        return Verdict(stands=ours)
    vidds = {known.written, *known.trying} - {None}
    if theirs.strip() in {"", nothing} or theirs in vidds or (known.written is None and theirs in own):
        return Verdict(write=ours, stands=ours)
    return Verdict(conflict=None if ours == known.written else ours)

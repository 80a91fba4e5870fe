"""Which jobs and talks the overview shows, as its address says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from vidd.model.job import State

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNNING = frozenset({State.WORKING, State.PUBLISHING})
NEEDS_PERSON = frozenset({State.REFUSED, State.UNSURE, State.HELD})
QUEUED = frozenset({State.SEEN, State.READY})
GROUPS: Mapping[str, tuple[str, tuple[State, ...]]] = {
    "person": ("Needs you", tuple(sorted(NEEDS_PERSON))),
    "running": ("Running", tuple(sorted(RUNNING))),
    "waiting": ("Waiting", tuple(sorted({*QUEUED, State.WAITING}))),
    "published": ("Published", (State.PUBLISHED,)),
    "stopped": ("Stopped", (State.CANCELLED, State.EXCLUDED)),
}
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Filter:
    """The conditions of the list. `state` is a group of `GROUPS` or a state; `after` is the last job of the page before.

    programme: "all" shows every talk, however many there are.
    """

    state: str = ""
    pipeline: str = ""
    stage: str = ""
    text: str = ""
    after: str = ""
    programme: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Filter:
        """The filter of an address; what it does not know is left out."""
        found = {name: " ".join(query.get(name, "").split())[:_LONGEST] for name in cls.__dataclass_fields__}
        if found["state"] not in {*GROUPS, *State}:
            found["state"] = ""
        return cls(**found)

    @property
    def states(self) -> tuple[State, ...]:
        """The states that it allows; empty for all."""
        if self.state in GROUPS:
            return GROUPS[self.state][1]
        return (State(self.state),) if self.state else ()

    @property
    def is_set(self) -> bool:
        """Whether the list shows less than everything."""
        return bool(self.state or self.pipeline or self.stage or self.text)

    def address(self, **changes: str) -> str:
        """The overview's address with changes; a change of a condition begins at the first page."""
        changed = replace(self, **{"after": "", **changes})
        query = urlencode({name: value for name, value in asdict(changed).items() if value})
        return f"/?{query}" if query else "/"

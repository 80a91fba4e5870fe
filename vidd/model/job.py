"""A job: one arrival going through one pipeline.

Rules. A job is frozen and changes only by `evolve`. Its state moves only along `MOVES`; an illegal move raises
`IllegalMove` and changes nothing. Only a person's request leads out of `published`: a notice sent again, changed text, a
retraction, a replacement. `save` takes the expected previous state (compare-and-swap), so two concurrent writers cannot
both succeed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class State(StrEnum):
    """Where a job stands."""

    SEEN = "seen"
    READY = "ready"
    WORKING = "working"
    HELD = "held"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    WAITING = "waiting"
    REFUSED = "refused"
    UNSURE = "unsure"
    EXCLUDED = "excluded"
    CANCELLED = "cancelled"


MEANING: Mapping[State, str] = {
    State.SEEN: "It arrived and is recorded; its talk has not been looked up yet.",
    State.READY: "It may start as soon as there is room.",
    State.WORKING: "Its steps are running.",
    State.HELD: "The steps are done; a person must approve it.",
    State.PUBLISHING: "It is going out, and then the notices.",
    State.PUBLISHED: "Every required publisher has a receipt.",
    State.WAITING: "It goes on by itself at the time shown.",
    State.REFUSED: "The input or the settings must change before it can go on.",
    State.UNSURE: "Something was sent and nobody knows whether it arrived; a person must look.",
    State.EXCLUDED: "The programme excludes this talk.",
    State.CANCELLED: "A person stopped it.",
}

MOVES: Mapping[State, frozenset[State]] = {
    State.SEEN: frozenset({State.READY, State.WAITING, State.REFUSED, State.EXCLUDED, State.CANCELLED}),
    State.READY: frozenset({State.WORKING, State.WAITING, State.REFUSED, State.EXCLUDED, State.CANCELLED}),
    State.WORKING: frozenset(
        {State.HELD, State.PUBLISHING, State.WAITING, State.REFUSED, State.READY, State.EXCLUDED, State.CANCELLED}
    ),
    State.HELD: frozenset({State.READY, State.PUBLISHING, State.CANCELLED}),
    State.PUBLISHING: frozenset(
        {State.PUBLISHED, State.WAITING, State.REFUSED, State.UNSURE, State.READY, State.CANCELLED}
    ),
    State.WAITING: frozenset({State.READY, State.CANCELLED}),
    State.REFUSED: frozenset({State.READY, State.CANCELLED}),
    State.UNSURE: frozenset({State.READY, State.CANCELLED}),
    State.EXCLUDED: frozenset({State.READY, State.CANCELLED}),
    State.CANCELLED: frozenset({State.READY}),
    State.PUBLISHED: frozenset({State.READY}),
}

FAILED = frozenset({State.REFUSED, State.UNSURE})
"""States in which a job came to nothing so far and a person must do something."""

ENDED = FAILED | {State.EXCLUDED, State.CANCELLED}
"""States in which a job came to nothing so far; nothing goes on by itself."""

FAILURE = "failure"
"""The fact that has what is known of a job's last failure: `step`, what the program `said` last, its `log`."""

REPLACES = "replaces"
"""The fact that names the job whose publications this one takes the place of."""

SHORTEST_END = 4
"""How many characters of the end of an id tell a job."""

UNFINISHED = frozenset({State.SEEN, State.READY, State.WORKING, State.PUBLISHING})
"""States a daemon takes up again by itself when it starts; `waiting` comes when its time has come."""


class IllegalMove(Exception):
    """A job was asked to go where its state does not lead."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a source saw.

    `key` is the same whenever the same thing is seen again. `location` is a URI (file, s3, https);
    `name` is the file's own, untrusted name. `facts` are the source's findings: `size` (bytes), `etag`,
    `version`, `mtime_ns`, `account`, and where the source knows them `talk`, `start`, `end` (seconds).
    """

    key: str
    location: str
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One arrival in one pipeline. `settings` are the pipeline's, as they were at admission.

    `attempt` counts the failed attempts of the present series, which began at `tried`.
    """

    id: str
    key: str
    pipeline: str
    source: str
    location: str
    name: str
    created: datetime
    changed: datetime
    state: State = State.SEEN
    facts: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    attempt: int = 0
    tried: datetime | None = None
    talk: str | None = None
    reason: str | None = None
    until: datetime | None = None

    @property
    def entry(self) -> Entry:
        """The job in a line."""
        return Entry(self.id, self.key, self.pipeline, self.source, self.location, self.name, self.state, self.reason)

    def evolve(self, **changes: Any) -> Job:
        """A copy with these changes; a change of state must be a legal move."""
        target = changes.get("state", self.state)
        if target is not self.state and target not in MOVES[self.state]:
            raise IllegalMove(f"a job that is {self.state} cannot become {target}")
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Entry:
    """A job in a line: what tells it from others, and where it stands."""

    id: str
    key: str
    pipeline: str
    source: str
    location: str
    name: str
    state: State
    reason: str | None


def new_id(now: datetime) -> str:
    """A job id that sorts by time and is easy to type: 16 characters of base 32."""
    number = (int(now.timestamp() * 1000) << 32) | secrets.randbits(32)
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(digits[(number >> shift) & 31] for shift in range(75, -1, -5))

"""A job: one arrival going through one pipeline.

Rules. A job is frozen and changes only by `evolve`. Its state moves only along `MOVES`; an illegal move raises
`IllegalMove` and changes nothing. Only a person's request leads out of `published`: to send a notice again, to change the
text, to retract, to replace. `Store.save` takes the expected previous state (compare-and-swap), so of two concurrent
writers only one succeeds.
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
"""States of a job that failed; a person must act."""

ENDED = FAILED | {State.EXCLUDED, State.CANCELLED}
"""States of a job that is not published and does not continue without a person."""

FAILURE = "failure"
"""The fact about a job's last failure: `step`, the last lines that its program printed (`said`), the path of its `log`."""

REPLACES = "replaces"
"""The fact with the id of the job whose publications this one replaces."""

RETRIED = "retried"
"""The fact with the time (ISO 8601) at which a person last asked for a retry."""

SHORTEST_END = 4
"""The fewest characters of the end of an id by which a person may name a job."""

UNFINISHED = frozenset({State.SEEN, State.READY, State.WORKING, State.PUBLISHING})
"""States that a daemon continues when it starts. A `waiting` job continues at its own time."""


class IllegalMove(Exception):
    """The state of the job or publication does not lead to the requested state."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a source saw.

    key: the same whenever the source sees the same item again.
    location: a URI (file, s3, https).
    name: the file's own name, which is untrusted.
    facts: what the source knows, such as `size` (bytes), `etag`, `version`, `mtime_ns`, `account`, `talk`, and the talk's
        `start` and `end` (seconds).
    """

    key: str
    location: str
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One arrival in one pipeline. `settings` are the pipeline's at the time of admission.

    `attempt` counts the failed attempts of the present series, which began at `tried`. `until` is when a waiting job
    continues. `reason` is a sentence for people.
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
        """The job as one line of a list."""
        return Entry(**{name: getattr(self, name) for name in Entry.__dataclass_fields__})

    def evolve(self, **changes: Any) -> Job:
        """A copy with these changes. Raises IllegalMove if its state does not lead to the new state."""
        target = changes.get("state", self.state)
        if target is not self.state and target not in MOVES[self.state]:
            raise IllegalMove(f"a job that is {self.state} cannot become {target}")
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as one line of a list: what identifies it, and its state."""

    id: str
    key: str
    pipeline: str
    source: str
    location: str
    name: str
    state: State
    reason: str | None
    talk: str | None = None


_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(now: datetime, after: str = "") -> str:
    """A job id: 16 characters of base 32 that sort by time and are easy to type; it sorts behind the id `after`.

    The order of ids is that of arrivals, also of those of one millisecond, and while a clock is set back.
    """
    number = (int(now.timestamp() * 1000) << 32) | secrets.randbits(32)
    if after:
        number = max(number, sum(_DIGITS.index(digit) << 5 * at for at, digit in enumerate(reversed(after))) + 1)
    return "".join(_DIGITS[(number >> shift) & 31] for shift in range(75, -1, -5))

"""A publication: one publisher's effect on the outside for one job.

Rules. `started` is saved before the first byte goes out, so vidd knows after a crash that something may have been
sent. From `started` and `sent` only a receipt, or the answer to "did it arrive?", leads on. Only a person's request leads
out of `done`: a retraction, or a notice sent once more, which is its next edition. An amendment may replace the receipt.
A notice is a publication that comes after the others; its failure never un-publishes a job.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from vidd.model.job import IllegalMove

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class PublicationState(StrEnum):
    """Where a publication stands."""

    PENDING = "pending"
    STARTED = "started"
    SENT = "sent"
    DONE = "done"
    WAITING = "waiting"
    REFUSED = "refused"
    UNSURE = "unsure"
    RETRACTED = "retracted"


PUBLICATION_MEANING: Mapping[PublicationState, str] = {
    PublicationState.PENDING: "Nothing has been sent.",
    PublicationState.STARTED: "Bytes may have gone out; there is no receipt yet.",
    PublicationState.SENT: "Everything went out; the answer is outstanding.",
    PublicationState.DONE: "There is a receipt.",
    PublicationState.WAITING: "It is tried again at the time shown.",
    PublicationState.REFUSED: "The other side will not take it like this.",
    PublicationState.UNSURE: "It may have arrived, and nobody can tell; a person must look.",
    PublicationState.RETRACTED: "It was there and was taken back.",
}

PUBLICATION_MOVES: Mapping[PublicationState, frozenset[PublicationState]] = {
    PublicationState.PENDING: frozenset(
        {
            PublicationState.STARTED,
            PublicationState.DONE,
            PublicationState.WAITING,
            PublicationState.REFUSED,
            PublicationState.UNSURE,
        }
    ),
    PublicationState.STARTED: frozenset(
        {
            PublicationState.SENT,
            PublicationState.DONE,
            PublicationState.WAITING,
            PublicationState.REFUSED,
            PublicationState.UNSURE,
            PublicationState.PENDING,
        }
    ),
    PublicationState.SENT: frozenset(
        {
            PublicationState.DONE,
            PublicationState.WAITING,
            PublicationState.REFUSED,
            PublicationState.UNSURE,
            PublicationState.PENDING,
        }
    ),
    PublicationState.WAITING: frozenset(
        {
            PublicationState.STARTED,
            PublicationState.DONE,
            PublicationState.REFUSED,
            PublicationState.UNSURE,
            PublicationState.PENDING,
        }
    ),
    PublicationState.REFUSED: frozenset({PublicationState.PENDING}),
    PublicationState.UNSURE: frozenset({PublicationState.DONE, PublicationState.PENDING}),
    PublicationState.DONE: frozenset({PublicationState.PENDING, PublicationState.RETRACTED}),
    PublicationState.RETRACTED: frozenset({PublicationState.PENDING}),
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof that it arrived: where it can be seen, and what the other side said of it."""

    url: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publication:
    """`name` is unique in its pipeline; `token` is what a resume or a reconcile needs (JSON).

    `begun` says that it was `started` at least once, so the other side is asked before anything is sent. `edition`
    counts how often a person asked for it anew, from 1. `revision` stands for the words it was published with
    (`talk.revision_of`). A `reason` beside a receipt says why a later change of it failed.
    """

    job: str
    name: str
    kind: str
    changed: datetime
    notice: bool = False
    state: PublicationState = PublicationState.PENDING
    attempt: int = 0
    tried: datetime | None = None
    begun: bool = False
    token: Mapping[str, Any] = field(default_factory=dict)
    receipt: Receipt | None = None
    reason: str | None = None
    until: datetime | None = None
    edition: int = 1
    revision: str | None = None

    def evolve(self, **changes: Any) -> Publication:
        """A copy with these changes; a change of state must be a legal move."""
        target = changes.get("state", self.state)
        if target is not self.state and target not in PUBLICATION_MOVES[self.state]:
            raise IllegalMove(f"a publication that is {self.state} cannot become {target}")
        return replace(self, **changes)


NEW_SERIES: Mapping[str, Any] = {"attempt": 0, "tried": None, "until": None, "reason": None}
"""The changes that begin another series of attempts."""


def next_edition(publication: Publication, *, revision: str | None = None) -> dict[str, Any]:
    """The changes that make a publication its next edition, of which nothing has been sent."""
    nothing: dict[str, Any] = {"token": {}, "receipt": None, "begun": False, "revision": revision}
    return {**NEW_SERIES, **nothing, "state": PublicationState.PENDING, "edition": publication.edition + 1}


def failure_notices(settings: Mapping[str, Any]) -> set[str]:
    """The names of the notices that tell of failures, in the settings stored with a job."""
    return {row["name"] for row in settings.get("notify", ()) if row["options"].get("on") == "failed"}

"""A publication: the effect of one publisher, for one job, on an outside system.

Rules. vidd saves `started` before the first byte goes out, so it knows after a crash that something may have arrived.
From `started` and `sent` only a receipt, or the answer to "did it arrive?", leads on. Only a person's request leads out of
`done`: a retraction, or a notice sent again, which is its next edition. An amendment may replace the receipt. A notice is a
publication that follows the others; a job stays published if a notice fails.
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
    """The proof that a publication arrived: its address, and what the other side answered (`facts`)."""

    url: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publication:
    """One publisher's publication of one job.

    name: unique in its pipeline.
    attempt, tried: the failed attempts of the present series, and when it began.
    begun: whether it was ever `started`; if so, vidd asks the other side before it sends anything.
    token: what a resume or a reconcile needs (JSON).
    reason: why it failed or waits; beside a receipt, why a later change of it failed.
    until: when vidd tries again.
    edition: 1, and one more each time a person asks for it again.
    revision: stands for the text and files it was published with (`vidd.model.rework.revision_for`).
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
        """A copy with these changes. Raises IllegalMove if its state does not lead to the new state."""
        target = changes.get("state", self.state)
        if target is not self.state and target not in PUBLICATION_MOVES[self.state]:
            raise IllegalMove(f"a publication that is {self.state} cannot become {target}")
        return replace(self, **changes)


NEW_SERIES: Mapping[str, Any] = {"attempt": 0, "tried": None, "until": None, "reason": None}
"""The changes that start a new series of attempts."""


def next_edition(publication: Publication, *, revision: str | None = None) -> dict[str, Any]:
    """The changes that start the next edition of a publication. Nothing of the next edition has been sent."""
    unsent: dict[str, Any] = {"token": {}, "receipt": None, "begun": False, "revision": revision}
    return {**NEW_SERIES, **unsent, "state": PublicationState.PENDING, "edition": publication.edition + 1}


def failure_notices(settings: Mapping[str, Any]) -> set[str]:
    """The names of the failure notices in the settings stored with a job."""
    return {row["name"] for row in settings.get("notify", ()) if row["options"].get("on") == "failed"}

"""The plan of a pipeline as the engine runs it: the functions of each kind's module, bound to their options."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidd.model.media import Outcome, Tree
from vidd.model.publication import Receipt
from vidd.model.talk import TalkStatus
from vidd.ports.contexts import PublishContext, SourceContext, StepContext
from vidd.ports.tools import Tools

RunStep = Callable[[StepContext], Awaitable[Outcome]]
IsStillValid = Callable[[StepContext, Outcome], bool]
FindNeeded = Callable[[StepContext], Mapping[str, Tree]]
Publish = Callable[[PublishContext], Awaitable[Receipt]]
Reconcile = Callable[[PublishContext], Awaitable[Receipt | None]]
Amend = Callable[[PublishContext], Awaitable[Receipt]]
ReplaceFiles = Callable[[PublishContext], Awaitable[Receipt]]
Retract = Callable[[PublishContext], Awaitable[str]]
Allow = Callable[[PublishContext], Awaitable[None]]
Follow = Callable[[Sequence[TalkStatus], Tools], Awaitable[None]]
ResendState = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Watch = Callable[[SourceContext], Awaitable[None]]


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan. `ports.kinds` describes the functions and the flags.

    pool: the pool of which the step holds a slot; None needs no slot.
    fingerprint: changes with the step's options, so that a changed step runs again.
    is_still_valid: whether a recorded outcome still serves; None means that it always does.
    find_needed: what is there of the files that it needs; None if it needs none.
    """

    name: str
    kind: str
    pool: str | None
    fingerprint: str
    run: RunStep
    takes_own_slot: bool = False
    always_rerun: bool = False
    is_still_valid: IsStillValid | None = None
    find_needed: FindNeeded | None = None


def resend_from_start(_token: Mapping[str, Any]) -> Mapping[str, Any]:
    """The default `resend_state`: an empty token, so that the next attempt starts from the beginning."""
    return {}


@dataclass(frozen=True)
class PlannedPublisher:
    """A publisher or notice of a plan. `ports.kinds` describes the functions and the flags.

    required: whether the job is published only once this publisher has a receipt.
    on: the outcome that a notice is about, `published` or `failed`.
    tells_retraction: whether the notice is sent again, with that event, when the job is retracted.
    roles: the artifacts it publishes; empty: all that steps made, or else the source.
    """

    name: str
    kind: str
    pool: str | None
    required: bool
    publish: Publish
    reconcile: Reconcile
    follow: Follow | None = None
    amend: Amend | None = None
    replace_files: ReplaceFiles | None = None
    retract: Retract | None = None
    allow: Allow | None = None
    resend_state: ResendState = resend_from_start
    is_email: bool = False
    runs_last: bool = False
    on: str = "published"
    tells_retraction: bool = False
    roles: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """A pipeline, resolved from the settings stored with a job.

    review: whether a person must approve the results before they are published.
    failures: the notices about failed jobs.
    keep: for how many seconds vidd keeps the results of a published job, for a rework; None keeps none.
    """

    programme: str | None
    steps: Sequence[PlannedStep]
    publishers: Sequence[PlannedPublisher]
    notices: Sequence[PlannedPublisher]
    review: bool = False
    failures: Sequence[PlannedPublisher] = ()
    keep: float | None = None


Resolve = Callable[[Mapping[str, Any]], Plan]

"""A pipeline as the engine runs it: what a kind's module promises, bound to its options."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidd.model.media import Outcome
from vidd.model.publication import Receipt
from vidd.model.talk import TalkStatus
from vidd.ports.contexts import PublishContext, SourceContext, StepContext
from vidd.ports.tools import Tools

RunStep = Callable[[StepContext], Awaitable[Outcome]]
IsStillValid = Callable[[StepContext, Outcome], bool]
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

    `pool` is the pool of which the step holds a slot; `fingerprint` changes when the step's options do, so that it runs
    again. Without `is_still_valid`, a recorded outcome always serves.
    """

    name: str
    kind: str
    pool: str | None
    fingerprint: str
    run: RunStep
    takes_own_slot: bool = False
    always_rerun: bool = False
    is_still_valid: IsStillValid | None = None


def nothing_remains(_token: Mapping[str, Any]) -> Mapping[str, Any]:
    """The usual `resend_state`: the next attempt begins from nothing."""
    return {}


@dataclass(frozen=True)
class PlannedPublisher:
    """A publisher or notice of a plan. `ports.kinds` describes the functions and the flags; one that is None is missing.

    `on` is the outcome that a notice tells of: `published` or `failed`. A notice with `tells_retraction` is sent once more,
    with that event, when the job is taken back. `roles` names the artifacts it publishes; empty: all that steps made, or
    else the source.
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
    resend_state: ResendState = nothing_remains
    is_email: bool = False
    runs_last: bool = False
    on: str = "published"
    tells_retraction: bool = False
    roles: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """A pipeline, resolved from the settings stored with a job.

    `failures` are the notices that tell of failed jobs. `keep` is how many seconds the results of a published job stay,
    for a rework; None keeps none.
    """

    programme: str | None
    steps: Sequence[PlannedStep]
    publishers: Sequence[PlannedPublisher]
    notices: Sequence[PlannedPublisher]
    review: bool = False
    failures: Sequence[PlannedPublisher] = ()
    keep: float | None = None


Resolve = Callable[[Mapping[str, Any]], Plan]

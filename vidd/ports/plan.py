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
Still = Callable[[StepContext, Outcome], bool]
Publish = Callable[[PublishContext], Awaitable[Receipt]]
Reconcile = Callable[[PublishContext], Awaitable[Receipt | None]]
Amend = Callable[[PublishContext], Awaitable[Receipt]]
Allow = Callable[[PublishContext], Awaitable[None]]
Retract = Callable[[PublishContext], Awaitable[str]]
Again = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Follow = Callable[[Sequence[TalkStatus], Tools], Awaitable[None]]
Watch = Callable[[SourceContext], Awaitable[None]]


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan; `fingerprint` stands for its options. A `fresh` one makes words only, and anew at every run.

    `still` tells of a recorded outcome whether it serves what the job is now; without it, it does.
    """

    name: str
    kind: str
    slot: str | None
    fingerprint: str
    run: RunStep
    own_place: bool = False
    fresh: bool = False
    still: Still | None = None


def nothing_remains(_token: Mapping[str, Any]) -> Mapping[str, Any]:
    """The usual `again`: the next attempt begins from nothing."""
    return {}


@dataclass(frozen=True)
class PlannedPublisher:
    """A publisher or notice of a plan. `reconcile` returns the receipt, None for provably absent, or raises.

    Where there are: `follow` mirrors how talks stand while their jobs are under way; `amend` brings what is published
    up to what its context says now; `retract` takes it back and says so in a sentence. `again` is what remains of a
    token once a person said that the attempt did not arrive. A `letter` goes to people, who may want it once more. `on` is
    the outcome that a notice tells of: published, or failed. `replace` brings the files of what is published up to date.
    A notice that `tells_retraction` is published once more, with that event, when the job is taken back.
    One that is `last` goes out once the job's others have their receipts, and is given those; where it has `allow`, it is
    asked whether it will, before any of them sends.
    It `takes` the files of these roles; with none named all that steps made, or else the source.
    """

    name: str
    kind: str
    slot: str | None
    required: bool
    publish: Publish
    reconcile: Reconcile
    follow: Follow | None = None
    amend: Amend | None = None
    retract: Retract | None = None
    again: Again = nothing_remains
    letter: bool = False
    on: str = "published"
    replace: Amend | None = None
    tells_retraction: bool = False
    last: bool = False
    allow: Allow | None = None
    takes: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """A pipeline, resolved from the settings stored with a job.

    `failures` are the notices that tell of failed jobs. `keep` is for how many seconds the results of a published job stay,
    for a rework.
    """

    programme: str | None
    steps: Sequence[PlannedStep]
    publishers: Sequence[PlannedPublisher]
    notices: Sequence[PlannedPublisher]
    review: bool = False
    failures: Sequence[PlannedPublisher] = ()
    keep: float | None = None


Resolve = Callable[[Mapping[str, Any]], Plan]

"""A pipeline as the engine runs it: what a kind's module promises, bound to its options."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidd.model.media import Outcome
from vidd.model.publication import Receipt
from vidd.model.talk import Standing
from vidd.ports.tools import Tools
from vidd.ports.work import Bench, Inlet, Parcel

RunStep = Callable[[Bench], Awaitable[Outcome]]
Publish = Callable[[Parcel], Awaitable[Receipt]]
Reconcile = Callable[[Parcel], Awaitable[Receipt | None]]
Follow = Callable[[Sequence[Standing], Tools], Awaitable[None]]
Watch = Callable[[Inlet], Awaitable[None]]


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan; `fingerprint` stands for its options."""

    name: str
    kind: str
    slot: str | None
    fingerprint: str
    run: RunStep
    own_place: bool = False


@dataclass(frozen=True)
class PlannedPublisher:
    """A publisher or notice of a plan. `reconcile` returns the receipt, None for provably absent, or raises.

    `follow`, where a notice has it, mirrors how talks stand while their jobs are under way.
    """

    name: str
    kind: str
    slot: str | None
    required: bool
    publish: Publish
    reconcile: Reconcile
    follow: Follow | None = None


@dataclass(frozen=True)
class Plan:
    """A pipeline, resolved from the settings stored with a job."""

    programme: str | None
    steps: Sequence[PlannedStep]
    publishers: Sequence[PlannedPublisher]
    notices: Sequence[PlannedPublisher]
    review: bool = False


Resolve = Callable[[Mapping[str, Any]], Plan]

"""The promises between the engine and everything that touches the outside.

A kind is a module. A source module has `Options` and `watch(options, inlet)`; a step module has `Options`, `SLOT`
and `run(options, bench)`; a publisher module has `Options`, `SLOT`, `publish(options, parcel)` and
`reconcile(options, parcel)`, and where it mirrors states `follow(options, standings, tools)`. Any of them may
have `check(options, tools)`, which asks the other side and returns one sentence. `SLOT` is the name of a limit
("encodes", "uploads", "fetches", "mails") or None; the engine holds one of its places for as long as a call takes.
A step module with `OWN_PLACE = True` takes the place itself, with `bench.place()` around what crowds the machine.
"""

from __future__ import annotations

from vidd.ports.plan import Follow, Plan, PlannedPublisher, PlannedStep, Publish, Reconcile, Resolve, RunStep, Watch
from vidd.ports.store import Conflict, Queue, Store
from vidd.ports.tools import Clock, Encoder, Observer, Tools
from vidd.ports.work import Bench, Inlet, Parcel

__all__ = [
    "Bench",
    "Clock",
    "Conflict",
    "Encoder",
    "Follow",
    "Inlet",
    "Observer",
    "Parcel",
    "Plan",
    "PlannedPublisher",
    "PlannedStep",
    "Publish",
    "Queue",
    "Reconcile",
    "Resolve",
    "RunStep",
    "Store",
    "Tools",
    "Watch",
]

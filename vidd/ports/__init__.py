"""The promises between the engine and everything that touches the outside.

A kind is a module. A source module has `Options` and `watch(options, inlet)`; a step module has `Options`, `SLOT`
and `run(options, bench)`; a publisher module has `Options`, `SLOT`, `publish(options, parcel)` and
`reconcile(options, parcel)`. Any of them may have `check(options, tools)`, which asks the other side and returns one
sentence. `SLOT` is the name of a limit ("encodes", "uploads", "fetches", "mails") or None; the engine holds one of its
places for as long as a call takes.

A step module with `OWN_PLACE = True` takes the place itself, with `bench.place()` around what crowds the machine; one
with `FRESH = True` makes words only, and runs anew whenever the job does, since the programme may say something else;
where `LOCAL = True`, `check` looks at files and programs of this machine only, so `vidd check` always asks it. `still`
tells of a recorded outcome whether it serves what the job is now.

A publisher module may have `follow(options, standings, tools)` where it mirrors states, `amend(options, parcel)`, which
brings what is published (found by its receipt) up to what the parcel says now and returns the receipt,
`retract(options, parcel)`, which takes it back and returns a sentence, and `again(token)`, which returns what remains
of a token once a person said that the attempt did not arrive. The first three can be repeated without harm. One with
`LETTER = True` writes to people.
"""

from __future__ import annotations

from vidd.ports.plan import (
    Again,
    Amend,
    Follow,
    Plan,
    PlannedPublisher,
    PlannedStep,
    Publish,
    Reconcile,
    Resolve,
    Retract,
    RunStep,
    Watch,
    nothing_remains,
)
from vidd.ports.store import Conflict, Queue, Store
from vidd.ports.tools import Clock, Encoder, Memory, Observer, ShortMemory, Tools
from vidd.ports.work import Bench, Inlet, Parcel

__all__ = [
    "Again",
    "Amend",
    "Bench",
    "Clock",
    "Conflict",
    "Encoder",
    "Follow",
    "Inlet",
    "Memory",
    "Observer",
    "Parcel",
    "Plan",
    "PlannedPublisher",
    "PlannedStep",
    "Publish",
    "Queue",
    "Reconcile",
    "Resolve",
    "Retract",
    "RunStep",
    "ShortMemory",
    "Store",
    "Tools",
    "Watch",
    "nothing_remains",
]

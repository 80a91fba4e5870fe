"""The promises between the engine and everything that touches the outside.

A kind is a module. A source module has `Options` and `watch(options, context)`; a step module has `Options`, `SLOT`
and `run(options, context)`; a publisher module has `Options`, `SLOT`, `publish(options, context)` and
`reconcile(options, context)`. Any of them may have `check(options, tools)`, which asks the other side and returns one
sentence. `SLOT` is the name of a limit ("encodes", "gpus", "commands", "uploads", "fetches", "mails") or None; the engine holds
one of its places for as long as a call takes. A step whose limit is for the settings to say has `slot(options)` as well.

A source module may have `routes(options, context)`: HTTP routes (`SourceRoute`) that the port serves as long as the source is
watched. Who may ask them is for the source to say.

A source module may have `audit(options, tools, name)`, which lists what is there now as `Listed`, whatever of it was
handed in before; `name` is the source's. `vidd audit` compares that with the jobs.

A step module with `OWN_PLACE = True` takes the place itself, with `context.place()` around what crowds the machine; one
with `FRESH = True` makes words only, and runs anew whenever the job does, since the programme may say something else;
one with `BEGINS = True` fetches what
it works on by itself, so that where it is the first, nothing is fetched before it; where `LOCAL = True`, `check` looks at files and programs of this machine only, so `vidd check` always asks it. `still`
tells of a recorded outcome whether it serves what the job is now.

What a step makes are artifacts: files, or trees. A tree is a directory below the job's own with any number of files in it,
handed over as one artifact (`vidd.files.tree.tree_artifact(role, directory, path)` makes it from what lies there): later steps
get its directory by `context.tree(role)`, and publishers that take trees ask for them by `context.chosen(roles, trees=True)`
and go through their files by `vidd.files.tree.leaves`. A tree must not change once it is handed over, like any artifact; a step
that runs again after a restart is one whose files or trees are no longer there as recorded. Links are not followed.

A publisher module may have `follow(options, standings, tools)` where it mirrors states, `amend(options, context)`, which
brings the words of what is published (found by its receipt) up to what the context says now and returns the receipt,
`replace(options, context)`, which does the same with its files (what changed is replaced, what the context says is `gone` is
dropped, the rest stays),
`retract(options, context)`, which takes it back and returns a sentence, and `again(token)`, which returns what remains
of a token once a person said that the attempt did not arrive. All but the last can be repeated without harm. One with
`LETTER = True` writes to people; one with `LAST = True` goes out once the job's other publishers have their receipts, and is
given those, since it tells where the files lie; by its `allow(options, context)` it may refuse before any of them sends. A notice whose options have `on = "failed"` tells of jobs that were refused or are unsure,
once for each such outcome.
"""

from __future__ import annotations

from vidd.ports.contexts import Listed, PublishContext, SourceContext, StepContext
from vidd.ports.http_routes import Call, Declined, Reply, SourceRoute
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
from vidd.ports.shared import Shared
from vidd.ports.store import Conflict, Queue, Store
from vidd.ports.tools import Clock, Encoder, Memory, Observer, ShortMemory, Tools

__all__ = [
    "Again",
    "Amend",
    "Call",
    "Clock",
    "Conflict",
    "Declined",
    "Encoder",
    "Follow",
    "Listed",
    "Memory",
    "Observer",
    "Plan",
    "PlannedPublisher",
    "PlannedStep",
    "Publish",
    "PublishContext",
    "Queue",
    "Reconcile",
    "Reply",
    "Resolve",
    "Retract",
    "RunStep",
    "Shared",
    "ShortMemory",
    "SourceContext",
    "SourceRoute",
    "StepContext",
    "Store",
    "Tools",
    "Watch",
    "nothing_remains",
]

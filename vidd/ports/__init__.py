"""The contracts between the engine and everything that touches the outside.

To write a kind (a source, step, publisher or notice), start with `vidd.ports.kinds`: what its module must and may have.
`contexts` has what its functions get, `tools` what they may use, `plan` what the engine runs, `store` the store and queue.
"""

from __future__ import annotations

from vidd.ports.contexts import Listed, PublishContext, SourceContext, StepContext
from vidd.ports.http_routes import Call, Declined, Reply, SourceRoute
from vidd.ports.plan import (
    Amend,
    Follow,
    Plan,
    PlannedPublisher,
    PlannedStep,
    Publish,
    Reconcile,
    ResendState,
    Resolve,
    Retract,
    RunStep,
    Watch,
    resend_from_start,
)
from vidd.ports.shared import Shared
from vidd.ports.store import Conflict, Queue, Store
from vidd.ports.tools import Clock, Encoder, Memory, Observer, ShortMemory, Tools

__all__ = [
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
    "ResendState",
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
    "resend_from_start",
]

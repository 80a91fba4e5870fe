"""What the engine's parts share: the store, the clock, the slots, and how a state is saved and announced."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from vidd.aio.wait import sleep_or_event
from vidd.engine.slots import Slots
from vidd.engine.workspace import Workspace
from vidd.errors import Fault, RetryLater
from vidd.model.event import Event, FaultRaised, JobMoved, PublicationMoved, fate_of
from vidd.model.job import Job, State
from vidd.model.media import Artifact, Media
from vidd.model.publication import Publication
from vidd.model.retry import RetryRule, next_try
from vidd.ports import Resolve, Store, Tools

_log = structlog.get_logger()
T = TypeVar("T")
STORE_PAUSE = 5.0
"""Seconds until vidd calls a store again that was away or could not be written."""

Examine = Callable[[Path, Artifact, str], Awaitable[tuple[Media | None, Mapping[str, Any]]]]


async def record_size(_path: Path, artifact: Artifact, _name: str) -> tuple[Media | None, Mapping[str, Any]]:
    """The check record of a file that vidd does not read: a new `id` and the size in bytes."""
    return None, {"id": secrets.token_hex(4), "size": artifact.size}


class Draining(Exception):
    """The daemon drains: the job stops here and continues after the next start."""


@dataclass
class EngineContext:
    """One daemon's engine.

    examine: returns a file's media and the record of its check, for a file that its step has not checked; its last argument
        is the name by which the operator knows the source.
    wake_source: makes the source with this name look now.
    followers: by pipeline, the sources that follow it, each with the role of the file that it wants.
    drains: set once, when nothing new may start.
    """

    store: Store
    slots: Slots
    workspace: Workspace
    tools: Tools
    resolve: Resolve
    observe: Callable[[Event], None]
    retry: RetryRule = field(default_factory=RetryRule)
    wake_source: Callable[[str], None] = lambda _name: None
    examine: Examine = record_size
    followers: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    drains: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def draining(self) -> bool:
        """Whether the daemon drains."""
        return self.drains.is_set()

    def now(self) -> datetime:
        """The time now."""
        return self.tools.clock.now()

    def raise_if_draining(self) -> None:
        """Raise Draining if the daemon drains."""
        if self.draining:
            raise Draining

    def observe_fault(self, part: str, fault: Fault) -> None:
        """Announce a fault of the part with this name, with its fate and code."""
        self.observe(FaultRaised(part, fate_of(fault), fault.code))

    def next_try(self, attempt: int, since: datetime, after: float | None) -> datetime | None:
        """The time of the next attempt; None once there were enough (see `vidd.model.retry.next_try`)."""
        chance = random.random()  # noqa: S311 - jitter, not a secret
        return next_try(self.retry, attempt=attempt, since=since, now=self.now(), after=after, chance=chance)

    async def until_saved(self, write: Callable[[], Awaitable[T]]) -> T:
        """Repeat a write that must not be lost, such as a receipt, until the store takes it.

        Raises the store's RetryLater once the daemon drains.
        """
        while True:
            try:
                return await write()
            except RetryLater as fault:
                if self.draining:
                    raise
                _log.warning("not saved yet", reason=fault.sentence)
            await sleep_or_event(self.tools.clock.sleep(STORE_PAUSE), self.drains)

    async def move(
        self, job: Job, state: State, reason: str | None = None, *, wait_for_store: bool = False, **changes: Any
    ) -> Job:
        """Save a job in another state, and announce it; `wait_for_store` repeats the save while the store is away.

        Raises IllegalMove, Conflict, and without `wait_for_store` RetryLater.
        """
        changes = {"until": None, **changes}
        moved = job.evolve(state=state, reason=reason, changed=self.now(), **changes)

        async def save() -> None:
            await self.store.save(moved, expect=job.state)

        await (self.until_saved(save) if wait_for_store else save())
        _log.info("job moved", job=job.id, pipeline=job.pipeline, state=state, reason=reason, name=job.name)
        self.observe(JobMoved(moved, job.state))
        return moved

    async def move_publication(
        self, job: Job, publication: Publication, *, wait_for_store: bool = False, **changes: Any
    ) -> Publication:
        """Save a publication with these changes, and announce it; `wait_for_store` as in `move`."""
        moved = publication.evolve(changed=self.now(), **changes)

        async def save() -> None:
            await self.store.save_publication(moved, expect=publication.state)

        await (self.until_saved(save) if wait_for_store else save())
        if moved.state is not publication.state:
            _log.info("publication moved", job=job.id, to=publication.name, state=moved.state, reason=moved.reason)
        self.observe(PublicationMoved(moved, job.pipeline))
        return moved

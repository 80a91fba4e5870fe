"""Takes in what a source hands in: `ports.SourceContext` over the intake, the store and the watchers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import structlog

from vidd.aio.wait import sleep_or_event
from vidd.display_text import printable
from vidd.engine.commands import Commands
from vidd.engine.duplicate_talks import is_public
from vidd.engine.intake import Intake
from vidd.engine.supervisor import Watchers
from vidd.errors import RetryLater
from vidd.model.event import Event
from vidd.model.job import ENDED, Arrival, Job, State
from vidd.model.media import StepRecord
from vidd.model.talk import Talk
from vidd.ports import Store, Tools

_log = structlog.get_logger()
_MAX_DEAD_LETTER = 65536


@dataclass
class EngineSourceContext:
    """`ports.SourceContext` for one source."""

    name: str
    pipeline: str | None
    _: KW_ONLY
    tools: Tools
    store: Store
    intake: Intake
    watchers: Watchers
    commands: Commands
    programme_read: Callable[[str], None]
    observers: list[Callable[[Event], None]]
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.intake.pipelines.get(self.pipeline or "", {})

    async def admit(self, arrivals: Sequence[Arrival]) -> int:
        fresh = await self.intake.admit(self.name, self.pipeline, arrivals)
        self.watchers.mark(self.name, up=True, reason=None, last_event=self.tools.clock.now())
        return len(fresh)

    async def take(self, arrival: Arrival) -> tuple[Job, bool]:
        fresh = await self.intake.admit(self.name, self.pipeline, [arrival])
        self.watchers.mark(self.name, up=True, reason=None, last_event=self.tools.clock.now())
        if fresh:
            return fresh[0], True
        known = await self.intake.known(arrival.pipeline or self.pipeline or "", arrival)
        if known is None:
            raise RetryLater("The job for this item could not be found; vidd will retry.")
        return known, False

    async def job(self, job_id: str) -> Job | None:
        return await self.store.job(job_id)

    async def job_of(self, key: str) -> Job | None:
        job = await self.intake.known(self.pipeline or "", Arrival(key, "", ""))
        return job if job is not None and job.source == self.name else None

    async def finished_steps(self, job: Job) -> Sequence[StepRecord]:
        return await self.store.steps(job.id)

    async def open_jobs(self, *, ended: bool = True) -> Sequence[Job]:
        return await self.jobs(
            [state for state in State if state is not State.PUBLISHED and (ended or state not in ENDED)]
        )

    async def jobs(self, states: Sequence[State] = ()) -> Sequence[Job]:
        return [job for job in await self.store.jobs(states=states, pipeline=self.pipeline) if job.source == self.name]

    async def cancel(self, job: Job, reason: str) -> None:
        if job.state not in {State.PUBLISHED, State.CANCELLED}:
            await self.commands.cancel(job, reason)

    async def retract(self, job: Job, *, successor: Job | None = None) -> None:
        if successor is not None:
            await self.commands.supersede(successor)
        elif await is_public(self.store, job):
            await self.commands.retract(job)

    @contextmanager
    def listen(self, note: Callable[[Event], None]) -> Iterator[None]:
        self.observers.append(note)
        try:
            yield
        finally:
            self.observers.remove(note)

    async def dead_letter(self, body: str, reason: str) -> None:
        _log.warning("dead letter", source=self.name, reason=reason)
        await self.store.put_dead_letter(self.name, printable(body)[:_MAX_DEAD_LETTER], reason, self.tools.clock.now())

    async def put_talks(self, talks: Sequence[Talk]) -> None:
        now = self.tools.clock.now()
        await self.store.put_talks(self.name, talks, now)
        self.watchers.mark(self.name, up=True, reason=None, last_event=now)
        self.programme_read(self.name)

    def mark_up(self) -> None:
        if not self.watchers.table[self.name].up:
            self.watchers.mark(self.name, up=True, reason=None)

    def mark_down(self, reason: str) -> None:
        self.watchers.mark(self.name, up=False, reason=reason)

    def note(self, sentence: str | None) -> None:
        if self.watchers.table[self.name].note != sentence:
            self.watchers.mark(self.name, note=sentence)

    def mark_caught_up(self) -> None:
        # A scan may be complete as far as it got, so this does not change whether the watcher is up.
        self.watchers.mark(self.name, caught_up=self.tools.clock.now())

    def wake(self) -> None:
        self.woken.set()

    async def pause(self, seconds: float) -> None:
        await sleep_or_event(self.tools.clock.sleep(seconds), self.woken)
        self.woken.clear()

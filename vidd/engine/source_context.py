"""Takes in what a source hands in: `ports.SourceContext` over the intake, the store and the watchers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

from vidd.aio.wait import sleep_or_event
from vidd.display_text import printable
from vidd.engine.intake import Intake
from vidd.engine.supervisor import Watchers
from vidd.errors import RetryLater
from vidd.model.event import Event
from vidd.model.job import ENDED, Arrival, Job, State
from vidd.model.talk import Talk
from vidd.ports import Store, Tools

_log = structlog.get_logger()
_MAX_DEAD_LETTER = 65536


class EngineSourceContext:
    """`ports.SourceContext` for one source."""

    def __init__(
        self,
        name: str,
        pipeline: str | None,
        *,
        tools: Tools,
        store: Store,
        intake: Intake,
        watchers: Watchers,
        programme_read: Callable[[str], None],
        observers: list[Callable[[Event], None]],
    ) -> None:
        self.name = name
        self.pipeline = pipeline
        self.tools = tools
        self._store = store
        self._intake = intake
        self._watchers = watchers
        self._programme_read = programme_read
        self._observers = observers
        self._woken = asyncio.Event()
        self.lock = asyncio.Lock()

    @property
    def settings(self) -> Mapping[str, Any]:
        return self._intake.pipelines.get(self.pipeline or "", {})

    async def admit(self, arrivals: Sequence[Arrival]) -> int:
        fresh = await self._intake.admit(self.name, self.pipeline, arrivals)
        self._watchers.mark(self.name, up=True, reason=None, last_event=self.tools.clock.now())
        return len(fresh)

    async def take(self, arrival: Arrival) -> tuple[Job, bool]:
        fresh = await self._intake.admit(self.name, self.pipeline, [arrival])
        self._watchers.mark(self.name, up=True, reason=None, last_event=self.tools.clock.now())
        if fresh:
            return fresh[0], True
        known = await self._intake.known(arrival.pipeline or self.pipeline or "", arrival)
        if known is None:
            raise RetryLater("The job for this item could not be found; vidd will retry.")
        return known, False

    async def job(self, job_id: str) -> Job | None:
        return await self._store.job(job_id)

    async def open_jobs(self, *, ended: bool = True) -> Sequence[Job]:
        states = [state for state in State if state is not State.PUBLISHED and (ended or state not in ENDED)]
        return [job for job in await self._store.jobs(states=states, pipeline=self.pipeline) if job.source == self.name]

    @contextmanager
    def listen(self, note: Callable[[Event], None]) -> Iterator[None]:
        self._observers.append(note)
        try:
            yield
        finally:
            self._observers.remove(note)

    async def dead_letter(self, body: str, reason: str) -> None:
        _log.warning("dead letter", source=self.name, reason=reason)
        await self._store.put_dead_letter(self.name, printable(body)[:_MAX_DEAD_LETTER], reason, self.tools.clock.now())

    async def put_talks(self, talks: Sequence[Talk]) -> None:
        now = self.tools.clock.now()
        await self._store.put_talks(self.name, talks, now)
        self._watchers.mark(self.name, up=True, reason=None, last_event=now)
        self._programme_read(self.name)

    def mark_up(self) -> None:
        if not self._watchers.table[self.name].up:
            self._watchers.mark(self.name, up=True, reason=None)

    def mark_down(self, reason: str) -> None:
        self._watchers.mark(self.name, up=False, reason=reason)

    def note(self, sentence: str | None) -> None:
        if self._watchers.table[self.name].note != sentence:
            self._watchers.mark(self.name, note=sentence)

    def mark_caught_up(self) -> None:
        # A scan may be complete as far as it got, so this does not change whether the watcher is up.
        self._watchers.mark(self.name, caught_up=self.tools.clock.now())

    def wake(self) -> None:
        self._woken.set()

    async def pause(self, seconds: float) -> None:
        await sleep_or_event(self.tools.clock.sleep(seconds), self._woken)
        self._woken.clear()

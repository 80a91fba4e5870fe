"""Keeps what the journal does not say of a day: how fast ffmpeg encoded, and how many minutes were published."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from datetime import date

import structlog

from vidd.engine.context import EngineContext
from vidd.errors import RetryLater
from vidd.model.day_totals import ENCODED, ENCODING, PUBLISHED, day_of, space_of
from vidd.model.event import EncodeEnded, Event, JobMoved
from vidd.model.job import Job, State
from vidd.model.media_length import asked_length, made_length

_log = structlog.get_logger()
_INTERVAL = 60.0
"""Seconds between two writes at least: a number less after a kill does no harm."""


class DayRecorder:
    """Counts events, and adds the numbers to the memory of their day now and then."""

    def __init__(self, engine: EngineContext) -> None:
        self._engine = engine
        self._counts: Counter[tuple[date, str]] = Counter()
        self._published: deque[Job] = deque()
        self._wake = asyncio.Event()

    def note(self, event: Event) -> None:
        """Count an event."""
        match event:
            case EncodeEnded():
                today = day_of(self._engine.now())
                self._counts[today, ENCODED] += round(event.seconds * event.speed * 1000)
                self._counts[today, ENCODING] += round(event.seconds * 1000)
            case JobMoved() if event.job.state is State.PUBLISHED:
                self._published.append(event.job)
            case _:
                return
        self._wake.set()

    async def run(self) -> None:
        """Write what was counted, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.write()
            except RetryLater:
                self._wake.set()
            except Exception:  # noqa: BLE001 - without the numbers of a day the daemon works on
                _log.exception("day not recorded")
            await self._engine.tools.clock.sleep(_INTERVAL)

    async def write(self) -> None:
        """Write what was counted. Raises RetryLater if the store is away; nothing is lost then."""
        while self._published:
            job = self._published.popleft()
            try:
                await self._measure(job)
            except RetryLater:
                self._published.appendleft(job)
                raise
        for (day, name), number in list(self._counts.items()):
            await self._engine.store.count(space_of(day), name, number)
            # More may have been counted meanwhile.
            self._counts[day, name] -= number
        self._counts += Counter()

    async def _measure(self, job: Job) -> None:
        """Count the minutes of a job that was published for the first time."""
        history = await self._engine.store.history(job.id)
        if sum(state is State.PUBLISHED for _, state, _ in history) > 1:
            return
        length = made_length(await self._engine.store.steps(job.id)) or asked_length(job)
        self._counts[day_of(job.changed), PUBLISHED] += round((length or 0.0) * 1000)

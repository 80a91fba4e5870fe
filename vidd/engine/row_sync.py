"""Writes the status of jobs into the programme's rows; level-triggered, so the next write makes up for a lost one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from vidd.engine.context import EngineContext
from vidd.model.event import Event, JobMoved, PublicationMoved
from vidd.model.publication import PublicationState
from vidd.model.talk import Status, TalkStatus
from vidd.model.talk_status import talk_status_of
from vidd.ports import Follow

_JOBS = 20


def _select_status(known: Sequence[TalkStatus]) -> list[TalkStatus]:
    """The status of a talk (none or one): that of its newest job, but a published talk stays published."""
    published = [talk_status for talk_status in known if talk_status.status is Status.PUBLISHED]
    return [*published, *known][:1]


class RowSync:
    """Mirrors the states of a pipeline's jobs by the `follow` function of a notice."""

    def __init__(self, engine: EngineContext, pipeline: str, follow: Follow) -> None:
        self._engine = engine
        self._pipeline = pipeline
        self._follow = follow
        self._talks: set[str] = set()
        self._wake = asyncio.Event()

    def note(self, event: Event) -> None:
        """Remember the talk of a job that moved: its row may have to change."""
        if isinstance(event, JobMoved) and event.job.pipeline == self._pipeline and event.job.talk:
            self._talks.add(event.job.talk)
            self._wake.set()
        elif isinstance(event, PublicationMoved) and event.publication.state is PublicationState.DONE:
            self._wake.set()

    def programme_read(self) -> None:
        """Write after a reading of the programme: new rows may need the status `not uploaded`."""
        self._wake.set()

    async def run(self) -> None:
        """Write all rows once, then every change; never returns."""
        jobs = await self._engine.store.jobs(pipeline=self._pipeline)
        self._talks.update(job.talk for job in jobs if job.talk)
        self._wake.set()
        while True:
            await self._wake.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write the outstanding rows."""
        self._wake.clear()
        talks, self._talks = self._talks, set()
        statuses = []
        for talk in talks:
            newest = await self._engine.store.jobs(pipeline=self._pipeline, talk=talk, limit=_JOBS)
            known = [talk_status_of(job, await self._engine.store.publications(job.id)) for job in newest]
            statuses += _select_status([talk_status for talk_status in known if talk_status is not None])
        await self._follow(statuses, self._engine.tools)

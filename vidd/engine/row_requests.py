"""Applies the requests in a programme's rows to its jobs: exclusion, priority, changed text, `reprocess`, `resend`.

Level-triggered: vidd checks a row when it changed, when a job of its talk moved, and once after every start. A request in
a cell (`reprocess`, `resend`) is granted once per text of the cell; the memory has the text that vidd granted last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from vidd.engine.commands import Commands
from vidd.engine.context import EngineContext
from vidd.engine.duplicate_talks import is_public
from vidd.engine.intake import Intake
from vidd.engine.runner import Runner
from vidd.errors import Fault
from vidd.model.event import Event, JobMoved
from vidd.model.job import FAILURE, REPLACES, RETRIED, UNFINISHED, Arrival, IllegalMove, Job, State
from vidd.model.publication import PublicationState
from vidd.model.rework import REWORK, revision_for
from vidd.model.talk import Talk
from vidd.ports import Conflict, Plan

_log = structlog.get_logger()
_JOBS = 20
_RESTS = frozenset({State.WAITING, State.HELD, State.REFUSED})
_VOLATILE_FACTS = frozenset({"etag", "version", "size", "mtime_ns", "sequencer", FAILURE, RETRIED, REWORK})
"""Facts that a job of the same recording does not take over, because the recording may have changed."""


class RowRequests:
    """Applies the requests in the rows of one pipeline's programme."""

    def __init__(
        self, engine: EngineContext, runner: Runner, intake: Intake, commands: Commands, *, pipeline: str, plan: Plan
    ) -> None:
        self._engine, self._runner, self._intake, self._commands = engine, runner, intake, commands
        self._pipeline, self._programme = pipeline, plan.programme or ""
        self._amends = any(publisher.amend for publisher in plan.publishers)
        self._seen: dict[str, Talk] = {}
        self._moved: set[str] = set()
        self._unread = True
        self._wake = asyncio.Event()
        self._granting = False

    def note(self, event: Event) -> None:
        """Remember the talk of a job that is new, published or excluded: its row may have changed meanwhile."""
        if not isinstance(event, JobMoved) or event.job.pipeline != self._pipeline or event.job.talk is None:
            return
        if event.before is None or event.job.state in {State.PUBLISHED, State.EXCLUDED}:
            self._moved.add(event.job.talk)
            self._wake.set()

    def programme_read(self, name: str) -> None:
        """Look at all rows again if the programme that was read is this one."""
        if name == self._programme:
            self._unread = True
            self._wake.set()

    @property
    def outstanding(self) -> bool:
        """Whether there are rows to look at, or requests being granted."""
        return self._wake.is_set() or self._granting

    async def run(self) -> None:
        """Grant the requests of the rows whenever one may have changed; never returns."""
        self._unread = True
        self._wake.set()
        while True:
            await self._wake.wait()
            self._granting = True
            try:
                await self.grant_pending()
            finally:
                self._granting = False

    async def grant_pending(self) -> None:
        """Grant the outstanding requests."""
        self._wake.clear()
        granted = {what: await self._engine.store.recall(self._space(what)) for what in ("reprocess", "resend")}
        for talk in await self._rows():
            if talk.fault or (self._seen.get(talk.id) == talk and talk.id not in self._moved):
                continue
            self._moved.discard(talk.id)
            # A row counts as seen only once all its requests are granted; the store may fail in between.
            self._seen.pop(talk.id, None)
            await self._grant(talk, granted)
            self._seen[talk.id] = talk

    async def _rows(self) -> list[Talk]:
        """The rows to look at: all of them after a reading, else only those of the jobs that moved."""
        if self._unread:
            self._unread = False
            return await self._engine.store.talks(self._programme)
        found = []
        for talk_id in sorted(self._moved):
            talk = await self._engine.store.talk(self._programme, talk_id)
            if talk is not None:
                found.append(talk)
                continue
            # If the row comes back, vidd looks at it as at a new one.
            self._moved.discard(talk_id)
            self._seen.pop(talk_id, None)
        return found

    def _space(self, what: str) -> str:
        return f"wishes:{self._pipeline}:{what}"

    async def _grant(self, talk: Talk, granted: Mapping[str, Mapping[str, str]]) -> None:
        jobs = await self._engine.store.jobs(pipeline=self._pipeline, talk=talk.id, limit=_JOBS)
        for job in jobs:
            await self._apply_exclusion(talk, job)
            await self._apply_priority(talk, job)
        for what, text, act in (("reprocess", talk.reprocess, self._reprocess), ("resend", talk.resend, self._resend)):
            if text != granted[what].get(talk.id, ""):
                await self._grant_once(talk, what, text, partial(act, jobs))
        published = next((job for job in jobs if job.state is State.PUBLISHED), None)
        if published is not None and REPLACES in published.facts:
            await self._commands.supersede(published)
        if published is not None and self._amends and not talk.excluded:
            await self._amend(talk, published)

    async def _apply_exclusion(self, talk: Talk, job: Job) -> None:
        if talk.excluded and job.state in _RESTS and not await is_public(self._engine.store, job):
            await self._runner.requeue(job, "The programme excludes its talk.")
        elif not talk.excluded and job.state is State.EXCLUDED:
            await self._runner.requeue(job, "The programme does not exclude its talk any more.")

    async def _apply_priority(self, talk: Talk, job: Job) -> None:
        if talk.priority and talk.priority != job.priority and job.state in UNFINISHED | _RESTS:
            changed = job.evolve(priority=talk.priority)
            try:
                await self._engine.store.save(changed, expect=job.state)
            except Conflict:
                # The job moved just now. vidd applies the priority after its next move.
                self._moved.add(talk.id)
                return
            if job.state in {State.SEEN, State.READY}:
                self._runner.queue(changed)

    async def _grant_once(self, talk: Talk, what: str, text: str, act: Callable[[], Awaitable[None]]) -> None:
        if text:
            _log.info("request in the sheet", what=what, talk=talk.id, text=text)
            try:
                await act()
            except (Fault, IllegalMove, Conflict) as refusal:
                _log.warning("request not granted", what=what, talk=talk.id, reason=str(refusal))
        await self._engine.store.remember(self._space(what), {talk.id: text or None})

    async def _reprocess(self, jobs: list[Job]) -> None:
        if not jobs or jobs[0].state in UNFINISHED | {State.WAITING, State.HELD, State.EXCLUDED}:
            return
        newest = jobs[0]
        if newest.state is not State.PUBLISHED:
            await self._commands.retry(newest, replace=True)
            return
        facts = {name: fact for name, fact in newest.facts.items() if name not in _VOLATILE_FACTS}
        again = Arrival(
            key=f"again:{newest.id}",
            location=newest.location,
            name=newest.name,
            facts={**facts, REPLACES: newest.id, "talk": newest.talk},
            priority=newest.priority,
        )
        await self._intake.admit(newest.source, self._pipeline, [again])

    async def _resend(self, jobs: list[Job]) -> None:
        published = next((job for job in jobs if job.state is State.PUBLISHED), None)
        if published is not None:
            await self._commands.resend(published)

    async def _amend(self, talk: Talk, published: Job) -> None:
        known = await self._engine.store.publications(published.id)
        amendable = {
            publisher.name for publisher in self._engine.resolve(published.settings).publishers if publisher.amend
        }
        if any(
            publication.state is PublicationState.DONE
            and publication.name in amendable
            and publication.revision != revision_for(published, talk)
            for publication in known
        ):
            await self._runner.requeue(published, "The words of its row in the programme changed.")

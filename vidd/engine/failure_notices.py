"""Sends failure notices: each one once for every time that a job became refused or unsure, also across restarts.

Level-triggered: the stored state decides, not the event. The publication of a notice stores the failure that it is about
(`revision`), so vidd knows it after a crash. The next failure is the publication's next edition.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from vidd.aio.shield import shield_to_end
from vidd.aio.wait import sleep_or_event
from vidd.engine.context import EngineContext
from vidd.engine.publication_run import Publishing
from vidd.engine.step_run import StepResults
from vidd.errors import Refused, RetryLater
from vidd.model.event import Event, JobMoved, PublicationMoved
from vidd.model.job import FAILED, Job
from vidd.model.publication import Publication, PublicationState, failure_notices, next_edition
from vidd.model.serialization import time_to_text
from vidd.ports import Conflict, Plan

_log = structlog.get_logger()
_IDLE_PAUSE, _RETRY_PAUSE = 3600.0, 5.0
_UNSENT = frozenset({PublicationState.PENDING, PublicationState.WAITING})


class FailureNotices:
    """Sends the notices of failed jobs while the daemon runs."""

    def __init__(self, engine: EngineContext) -> None:
        self._engine = engine
        self._jobs: set[str] = set()
        self._wake = asyncio.Event()
        self._wake.set()
        self._busy = False
        self._next: datetime | None = None

    def note(self, event: Event) -> None:
        """Remember a job that failed, or whose notice a person wants sent again."""
        if isinstance(event, JobMoved) and event.job.state in FAILED:
            self._remember(event.job.id)
        elif isinstance(event, PublicationMoved) and event.publication.notice and event.publication.state in _UNSENT:
            self._remember(event.publication.job)

    def _remember(self, job_id: str) -> None:
        self._jobs.add(job_id)
        self._wake.set()

    def outstanding(self, patience: float) -> bool:
        """Whether a notice goes out now or within `patience` seconds."""
        soon = self._next is not None and (self._next - self._engine.now()).total_seconds() <= patience
        return self._wake.is_set() or self._busy or soon

    async def run(self) -> None:
        """Send the notices that were due before the daemon started, then those of every job that fails; never returns."""
        loaded = False
        while True:
            await sleep_or_event(self._engine.tools.clock.sleep(self._seconds()), self._wake)
            self._busy = True
            self._wake.clear()
            try:
                if not loaded:
                    self._jobs.update(job.id for job in await self._engine.store.jobs(states=sorted(FAILED)))
                    loaded = True
                await self.send_pending()
            except RetryLater as fault:
                _log.warning("failure notices delayed", reason=fault.sentence)
                self._next = self._after(_RETRY_PAUSE)
            finally:
                self._busy = False

    def _seconds(self) -> float:
        return max(0.0, (self._next - self._engine.now()).total_seconds()) if self._next else _IDLE_PAUSE

    async def send_pending(self) -> None:
        """Send the outstanding notices whose time has come."""
        self._next = None
        for job_id in sorted(self._jobs):
            job = await self._engine.store.job(job_id)
            until = await self._send(job) if job is not None else None
            if until is None:
                self._jobs.discard(job_id)
            elif self._next is None or until < self._next:
                self._next = until

    async def _send(self, job: Job) -> datetime | None:
        """Send or drop the notices of a job; returns when to try again, None if nothing is left to send."""
        if not failure_notices(job.settings):
            return None
        try:
            plan = self._engine.resolve(job.settings)
            return await (self._send_to_all(job, plan) if job.state in FAILED else self._drop_unsent(job, plan))
        except Refused as refused:
            _log.warning("failure notice not sent", job=job.id, reason=refused.sentence)
            return None
        except Conflict:
            return self._after(_RETRY_PAUSE)
        except RetryLater:
            raise
        except Exception:  # noqa: BLE001 - a defect in a notice must not end the daemon
            _log.exception("failure notice crashed", job=job.id)
            return None

    async def _send_to_all(self, job: Job, plan: Plan) -> datetime | None:
        outcome = time_to_text(job.changed)
        store = self._engine.store
        known = {publication.name: publication for publication in await store.publications(job.id)}
        for planned in plan.failures:
            publication = known.get(planned.name)
            if publication is None:
                first = Publication(
                    job.id, planned.name, planned.kind, changed=self._engine.now(), notice=True, revision=outcome
                )
                await shield_to_end(store.save_publication(first, expect=None))
            elif publication.revision != outcome:
                await shield_to_end(
                    self._engine.move_publication(job, publication, **next_edition(publication, revision=outcome))
                )
        results = StepResults()
        for record in await store.steps(job.id):
            results.add(record.outcome)
        talk = await store.talk(plan.programme, job.talk) if plan.programme and job.talk else None
        receipts = {
            publication.name: publication.receipt
            for publication in known.values()
            if publication.receipt is not None and not publication.notice
        }
        sent = await Publishing(self._engine, job, talk, results, revision=outcome, event=str(job.state)).run_all(
            plan.failures, notice=True, receipts=receipts
        )
        return min(
            (publication.until or self._after(_RETRY_PAUSE) for publication in sent if publication.state in _UNSENT),
            default=None,
        )

    async def _drop_unsent(self, job: Job, plan: Plan) -> None:
        """Refuse the unsent notices of a job that went on meanwhile: they are out of date."""
        names = {planned.name for planned in plan.failures}
        for publication in await self._engine.store.publications(job.id):
            if publication.name in names and publication.state in _UNSENT:
                reason = "The job went on before vidd sent this notice."
                await shield_to_end(
                    self._engine.move_publication(
                        job, publication, state=PublicationState.REFUSED, reason=reason, until=None
                    )
                )

    def _after(self, seconds: float) -> datetime:
        return self._engine.now() + timedelta(seconds=seconds)

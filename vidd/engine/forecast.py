"""When the jobs under way will be done: by how long the parts of earlier jobs took, and by what runs now.

A part is a step or a publication. The journal has the earlier runs; events bring those of today. Publishers run side by
side, so that the slowest one counts, and so do notices.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from vidd.engine.context import STORE_PAUSE, EngineContext
from vidd.errors import RetryLater
from vidd.model.event import Event, JobMoved, Progressed, PublicationMoved, StepEnded, StepStarted
from vidd.model.job import UNFINISHED, Job, State
from vidd.model.job_query import JobQuery
from vidd.model.media import StepRecord
from vidd.model.media_length import asked_length, made_length
from vidd.model.publication import Publication, PublicationState
from vidd.model.queue_simulation import JobWork, PartWork, simulate
from vidd.model.rework import rework_of
from vidd.model.speeds import Amount, PartName, Speeds
from vidd.model.standing import SlotWait, Standing
from vidd.ports import Plan, PlannedPublisher, PlannedStep

_log = structlog.get_logger()
_TRACKED = UNFINISHED | {State.WAITING}
_RUNNING = frozenset({State.WORKING, State.PUBLISHING})
_HISTORY = 100
"""Published jobs of the journal that the first forecasts are made of."""
_AT_ONCE = 200
"""Jobs of which a forecast holds up nothing."""
_INTERVAL = 0.2
"""Seconds for which a forecast of so few jobs serves."""
_OVERDUE = 0.1
"""The share of the time that a part has run which it is expected to take yet, once it takes longer than it should."""


@dataclass
class _RunningPart:
    since: datetime
    progress: Progressed | None = None


@dataclass
class _TrackedJob:
    """A job that is not done, without its settings: thousands may wait.

    plan: None if its settings no longer fit.
    loaded: whether `done` has the parts that earlier runs of the job finished.
    again: when publications that failed are tried again, by name.
    """

    id: str
    pipeline: str
    state: State
    priority: int
    until: datetime | None
    plan: Plan | None
    amount: Amount
    rework: str | None
    loaded: bool
    done: set[str] = field(default_factory=set)
    running: dict[str, _RunningPart] = field(default_factory=dict)
    again: dict[str, datetime] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[int, str]:
        """The order in which queued jobs start."""
        return -self.priority, self.id


class Forecast:
    """Follows the events of the jobs. `limits` returns how many jobs run at once, and how many of low priority.

    `is_paused` tells whether nothing new starts.
    """

    def __init__(
        self,
        engine: EngineContext,
        limits: Callable[[], tuple[int, int]],
        is_paused: Callable[[], bool],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._limits, self._is_paused, self._monotonic = engine, limits, is_paused, monotonic
        self._speeds = Speeds()
        self._jobs: dict[str, _TrackedJob] = {}
        self._unloaded = asyncio.Event()
        self._wanted = asyncio.Event()
        self._ends: dict[str, datetime] = {}
        self._next = -math.inf

    def note(self, event: Event) -> None:
        """Follow an event."""
        match event:
            case JobMoved():
                self._follow_job(event.job, event.before)
            case StepStarted():
                self._start(event.job, event.step)
            case Progressed():
                self._follow_progress(event)
            case StepEnded():
                kind = PartName(event.pipeline, event.step, event.kind)
                self._end(event.job, kind, event.seconds, finished=event.fate == "done")
            case PublicationMoved():
                self._follow_publication(event.publication, event.pipeline)
            case _:
                pass

    def _follow_job(self, job: Job, before: State | None) -> None:
        if job.state not in _TRACKED:
            self._jobs.pop(job.id, None)
            return
        known = self._jobs.get(job.id)
        if known is None or (job.state is State.READY and before not in {State.SEEN, State.WAITING}):
            # A job that runs again may have results of an earlier run, which only the store knows.
            self._track(job, loaded=before is None)
            return
        known.state, known.priority, known.until = job.state, job.priority, job.until
        if job.state not in _RUNNING:
            known.running.clear()

    def _track(self, job: Job, *, loaded: bool) -> None:
        try:
            plan = self._engine.resolve(job.settings)
        except Exception:  # noqa: BLE001 - settings of an older vidd are the job's fault, which its run will tell
            plan = None
        amount = Amount(asked_length(job), _size_of(job))
        self._jobs[job.id] = _TrackedJob(
            job.id, job.pipeline, job.state, job.priority, job.until, plan, amount, _rework_step(job), loaded
        )
        if not loaded:
            self._unloaded.set()

    def _start(self, job_id: str, part: str) -> None:
        if (tracked := self._jobs.get(job_id)) is not None:
            tracked.running[part] = _RunningPart(self._engine.now())

    def _follow_progress(self, event: Progressed) -> None:
        tracked = self._jobs.get(event.job)
        if tracked is None:
            return
        if event.part in tracked.running:
            tracked.running[event.part].progress = event
        if event.unit == "s" and event.total and tracked.amount.media is None:
            tracked.amount = replace(tracked.amount, media=event.total)

    def _end(self, job_id: str, part: PartName, seconds: float, *, finished: bool) -> None:
        tracked = self._jobs.get(job_id)
        if tracked is None:
            return
        tracked.running.pop(part.name, None)
        if finished:
            tracked.done.add(part.name)
            self._speeds.add(part, seconds, tracked.amount)

    def _follow_publication(self, publication: Publication, pipeline: str) -> None:
        tracked = self._jobs.get(publication.job)
        if tracked is None:
            return
        match publication.state:
            case PublicationState.STARTED | PublicationState.SENT:
                tracked.running.setdefault(publication.name, _RunningPart(publication.changed))
                tracked.again.pop(publication.name, None)
            case PublicationState.PENDING:
                tracked.done.discard(publication.name)
                tracked.running.pop(publication.name, None)
            case _:
                running = tracked.running.get(publication.name)
                since = running.since if running else publication.changed
                seconds = (publication.changed - since).total_seconds()
                part = PartName(pipeline, publication.name, publication.kind)
                sent = running is not None and publication.state is PublicationState.DONE
                self._end(publication.job, part, seconds, finished=sent)
                if publication.until is not None:
                    tracked.again[publication.name] = publication.until
                else:
                    tracked.done.add(publication.name)

    async def run(self) -> None:
        """Read the journal, and make the forecasts for many jobs, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(), name="forecast_records")
            group.create_task(self._renew(), name="forecast")

    async def _read(self) -> None:
        """Read the journal, and then the records of jobs that run again, until cancelled."""
        loaders = [self._load_history, self._load_unfinished, self._load_records]
        while True:
            try:
                while loaders:
                    await loaders[0]()
                    loaders.pop(0)
            except RetryLater:
                await self._engine.tools.clock.sleep(STORE_PAUSE)
                continue
            except Exception:  # noqa: BLE001 - without forecasts the daemon works on
                _log.exception("forecast failed")
                loaders.clear()
            await self._unloaded.wait()
            loaders = [self._load_records]

    async def _load_history(self) -> None:
        store = self._engine.store
        for job in reversed(await store.page(JobQuery([State.PUBLISHED]), _HISTORY)):
            steps, publications = await store.steps(job.id), await store.publications(job.id)
            amount = Amount(asked_length(job) or made_length(steps), _size_of(job))
            for step in steps:
                self._speeds.add(PartName(job.pipeline, step.name, step.kind), step.seconds, amount)
            for publication in publications:
                if (seconds := _seconds_of(publication)) is not None:
                    part = PartName(job.pipeline, publication.name, publication.kind)
                    self._speeds.add(part, seconds, amount)

    async def _load_unfinished(self) -> None:
        for job in await self._engine.store.jobs(states=sorted(_TRACKED)):
            # What events say is newer.
            if job.id not in self._jobs:
                self._track(job, loaded=job.state is State.SEEN)

    async def _load_records(self) -> None:
        self._unloaded.clear()
        for tracked in [tracked for tracked in self._jobs.values() if not tracked.loaded]:
            steps = await self._engine.store.steps(tracked.id)
            publications = await self._engine.store.publications(tracked.id)
            if tracked.amount.media is None:
                tracked.amount = replace(tracked.amount, media=made_length(steps))
            tracked.done |= _steps_that_serve(tracked.rework, steps) | {
                publication.name for publication in publications if publication.state is PublicationState.DONE
            }
            tracked.loaded = True

    def end_of(self, job_id: str) -> datetime | None:
        """When a job will be published; None if that is not known. It is never in the past."""
        end = self._current_ends().get(job_id) if job_id in self._jobs else None
        return max(end, self._engine.now()) if end is not None else None

    @property
    def end_of_queue(self) -> datetime | None:
        """When the last job under way will be published; None if one of them is not known, or nothing is under way."""
        ends = self._current_ends()
        if not ends or not self._jobs.keys() <= ends.keys():
            return None
        return max(*ends.values(), self._engine.now())

    def _current_ends(self) -> Mapping[str, datetime]:
        if self._monotonic() >= self._next:
            if len(self._jobs) > _AT_ONCE:
                # A task makes the next forecast, beside what the event loop has to do.
                self._wanted.set()
            else:
                now = self._engine.now()
                works = [self._work(tracked, now) for tracked in self._jobs.values()]
                self._set_ends(now, simulate([work for work in works if work], **self._slots()))
                self._next = self._monotonic() + _INTERVAL
        return self._ends

    async def _renew(self) -> None:
        """Make a forecast for many jobs whenever one is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            started = self._monotonic()
            try:
                await self._forecast_many()
            except Exception:  # noqa: BLE001 - without forecasts the daemon works on
                _log.exception("forecast failed")
            self._next = self._monotonic() + max(1.0, 20 * (self._monotonic() - started))
            self._wanted.clear()

    async def _forecast_many(self) -> None:
        now, works = self._engine.now(), []
        for number, tracked in enumerate(list(self._jobs.values())):
            works.append(self._work(tracked, now))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._set_ends(now, await asyncio.to_thread(simulate, [work for work in works if work], **self._slots()))

    def _slots(self) -> dict[str, Any]:
        jobs, background = self._limits()
        pools = {name: pool.size for name, pool in self._engine.slots.pools.items()}
        return {"jobs": jobs, "background": background, "pools": pools}

    def _set_ends(self, now: datetime, seconds: Mapping[str, float]) -> None:
        self._ends = {job: now + timedelta(seconds=after) for job, after in seconds.items()}

    def _work(self, tracked: _TrackedJob, now: datetime) -> JobWork | None:
        """What is left of a job; None if it does not go on by itself, or nobody knows yet what is left."""
        running, plan = tracked.state in _RUNNING, tracked.plan
        if plan is None or not tracked.loaded or (self._is_paused() and not running):
            return None
        publishing = tracked.state is State.PUBLISHING
        if plan.review and not publishing:
            return None
        groups: list[Sequence[PlannedStep | PlannedPublisher]] = [] if publishing else [[step] for step in plan.steps]
        groups += [
            [publisher for publisher in plan.publishers if not publisher.runs_last],
            [publisher for publisher in plan.publishers if publisher.runs_last],
            plan.notices,
        ]
        left = [[part for part in group if part.name not in tracked.done] for group in groups]
        parts = [self._longest(tracked, group, now) for group in left if group]
        after = (tracked.until - now).total_seconds() if tracked.state is State.WAITING and tracked.until else 0.0
        return JobWork(tracked.id, tracked.priority, parts, running, running and bool(tracked.running), max(0.0, after))

    def _longest(
        self, tracked: _TrackedJob, group: Sequence[PlannedStep | PlannedPublisher], now: datetime
    ) -> PartWork:
        works = [PartWork(part.pool, self._seconds_left(tracked, part, now)) for part in group]
        return max(works, key=lambda work: work.seconds)

    def _seconds_left(self, tracked: _TrackedJob, part: PlannedStep | PlannedPublisher, now: datetime) -> float:
        expected = self._speeds.predict(PartName(tracked.pipeline, part.name, part.kind), tracked.amount)
        running = tracked.running.get(part.name)
        if running is None:
            again = tracked.again.get(part.name, now) if tracked.state is State.PUBLISHING else now
            wait = max(0.0, (again - now).total_seconds())
            return math.inf if expected is None else wait + expected
        taken = max(0.0, (now - running.since).total_seconds())
        left = _left_by_progress(running.progress, taken)
        if left is None:
            left = math.inf if expected is None else expected - taken
        return max(left, _OVERDUE * taken if expected is not None else 0.0)

    def standing(self, job: Job, *, running: int, put_aside: bool) -> Standing:
        """Where the engine has a job now. `running`: how many jobs run. `put_aside`: as the runner says."""
        tracked, queued = self._jobs.get(job.id), job.state in {State.SEEN, State.READY}
        waits = [(name, pool.size, pool.before(job.id)) for name, pool in self._engine.slots.pools.items()]
        slot = next((SlotWait(name, size, before) for name, size, before in waits if before is not None), None)
        ahead = [
            other.id
            for other in self._jobs.values()
            if other.state in {State.SEEN, State.READY} and other.rank < (-job.priority, job.id)
        ]
        most, background = self._limits()
        return Standing(
            parts=tuple(tracked.running) if tracked else (),
            slot=slot,
            ahead=len(ahead) if queued else None,
            running=running,
            most=most,
            put_aside=background if put_aside else None,
            stopping=self._engine.draining,
        )


def _left_by_progress(progress: Progressed | None, taken: float) -> float | None:
    """The seconds until a running part ends, by its own speed; None if it does not say how far it is."""
    if progress is None or not progress.total:
        return None
    left = max(0.0, progress.total - progress.done)
    if progress.speed and progress.speed > 0:
        return left / progress.speed
    return taken * left / progress.done if progress.done > 0 and taken > 0 else None


def _size_of(job: Job) -> float | None:
    """The bytes of the recording, as far as its source says."""
    size = job.facts.get("size")
    return float(size) if isinstance(size, int | float) else None


def _seconds_of(publication: Publication) -> float | None:
    """The seconds that a publication took, if its first attempt went through and nothing changed it later."""
    if publication.state is not PublicationState.DONE or publication.attempt > 1 or publication.tried is None:
        return None
    seconds = (publication.changed - publication.tried).total_seconds()
    return seconds if publication.edition == 1 and seconds >= 0 else None


def steps_done(job: Job, steps: Sequence[StepRecord]) -> set[str]:
    """The names of the steps that need not run again in the job's present run."""
    return _steps_that_serve(_rework_step(job), steps) if job.state in _TRACKED else {step.name for step in steps}


def _rework_step(job: Job) -> str | None:
    step = rework_of(job).get("step")
    return step if isinstance(step, str) else None


def _steps_that_serve(rework: str | None, steps: Sequence[StepRecord]) -> set[str]:
    """The steps whose records serve again: all of them, but those before its first step in a rework."""
    names = [step.name for step in steps]
    return set(names[: names.index(rework)] if rework in names else names)

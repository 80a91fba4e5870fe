"""Runs queued jobs, a bounded number at once; wakes waiting jobs, pauses, cancels, drains."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from operator import itemgetter

import structlog

from vidd.aio.wait import sleep_or_event
from vidd.engine.context import STORE_PAUSE, EngineContext
from vidd.engine.duplicate_talks import describe_public
from vidd.engine.job_run import JobRun
from vidd.engine.rework import kept_results_of
from vidd.engine.slots import Pool
from vidd.errors import RetryLater
from vidd.model.job import UNFINISHED, Job, State
from vidd.ports import Conflict, Queue

_log = structlog.get_logger()
_POLL = 30.0
"""The longest time in seconds between two looks at the waiting jobs."""
_KEPT, _SWEEP = timedelta(days=7), timedelta(hours=1)


class Runner:
    """Runs at most `at_once` jobs at once. Within the jobs, the slots bound the work that crowds the machine.

    Of the jobs, `background` at most have a priority below 0: they may take hours and must leave room for the others.
    """

    def __init__(self, engine: EngineContext, queue: Queue, at_once: int, *, background: int | None = None) -> None:
        self._engine = engine
        self._queue = queue
        self._job_slots = Pool(at_once)
        self._most_background = at_once if background is None else background
        self._put_aside: dict[str, int] = {}
        self._runs: dict[str, tuple[JobRun, asyncio.Task[Job]]] = {}
        self._queue_after_run: dict[str, int] = {}
        self._stranded: set[str] = set()
        self._crashed: set[str] = set()
        self._unpaused = asyncio.Event()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._starting = 0
        self._swept = engine.now()
        self.paused = False

    async def recover(self) -> int:
        """Queue the jobs that the daemon left unfinished when it last stopped; returns how many there are."""
        # The state directory has one owner, so no other daemon runs these jobs.
        for job in await self._engine.store.jobs(states=[State.WORKING, State.PUBLISHING]):
            with suppress(Conflict):
                # The store may have made an earlier move that got no answer.
                await self._engine.move(job, State.READY, "The daemon was stopped while this ran.")
        unfinished = await self._engine.store.unfinished()
        for job_id, priority in unfinished:
            self._queue.put(job_id, priority)
        await self._sweep()
        self.paused = await self._engine.store.get_flag("paused") is not None
        if not self.paused:
            self._unpaused.set()
        return len(unfinished)

    async def _sweep(self) -> None:
        """Remove files that no job needs. vidd keeps a refused job's files for a week, for a retry."""
        unfinished = {job_id for job_id, _ in await self._engine.store.unfinished()}
        resting = await self._engine.store.jobs(states=[State.WAITING, State.REFUSED, State.HELD, State.UNSURE])
        old = self._engine.now() - _KEPT
        kept = {job.id for job in resting if job.state is not State.REFUSED or job.changed > old}
        alive = unfinished | kept | set(self._runs)
        await self._engine.workspace.sweep(alive)
        await self._engine.workspace.sweep_logs(alive, old.timestamp())
        await asyncio.to_thread(kept_results_of(self._engine).sweep, self._engine.now(), alive)
        self._swept = self._engine.now()

    async def run(self) -> None:
        """Start queued jobs until cancelled. Only `drain` and `stop_now` end running jobs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_queued(), name="start_queued")
            group.create_task(self._wake_waiting(), name="wake")

    async def _start_queued(self) -> None:
        while True:
            await self._job_slots.acquire(0)
            await self._unpaused.wait()
            job_id = await self._queue.get()
            self._starting += 1
            try:
                started = await self._start(job_id)
            except RetryLater as fault:
                # Its id is no longer in the queue; `_find_stranded` queues it again.
                _log.warning("job not started", job=job_id, reason=fault.sentence)
                self._stranded.add(job_id)
                await self._engine.tools.clock.sleep(STORE_PAUSE)
                self._wake.set()
                started = False
            finally:
                self._starting -= 1
            if not started:
                self._job_slots.release()
                # It may have been queued for a room that it then did not need.
                self._queue_put_aside()
                self._changed.set()

    async def _start(self, job_id: str) -> bool:
        if not self._unpaused.is_set():
            # A person paused the daemon while it waited for an id: the id goes back into the queue.
            job = await self._engine.store.job(job_id)
            self._queue.put(job_id, job.priority if job else 0)
            return False
        job = await self._engine.store.job(job_id)
        if job_id in self._runs:
            # A person asked for a retry after the job's last state was saved and before its run ended.
            self._queue_after_run[job_id] = job.priority if job else 0
            return False
        if job is None or job.state not in UNFINISHED or self._engine.draining:
            return False
        self._put_aside.pop(job_id, None)
        if job.priority < 0 and self._running_background >= self._most_background:
            self._put_aside[job_id] = job.priority
            return False
        self._crashed.discard(job_id)
        run = JobRun(self._engine, job)
        task = asyncio.create_task(run.run(), name=f"job:{job_id}")
        self._runs[job_id] = (run, task)
        task.add_done_callback(lambda _done: self._handle_end(job_id))
        return True

    @property
    def _running_background(self) -> int:
        return sum(run.job.priority < 0 for run, _ in self._runs.values())

    def _queue_put_aside(self) -> None:
        """Queue as many of the jobs that found no room as there is room for now."""
        room = self._most_background - self._running_background
        if room > 0:
            for job_id, priority in sorted(self._put_aside.items(), key=itemgetter(1), reverse=True)[:room]:
                del self._put_aside[job_id]
                self._queue.put(job_id, priority)

    def _handle_end(self, job_id: str) -> None:
        run, task = self._runs.pop(job_id)
        self._job_slots.release()
        self._queue_put_aside()
        if job_id in self._queue_after_run:
            self._queue.put(job_id, self._queue_after_run.pop(job_id))
        if run.job.state is State.WAITING:
            self._wake.set()
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("job run failed", job=job_id, error=repr(error))
            if isinstance(error, RetryLater):
                # Its state could not be saved; the store still has the previous one.
                self._stranded.add(job_id)
                self._wake.set()
            else:
                # A defect keeps vidd from saving its state; another run would end the same way.
                self._crashed.add(job_id)

    async def _wake_waiting(self) -> None:
        while True:
            self._wake.clear()
            try:
                seconds = await self._queue_due()
            except RetryLater as fault:
                _log.warning("waiting jobs not queued", reason=fault.sentence)
                seconds = STORE_PAUSE
            self._changed.set()
            await sleep_or_event(self._engine.tools.clock.sleep(max(seconds, 0.0)), self._wake)

    async def _queue_due(self) -> float:
        """Queue jobs that are due or stranded; returns the seconds until the next look."""
        store, now = self._engine.store, self._engine.now()
        if now - self._swept >= _SWEEP:
            await self._sweep()
        await self._find_stranded()
        for job in await store.due(now):
            await self.requeue(job, "Its time has come.")
        following = await store.next_due()
        return min(_POLL, (following - now).total_seconds()) if following else _POLL

    async def _find_stranded(self) -> None:
        """Queue unfinished jobs that neither run nor are queued here.

        A store that was away may have saved an arrival, a retry or a job's state although its call failed.
        """
        lost = set(self._stranded)
        for job in await self._engine.store.jobs(states=[State.WORKING, State.PUBLISHING]):
            if not self._is_known(job.id):
                await self.requeue(job, "The store could not be written while this ran.")
        for job_id, priority in await self._engine.store.unfinished():
            if not self._is_known(job_id):
                self._queue.put(job_id, priority)
        self._stranded -= lost

    def _is_known(self, job_id: str) -> bool:
        return job_id in self._runs or job_id in self._crashed or job_id in self._put_aside

    async def requeue(self, job: Job, reason: str | None) -> Job:
        """Make a resting job ready and queue it; does nothing if somebody else moved it first. Returns the job."""
        with suppress(Conflict):
            job = await self._engine.move(job, State.READY, reason)
            self.queue(job)
        return job

    def queue(self, job: Job) -> None:
        """Queue a ready job by its present priority."""
        self._queue.put(job.id, job.priority)

    def reorder(self, job: Job) -> None:
        """Queue a job that has not started by its new priority."""
        if self._put_aside.pop(job.id, None) is not None or job.state in {State.SEEN, State.READY}:
            self.queue(job)

    async def cancel(self, job: Job, reason: str) -> Job:
        """Cancel a job: end its run, wait for that, and remove its files. Returns the job."""
        if job.id in self._runs:
            run, task = self._runs[job.id]
            run.cancel_reason = reason
            task.cancel()
            await asyncio.wait({task})
            return run.job
        if job.state is State.CANCELLED:
            return job
        reason += await describe_public(self._engine.store, job)
        job = await self._engine.move(job, State.CANCELLED, reason)
        await self._engine.workspace.remove(job.id)
        return job

    def resize(self, at_once: int, *, background: int) -> None:
        """Change the number of jobs that run at once. Running jobs continue."""
        self._job_slots.resize(at_once)
        self._most_background = background
        self._queue_put_aside()

    async def pause(self) -> None:
        """Start no more jobs, also after a restart. Running jobs continue."""
        self.paused = True
        self._unpaused.clear()
        await self._engine.store.set_flag("paused", self._engine.now().isoformat())

    async def resume(self) -> None:
        """Start jobs again."""
        await self._engine.store.set_flag("paused", None)
        self.paused = False
        self._unpaused.set()

    @property
    def limits(self) -> tuple[int, int]:
        """How many jobs run at once, and how many of them may have a priority below 0."""
        return self._job_slots.size, self._most_background

    def is_put_aside(self, job_id: str) -> bool:
        """Whether a job with a priority below 0 waits until fewer of its kind run."""
        return job_id in self._put_aside

    @property
    def running(self) -> list[str]:
        """The ids of the jobs that run now."""
        return list(self._runs)

    async def idle(self, patience: float) -> None:
        """Return once nothing runs, nothing is queued, and nothing comes due within `patience` seconds."""
        while True:
            self._changed.clear()
            busy = self._runs or self._stranded or self._starting or (self._queue.size() and not self.paused)
            if not busy and (self.paused or not await self._due_within(patience)):
                return
            await self._changed.wait()

    async def _due_within(self, patience: float) -> bool:
        try:
            due = await self._engine.store.next_due()
        except RetryLater:
            return True
        return due is not None and due <= self._engine.now() + timedelta(seconds=patience)

    async def drain(self, grace: float) -> None:
        """Let jobs end at their next step, and interrupt those that still run after `grace` seconds."""
        self._engine.drains.set()
        tasks = {task for _, task in self._runs.values()}
        if tasks and grace > 0:
            await asyncio.wait(tasks, timeout=grace)
        await self.stop_now()

    async def stop_now(self) -> None:
        """Interrupt running jobs, and wait for their end."""
        self._engine.drains.set()
        tasks = {task for _, task in self._runs.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

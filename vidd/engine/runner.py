"""Runs queued jobs, a bounded number at once: due waits, pause, cancel, drain."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog

from vidd.aio.wait import sleep_or_event
from vidd.engine.context import AWAY, EngineContext
from vidd.engine.duplicate_talks import describe_public
from vidd.engine.job_run import JobRun
from vidd.engine.rework import kept_results_of
from vidd.engine.slots import Pool
from vidd.errors import RetryLater
from vidd.model.job import UNFINISHED, Job, State
from vidd.ports import Conflict, Queue

_log = structlog.get_logger()
_LOOK = 30.0
"""Seconds between two looks at the waiting jobs, when none comes due before."""
_KEPT, _SWEEP = timedelta(days=7), timedelta(hours=1)


class Runner:
    """Runs at most `at_once` jobs; within them the slots bound what crowds the machine."""

    def __init__(self, engine: EngineContext, queue: Queue, at_once: int) -> None:
        self._engine = engine
        self._queue = queue
        self._places = Pool(at_once)
        self._runs: dict[str, tuple[JobRun, asyncio.Task[Job]]] = {}
        self._again: dict[str, int] = {}
        self._lost: set[str] = set()
        self._fallen: set[str] = set()
        self._open = asyncio.Event()
        self._waits = asyncio.Event()
        self._changed = asyncio.Event()
        self._starting = 0
        self._swept = engine.now()
        self.paused = False

    async def recover(self) -> int:
        """Take up what an earlier life of the daemon left unfinished; returns how many jobs that are."""
        # Only a daemon that died can have left these: the state directory has one owner.
        for job in await self._engine.store.jobs(states=[State.WORKING, State.PUBLISHING]):
            with suppress(Conflict):
                # A move that got no answer may have been made after all.
                await self._engine.move(job, State.READY, "The daemon was stopped while this ran.")
        unfinished = await self._engine.store.unfinished()
        for job_id, priority in unfinished:
            self._queue.put(job_id, priority)
        await self._sweep()
        self.paused = await self._engine.store.get_flag("paused") is not None
        if not self.paused:
            self._open.set()
        return len(unfinished)

    async def _sweep(self) -> None:
        """Remove what no job needs any more; a refused job's files are kept for a week, in case it is retried soon."""
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
        """Until cancelled; running jobs are ended by `drain`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(), name="take")
            group.create_task(self._wake(), name="wake")

    async def _take(self) -> None:
        while True:
            await self._places.acquire(0)
            await self._open.wait()
            job_id = await self._queue.get()
            self._starting += 1
            try:
                started = await self._start(job_id)
            except RetryLater as fault:
                # Its place in the queue is lost; whoever looks at what is unfinished finds it again.
                _log.warning("job not started", job=job_id, reason=fault.sentence)
                self._lost.add(job_id)
                await self._engine.tools.clock.sleep(AWAY)
                self._waits.set()
                started = False
            finally:
                self._starting -= 1
            if not started:
                self._places.release()
                self._changed.set()

    async def _start(self, job_id: str) -> bool:
        if not self._open.is_set():
            # Paused while it waited for an id: the id goes back to its place.
            job = await self._engine.store.job(job_id)
            self._queue.put(job_id, job.priority if job else 0)
            return False
        job = await self._engine.store.job(job_id)
        if job_id in self._runs:
            # A retry came between the save of a job's last state and the end of its run.
            self._again[job_id] = job.priority if job else 0
            return False
        if job is None or job.state not in UNFINISHED or self._engine.draining:
            return False
        self._fallen.discard(job_id)
        run = JobRun(self._engine, job)
        task = asyncio.create_task(run.run(), name=f"job:{job_id}")
        self._runs[job_id] = (run, task)
        task.add_done_callback(lambda _done: self._ended(job_id))
        return True

    def _ended(self, job_id: str) -> None:
        run, task = self._runs.pop(job_id)
        self._places.release()
        if job_id in self._again:
            self._queue.put(job_id, self._again.pop(job_id))
        if run.job.state is State.WAITING:
            self._waits.set()
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("job lost", job=job_id, error=repr(error))
            if isinstance(error, RetryLater):
                # Its state could not be saved; the journal still has the one before.
                self._lost.add(job_id)
                self._waits.set()
            else:
                # A defect that keeps its record from being written: another run would end the same way.
                self._fallen.add(job_id)

    async def _wake(self) -> None:
        while True:
            self._waits.clear()
            try:
                seconds = await self._take_up()
            except RetryLater as fault:
                _log.warning("jobs not taken up", reason=fault.sentence)
                seconds = AWAY
            self._changed.set()
            await sleep_or_event(self._engine.tools.clock.sleep(max(seconds, 0.0)), self._waits)

    async def _take_up(self) -> float:
        """Queue what has come due or was lost; returns the seconds until it must be looked at again."""
        store, now = self._engine.store, self._engine.now()
        if now - self._swept >= _SWEEP:
            await self._sweep()
        await self._find_stranded()
        for job in await store.due(now):
            await self.requeue(job, "Its time has come.")
        following = await store.next_due()
        return min(_LOOK, (following - now).total_seconds()) if following else _LOOK

    async def _find_stranded(self) -> None:
        """Queue what is unfinished and neither runs nor waits here.

        A store that is away may have saved what nobody heard of: an arrival, a retry, a job whose run ended in vain.
        """
        lost = set(self._lost)
        for job in await self._engine.store.jobs(states=[State.WORKING, State.PUBLISHING]):
            if not self._is_here(job.id):
                await self.requeue(job, "The store could not be written while this ran.")
        for job_id, priority in await self._engine.store.unfinished():
            if not self._is_here(job_id):
                self._queue.put(job_id, priority)
        self._lost -= lost

    def _is_here(self, job_id: str) -> bool:
        return job_id in self._runs or job_id in self._fallen

    async def requeue(self, job: Job, reason: str | None) -> Job:
        """Make a resting job ready and queue it; a conflict means that somebody else moved it first."""
        with suppress(Conflict):
            job = await self._engine.move(job, State.READY, reason)
            self.queue(job)
        return job

    def queue(self, job: Job) -> None:
        """Have a ready job run when its turn comes, by its priority as it is now."""
        self._queue.put(job.id, job.priority)

    async def cancel(self, job: Job, reason: str) -> Job:
        """Stop a job; what runs for it is ended and awaited. Its files go."""
        if job.id in self._runs:
            run, task = self._runs[job.id]
            run.cancel_wanted = True
            task.cancel()
            await asyncio.wait({task})
            return run.job
        if job.state is State.CANCELLED:
            return job
        reason += await describe_public(self._engine.store, job)
        job = await self._engine.move(job, State.CANCELLED, reason)
        await self._engine.workspace.remove(job.id)
        return job

    def resize(self, at_once: int) -> None:
        """Another number of jobs from now on; what runs goes on."""
        self._places.resize(at_once)

    async def pause(self) -> None:
        """Finish what runs, start nothing; kept across restarts."""
        self.paused = True
        self._open.clear()
        await self._engine.store.set_flag("paused", self._engine.now().isoformat())

    async def resume(self) -> None:
        """Start jobs again."""
        await self._engine.store.set_flag("paused", None)
        self.paused = False
        self._open.set()

    @property
    def running(self) -> list[str]:
        """The ids of the jobs that run now."""
        return list(self._runs)

    async def idle(self, patience: float) -> None:
        """Return once nothing runs, nothing is queued, and nothing comes due within `patience` seconds."""
        while True:
            self._changed.clear()
            busy = self._runs or self._lost or self._starting or (self._queue.size() and not self.paused)
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
        """The way down: jobs end at their next step or within `grace` seconds, and are then interrupted."""
        self._engine.drains.set()
        tasks = {task for _, task in self._runs.values()}
        if tasks and grace > 0:
            await asyncio.wait(tasks, timeout=grace)
        await self.stop_now()

    async def stop_now(self) -> None:
        """Interrupt what still runs and wait for its end."""
        self._engine.drains.set()
        tasks = {task for _, task in self._runs.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

"""Answers the requests of people and programs to a running daemon: the web's `ControlApi` over the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vidd import __version__
from vidd.daemon.watchers import Watching
from vidd.display_text import quoted, size_in_words
from vidd.engine.audit import compare_with_jobs
from vidd.engine.commands import Commands
from vidd.engine.context import EngineContext
from vidd.engine.day_recorder import DayRecorder
from vidd.engine.forecast import Forecast, steps_done
from vidd.engine.intake import Intake
from vidd.engine.kept_results import Edition
from vidd.engine.retraction import retraction_flag
from vidd.engine.rework import kept_results_of
from vidd.engine.runner import Runner
from vidd.engine.submission import Submissions
from vidd.errors import FaultCode, Refused
from vidd.media.ffmpeg.process import Capabilities
from vidd.media.ffmpeg.still import take_still
from vidd.model.arrival import file_arrival
from vidd.model.audit import Audit
from vidd.model.event import Event, JobMoved, Progressed
from vidd.model.job import Arrival, Job, State
from vidd.model.rework import edition_of, rework_of
from vidd.pipelines.rework_settings import apply_rework, check_directories, describe_rework
from vidd.ports import Clock, Queue, SourceRoute, Store
from vidd.web import control_port
from vidd.web.event_hub import Hub
from vidd.web.explain import Explanation, Surroundings, explain
from vidd.web.metrics import Metrics
from vidd.web.serializers import moment, step_json


class ProgressTable:
    """An observer that remembers the progress of each running part."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, Progressed]] = {}

    def note(self, event: Event) -> None:
        """Keep the newest progress of each part; drop a job that no longer runs."""
        if isinstance(event, Progressed):
            self._parts.setdefault(event.job, {})[event.part] = event
        elif isinstance(event, JobMoved) and event.job.state not in {State.WORKING, State.PUBLISHING}:
            self._parts.pop(event.job.id, None)

    def by_job(self) -> dict[str, list[Progressed]]:
        """The progress of the running parts, by job id."""
        return {job: list(parts.values()) for job, parts in self._parts.items()}


class Control:
    """Implements `ControlApi`. `reserve` returns the free bytes below which the daemon is not healthy."""

    def __init__(
        self,
        *,
        engine: EngineContext,
        queue: Queue,
        runner: Runner,
        commands: Commands,
        intake: Intake,
        watching: Watching,
        capabilities: Capabilities,
        reserve: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._runner = runner
        self.commands = commands
        self._intake = intake
        self._submissions = Submissions(engine, intake, runner)
        self._watching = watching
        self.capabilities = capabilities
        self._reserve = reserve
        self._since = engine.now()
        self._progresses = ProgressTable()
        self.store: Store = engine.store
        self.clock: Clock = engine.tools.clock
        self.hub = Hub()
        # One at a time: a page asks for four at once.
        self._stills = asyncio.Semaphore(1)
        self.metrics = Metrics()
        self.metrics.expect(intake.pipelines)
        self.forecast = Forecast(engine, lambda: runner.limits, lambda: runner.paused)
        self.day_recorder = DayRecorder(engine)
        self.observers = (
            self.forecast.note,
            self.day_recorder.note,
            self.hub.observe,
            self.metrics.observe,
            self._progresses.note,
        )

    async def health(self) -> control_port.Health:
        watchers = {
            watcher.name: control_port.Watcher(
                watcher.name,
                watcher.kind,
                watcher.up,
                watcher.restarts,
                watcher.last_event,
                watcher.reason,
                watcher.note,
            )
            for watcher in self._watching.watchers.table.values()
        }
        free = self._engine.workspace.free()
        reasons = [
            f"The watcher {watcher.name} is down: {watcher.reason}"
            for watcher in self._watching.watchers.table.values()
            if watcher.down
        ]
        if self.store.trouble is not None:
            reasons.append(f"The store is away, so jobs wait: {self.store.trouble}")
        reasons += [f"ffmpeg: {reason}" for reason in self.capabilities.missing]
        reserve = self._reserve()
        if free < reserve:
            reasons.append(
                f"{size_in_words(free)} are free, less than [limits] disk_reserve: no job that needs room starts."
            )
        if self._engine.draining:
            reasons.append("The daemon is stopping.")
        return control_port.Health(
            ok=not reasons,
            version=__version__,
            since=self._since,
            reasons=tuple(reasons),
            watchers=watchers,
            queue=self._queue.size(),
            running=len(self._runner.running),
            paused=self._runner.paused,
            queue_eta=self.forecast.end_of_queue,
            disk_free=free,
            disk_reserve=reserve,
            slots={
                name: control_port.Slots(pool.size, pool.used, pool.waiting)
                for name, pool in self._engine.slots.pools.items()
            },
            ffmpeg=control_port.Ffmpeg(self.capabilities.version, tuple(self.capabilities.missing)),
        )

    def source_routes(self) -> Sequence[SourceRoute]:
        return self._watching.routes

    async def explain(self, job: Job) -> Explanation:
        health = await self.health()
        name = job.settings.get("programme")
        around = Surroundings(
            watchers=health.watchers,
            paused=health.paused,
            programme=await self.store.programme(name) if name else None,
            progress=self._progresses.by_job().get(job.id, ()),
            standing=self.forecast.standing(job, running=health.running, put_aside=self._runner.is_put_aside(job.id)),
            steps=steps_done(job, await self.store.steps(job.id)),
            retracting=await self.store.get_flag(retraction_flag(job.id)) is not None,
            eta=self.eta(job.id),
        )
        return explain(job, now=self._engine.now(), publications=await self.store.publications(job.id), around=around)

    async def file(self, job: Job, path: str) -> Path | None:
        found = self._engine.workspace.root / job.id / path
        if await asyncio.to_thread(found.is_file):
            return found
        kept = await asyncio.to_thread(kept_results_of(self._engine).editions, job.id)
        return next((file for edition in reversed(kept) if (file := edition.directory / path).is_file()), None)

    async def still(self, job: Job, path: str, seconds: float) -> Path | None:
        source = await self.file(job, path)
        if source is None:
            return None
        size = source.stat().st_size
        target = source.with_name(f".{source.name}.{size}.{seconds:.3f}.jpg")
        async with self._stills:
            if not target.is_file() and not await take_still(self._engine.tools.encoder, source, target, seconds):
                return None
        return target

    def eta(self, job_id: str) -> datetime | None:
        return self.forecast.end_of(job_id)

    async def log(self, job_id: str, most: int) -> tuple[str, bool]:
        return await asyncio.to_thread(_read_end, self._engine.tools.log(job_id), most)

    def _pipeline(self, name: str | None) -> str:
        known = list(self._intake.pipelines)
        if name is None and len(known) == 1:
            return known[0]
        if name not in known:
            raise Refused(
                f"There is no pipeline {name!r}: name one of {', '.join(known) or 'none'}.", code=FaultCode.NOT_FOUND
            )
        return name

    async def submit(
        self,
        *,
        location: str,
        name: str | None,
        pipeline: str | None,
        facts: Mapping[str, Any],
        priority: int,
        key: str | None,
    ) -> tuple[Job, bool]:
        pipeline = self._pipeline(pipeline)
        arrival = _arrival(location, name, facts, priority, key)
        return await self._submissions.admit(pipeline, arrival)

    async def _job(self, job_id: str) -> Job:
        job = await self.store.job(job_id)
        if job is None:
            raise Refused(f"There is no job {job_id!r}: `vidd jobs` lists them.", code=FaultCode.NOT_FOUND)
        return job

    async def retry(self, job_id: str, *, fresh_settings: bool, replace: bool = False) -> Job:
        job = await self._job(job_id)
        settings = self._present_settings(job) if fresh_settings else None
        return await self.commands.retry(job, settings, replace=replace)

    def _present_settings(self, job: Job) -> Mapping[str, Any] | None:
        """The pipeline's present settings with the changes of the job's rework; None for an undo, which keeps its own."""
        settings, rework = self._intake.pipelines[self._pipeline(job.pipeline)], rework_of(job)
        if rework.get("undo"):
            return None
        if not any(rework.get(key) for key in ("step", "set", "extra")):
            return settings
        asked = {"step": rework.get("step"), "changes": rework.get("set", {}), "extra": rework.get("extra", ())}
        return apply_rework(settings, job.pipeline, edition_of(job), **asked)[0]

    async def rework(
        self, job_id: str, *, step: str | None, changes: Mapping[str, Any], extra: Sequence[str], dry_run: bool
    ) -> tuple[Job, dict[str, Any] | None]:
        job = await self._job(job_id)
        kept = await self.commands.kept_editions(job)
        edition = edition_of(job) + 1
        settings, first = apply_rework(job.settings, job.pipeline, edition, step=step, changes=changes, extra=extra)
        await asyncio.to_thread(check_directories, settings, first)
        if dry_run:
            return job, await self._preview(job, settings, first, kept[-1] if kept else None, edition)
        asked = {"set": dict(changes), "extra": list(extra)}
        return await self.commands.rework(job, settings, first, asked), None

    async def undo(self, job_id: str, *, dry_run: bool) -> tuple[Job, dict[str, Any] | None]:
        job = await self._job(job_id)
        if dry_run:
            old = await self.commands.edition_to_restore(job)
            return job, await self._preview(job, old.settings, None, old, edition_of(job) + 1)
        return await self.commands.undo(job), None

    async def _preview(
        self, job: Job, settings: Mapping[str, Any], first: str | None, kept: Edition | None, edition: int
    ) -> dict[str, Any]:
        records = {step.name: step_json(step, job.settings)["artifacts"] for step in await self.store.steps(job.id)}
        description = describe_rework(settings, first, kept.number if kept else None, records)
        return {"job": job.id, "edition": edition, **description, "kept_until": moment(kept.until) if kept else None}

    async def pause(self) -> None:
        await self._runner.pause()

    async def resume(self) -> None:
        await self._runner.resume()
        # Sources look now at what arrived meanwhile, not at their next poll.
        await self.wake(None)

    async def wake(self, source: str | None) -> None:
        if source is not None and source not in self._watching.contexts:
            raise Refused(
                f"There is no source {source!r}; there are {', '.join(self._watching.contexts) or 'none'}.",
                code=FaultCode.NOT_FOUND,
            )
        for name, context in self._watching.contexts.items():
            if source in (None, name):
                context.wake()

    async def audit(self, source: str | None, pipeline: str | None) -> list[Audit]:
        auditors = {
            name: auditor
            for name, auditor in self._watching.auditors.items()
            if source in (None, name) and pipeline in (None, auditor.pipeline)
        }
        if not auditors:
            known = ", ".join(self._watching.auditors) or "none"
            raise Refused(f"No such source can list what it has; those that can: {known}.", code=FaultCode.NOT_FOUND)
        audits = []
        for name, auditor in auditors.items():
            # List first: an item that arrives meanwhile has a job by the time vidd reads the jobs.
            listed = await auditor.ask()
            pipelines = {arrival.pipeline or auditor.pipeline for item in listed if (arrival := item.arrival)}
            entries = await self.store.entries([pipeline for pipeline in pipelines if pipeline])
            audits.append(compare_with_jobs(name, auditor.kind, auditor.pipeline, listed, entries))
        return audits

    @property
    def queued(self) -> int:
        """The number of queued jobs."""
        return self._queue.size()

    def programmes(self) -> Mapping[str, str]:
        named = {name: settings.get("programme") for name, settings in self._intake.pipelines.items()}
        return {pipeline: programme for pipeline, programme in named.items() if programme}

    def progress(self) -> Mapping[str, Sequence[Progressed]]:
        return self._progresses.by_job()


def _read_end(path: Path, most: int) -> tuple[str, bool]:
    found, whole = b"", True
    for log in (path, path.with_name(f"{path.name}.1")):
        if log.is_file():
            size, wanted = log.stat().st_size, most - len(found)
            with log.open("rb") as file:
                file.seek(max(0, size - wanted))
                found = file.read(wanted) + found
            whole = whole and size <= wanted
    return found.decode("utf-8", "replace"), whole


def _arrival(location: str, name: str | None, facts: Mapping[str, Any], priority: int, key: str | None) -> Arrival:
    parts = urlsplit(location)
    if parts.scheme in {"", "file"}:
        path = Path(unquote(parts.path) if parts.scheme else location)
        if not path.is_absolute():
            raise Refused(f"{location!r} is not an absolute path: give the whole path of the file.")
        if not path.is_file():
            raise Refused(
                f"There is no file {quoted(str(path))} that the daemon can see: check the path and its rights."
            )
        path = path.resolve()
        stat = path.stat()
        arrival = file_arrival(path, size=stat.st_size, mtime_ns=stat.st_mtime_ns)
        facts = {**arrival.facts, **facts}
        return Arrival(key or arrival.key, arrival.location, name or arrival.name, facts, priority)
    if parts.scheme not in {"s3", "http", "https", "pcloud"}:
        raise Refused(
            f"{location!r} is no place vidd can fetch from: give a path, s3://bucket/key, pcloud:<file id> or https://…."
        )
    last = unquote(parts.path.rpartition("/")[2]) or parts.netloc
    if parts.scheme == "s3":
        facts = {"bucket": parts.netloc, "key": unquote(parts.path.lstrip("/")), **facts}
    return Arrival(key or f"submitted:{location}", location, name or last, facts, priority)

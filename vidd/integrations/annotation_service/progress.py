"""Keeps the documents of uploads in step with their jobs: progress, failures, and jobs that were retried.

Level-triggered: what cannot be written now is written later, in its state of then. At the start, all jobs that are not
published are written once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from vidd.errors import RetryLater
from vidd.integrations.annotation_service.documents import FAILED as UPLOAD_FAILED
from vidd.integrations.annotation_service.documents import ONLY_BOXES, progress_of, upload_failed
from vidd.model.event import JobMoved, Progressed, PublicationMoved
from vidd.model.job import FAILED, State
from vidd.model.publication import PublicationState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vidd.integrations.annotation_service.database import AnnotationDatabase
    from vidd.model.event import Event
    from vidd.model.job import Job
    from vidd.model.publication import Publication
    from vidd.ports import SourceContext

_COUNTED_STEPS = ("frames", "annotate")
_FAILED_ENDS = FAILED | {State.CANCELLED}
_KIND = "mongo_tasks"
_RETRY_AFTER = 5.0
# error_code: 1 input or settings, 2 outcome unknown, 3 a person stopped it, 4 the documents could not be written.
_CODES = {State.REFUSED: 1, State.UNSURE: 2, State.CANCELLED: 3}
_NOT_WRITTEN = 4


class UploadMirror:
    """The uploads of one source. `interval` is the least time between two rounds, in seconds."""

    def __init__(self, database: AnnotationDatabase, context: SourceContext, interval: float) -> None:
        self._database, self._context, self._interval = database, context, interval
        self._jobs: dict[str, Job] = {}
        self._parts: dict[str, dict[str, float]] = {}
        self._due: dict[str, dict[str, Any]] = {}
        self._wake = asyncio.Event()

    async def run(self, take_unfinished: Callable[[], Awaitable[None]]) -> None:
        """Write until cancelled. `take_unfinished` runs at the start, every hour, and when somebody asks the source to look."""
        with self._context.listen(self._note):
            for job in await self._context.open_jobs():
                self._job_moved(job)
            await take_unfinished()
            self._context.mark_up()
            self._context.mark_caught_up()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._look_again(take_unfinished))
                while True:
                    await self._wake.wait()
                    await self._write()
                    await self._context.tools.clock.sleep(self._interval)

    async def _look_again(self, take_unfinished: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._context.pause(3600.0)
            await take_unfinished()
            self._context.mark_caught_up()

    def _note(self, event: Event) -> None:
        match event:
            case JobMoved() if event.job.source == self._context.name:
                self._job_moved(event.job)
            case Progressed() if event.job in self._jobs and event.fraction is not None:
                self._parts.setdefault(event.job, {})[event.part] = event.fraction
                self._change(event.job, {"progress": self._progress(self._jobs[event.job])})
            case PublicationMoved() if event.publication.job in self._jobs:
                self._publication_moved(event.publication)
            case _:
                pass

    def _publication_moved(self, publication: Publication) -> None:
        if publication.kind == _KIND and publication.state in {PublicationState.REFUSED, PublicationState.UNSURE}:
            self._change(
                publication.job, upload_failed(_NOT_WRITTEN, publication.reason or "", self._context.tools.clock.now())
            )
        elif publication.kind != _KIND and publication.state is PublicationState.DONE:
            self._parts.setdefault(publication.job, {})[publication.name] = 1.0
            self._change(publication.job, {"progress": self._progress(self._jobs[publication.job])})

    def _job_moved(self, job: Job) -> None:
        if "upload_id" not in job.facts:
            return
        self._jobs[job.id] = job
        if job.state in _FAILED_ENDS:
            sentence = job.reason or "A person stopped it."
            self._change(job.id, upload_failed(_CODES[job.state], sentence, self._context.tools.clock.now()))
        elif job.state is State.PUBLISHED:
            # The publisher wrote the end into its documents, together with the tasks.
            for known in (self._jobs, self._parts, self._due):
                known.pop(job.id, None)
        elif job.state is not State.HELD:
            self._change(job.id, {"status": 0, "errorMessage": {}, "progress": self._progress(job)})

    def _progress(self, job: Job) -> int:
        """Percent, from the steps and the file publishers; after a restart, parts count from their next event on."""
        kinds = _COUNTED_STEPS[1:] if job.facts.get("request_type") == ONLY_BOXES else _COUNTED_STEPS
        if not job.facts.get("auto_anno_version"):
            kinds = _COUNTED_STEPS[:1]
        steps = [row["name"] for row in job.settings.get("steps", ()) if row["kind"] in kinds]
        files = [row["name"] for row in job.settings.get("publish", ()) if row["kind"] != _KIND]
        done = dict.fromkeys(steps, 1.0) if job.state is State.PUBLISHING else {}
        return progress_of({**self._parts.get(job.id, {}), **done}, [*steps, *files])

    def _change(self, job: str, changes: dict[str, Any]) -> None:
        known = self._due.setdefault(job, {})
        if known.get("status") == UPLOAD_FAILED and "status" not in changes:
            return
        known.update(changes)
        self._wake.set()

    async def _write(self) -> None:
        self._wake.clear()
        due, self._due = self._due, {}
        try:
            while due:
                job, changes = next(iter(due.items()))
                if job in self._jobs:
                    await self._database.update_upload(str(self._jobs[job].facts["upload_id"]), job, changes)
                del due[job]
        except RetryLater as fault:
            # The changes since then are newer.
            self._due = {**due, **self._due}
            self._context.mark_down(fault.sentence)
            self._wake.set()
            await self._context.tools.clock.sleep(_RETRY_AFTER)
            return
        self._context.mark_up()

"""Keeps the documents of uploads in step with their jobs: progress as it happens, and what became of those that failed.

Level-triggered: what could not be written is written later, as it is then; and at the start all jobs that are not
published are gone through once.
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

    from vidd.integrations.annotation_service.database import AnnotationBase
    from vidd.model.event import Event
    from vidd.model.job import Job
    from vidd.model.publication import Publication
    from vidd.ports import SourceContext

_COUNT = ("frames", "annotate")
_ENDS = FAILED | {State.CANCELLED}
_KIND = "mongo_tasks"
_AGAIN = 5.0
# error_code: the input or the settings, nobody knows, a person stopped it, the documents could not be written.
_CODES = {State.REFUSED: 1, State.UNSURE: 2, State.CANCELLED: 3}
_NOT_WRITTEN = 4


class Mirror:
    """One source's uploads. `every` is the least time between two rounds (seconds)."""

    def __init__(self, base: AnnotationBase, context: SourceContext, every: float) -> None:
        self._base, self._context, self._every = base, context, every
        self._jobs: dict[str, Job] = {}
        self._parts: dict[str, dict[str, float]] = {}
        self._due: dict[str, dict[str, Any]] = {}
        self._wake = asyncio.Event()

    async def run(self, take_up: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled; `take_up` first looks for what was left by others, and again when somebody asks to look."""
        with self._context.listen(self._note):
            for job in await self._context.unsettled():
                self._moved(job)
            await take_up()
            self._context.up()
            self._context.caught_up()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._asked(take_up))
                while True:
                    await self._wake.wait()
                    await self._tell()
                    await self._context.tools.clock.sleep(self._every)

    async def _asked(self, take_up: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._context.pause(3600.0)
            await take_up()
            self._context.caught_up()

    def _note(self, event: Event) -> None:
        match event:
            case JobMoved() if event.job.source == self._context.name:
                self._moved(event.job)
            case Progressed() if event.job in self._jobs and event.fraction is not None:
                self._parts.setdefault(event.job, {})[event.part] = event.fraction
                self._say(event.job, {"progress": self._progress(self._jobs[event.job])})
            case PublicationMoved() if event.publication.job in self._jobs:
                self._published(event.publication)
            case _:
                pass

    def _published(self, one: Publication) -> None:
        if one.kind == _KIND and one.state in {PublicationState.REFUSED, PublicationState.UNSURE}:
            self._say(one.job, upload_failed(_NOT_WRITTEN, one.reason or "", self._context.tools.clock.now()))
        elif one.kind != _KIND and one.state is PublicationState.DONE:
            self._parts.setdefault(one.job, {})[one.name] = 1.0
            self._say(one.job, {"progress": self._progress(self._jobs[one.job])})

    def _moved(self, job: Job) -> None:
        if "upload_id" not in job.facts:
            return
        self._jobs[job.id] = job
        if job.state in _ENDS:
            sentence = job.reason or "A person stopped it."
            self._say(job.id, upload_failed(_CODES[job.state], sentence, self._context.tools.clock.now()))
        elif job.state is State.PUBLISHED:
            # Its documents were told of all together, by the publisher.
            for known in (self._jobs, self._parts, self._due):
                known.pop(job.id, None)
        elif job.state is not State.HELD:
            self._say(job.id, {"status": 0, "errorMessage": None, "progress": self._progress(job)})

    def _progress(self, job: Job) -> int:
        """How far the steps and the files are that count; of what was not heard of since the start, nothing is known."""
        kinds = _COUNT[1:] if job.facts.get("request_type") == ONLY_BOXES else _COUNT
        if not job.facts.get("auto_anno_version"):
            kinds = _COUNT[:1]
        steps = [row["name"] for row in job.settings.get("steps", ()) if row["kind"] in kinds]
        files = [row["name"] for row in job.settings.get("publish", ()) if row["kind"] != _KIND]
        done = dict.fromkeys(steps, 1.0) if job.state is State.PUBLISHING else {}
        return progress_of({**self._parts.get(job.id, {}), **done}, [*steps, *files])

    def _say(self, job: str, changes: dict[str, Any]) -> None:
        known = self._due.setdefault(job, {})
        if known.get("status") == UPLOAD_FAILED and "status" not in changes:
            return
        known.update(changes)
        self._wake.set()

    async def _tell(self) -> None:
        self._wake.clear()
        due, self._due = self._due, {}
        try:
            while due:
                job, changes = next(iter(due.items()))
                if job in self._jobs:
                    await self._base.tell(str(self._jobs[job].facts["upload_id"]), job, changes)
                del due[job]
        except RetryLater as fault:
            # What was said meanwhile is newer.
            self._due = {**due, **self._due}
            self._context.down(fault.sentence)
            self._wake.set()
            await self._context.tools.clock.sleep(_AGAIN)
            return
        self._context.up()

"""Publishes tasks to the annotation service: documents in MongoDB that its front end reads, all of an upload at once.

It runs last: the receipt of the publisher that sent the tree of tasks tells the addresses of videos and images. Frames are
written first, while no task refers to them; then the tasks, the upload's completion and the project change in one
transaction. For request type 2 only boxes are written, into the existing frames; boxes of people stay. An attempt that fails
because MongoDB is away does not count.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from pydantic import Field

from vidd.aio.bounded import gather_bounded
from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.annotation_service import kept_work
from vidd.integrations.annotation_service.database import (
    AnnotationDatabase,
    DetectedFrame,
    Replacement,
    annotation_database,
    key,
)
from vidd.integrations.annotation_service.documents import (
    ONLY_BOXES,
    OURS,
    FilePlace,
    Request,
    as_number,
    frame_document,
    id_of,
    own_values,
    task_document,
    task_id,
    task_number,
    upload_done,
)
from vidd.integrations.annotation_service.frames import UploadFrame, UploadTask, iterate_in_thread, read_tasks
from vidd.integrations.mongodb.account import Account
from vidd.model.frame_manifest import Task, TaskList
from vidd.model.publication import Receipt
from vidd.model.rework import edition_of
from vidd.model.task_video import task_videos
from vidd.settings.marks import AccountOf, Role
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from vidd.ports import PublishContext, Tools


_log = structlog.get_logger()
_RETRY_AFTER = 5.0
_AT_ONCE = 2


class Options(Base):
    """Settings of a publisher of kind `mongo_tasks`."""

    account: Annotated[str, AccountOf("mongodb")] = Field(
        description="The account of kind mongodb whose database the front end reads."
    )
    files: str = Field(
        "", description="The publisher that sent the tasks, by its name; unset: the first that sent a tree."
    )
    tree: Annotated[str, Role()] = Field("tasks", description="Role of the tree of tasks.")
    manifest: Annotated[str, Role()] = Field("manifest", description="Role of the manifest.")
    task_list: Annotated[str, Role()] = Field("task_list", description="Role of the list of tasks.")
    annotations: str = Field("annotations", description="Role of the boxes, where a step found some.")
    addresses: Literal["keys", "web"] = Field(
        "keys",
        description="What documents say of videos and images: their keys in the bucket, which the back end signs, or web"
        " addresses. Files in no bucket have web addresses.",
    )

    def labels_named(self) -> dict[tuple[str, ...], str]:
        """The named publisher, by the option that names it."""
        return {("files",): self.files} if self.files else {}


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Write the documents. Refused where the job is no call of the service, or its files were not published.

    The token holds the replaced tasks, whose frames are deleted once no task refers to them.
    """
    async with _writing(options, context) as writing:
        return await writing.publish()


async def allow(options: Options, context: PublishContext) -> None:
    """Check that the documents may be written, before videos and images are replaced.

    Refused where a newer job works on the upload; and for a later revision whose tasks differ, where people have worked on
    the existing ones.
    """
    async with _writing(options, context) as writing:
        await writing.allow(is_rework=edition_of(context.job) > 1)


async def replace_files(options: Options, context: PublishContext) -> Receipt:
    """Replace the documents of the revision before; tasks that have the same frames stay, and get the new boxes."""
    # Until the replacement is done, the publication stays in the state of the revision before.
    async with _writing(options, replace(context, sent=context.checkpoint)) as writing:
        return await writing.replace()


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt, where the upload says that it holds this revision of the job."""
    async with _writing(options, context) as writing:
        return await writing.reconcile()


@asynccontextmanager
async def _writing(options: Options, context: PublishContext) -> AsyncIterator[_Writing]:
    request = _request(context)
    listed = TaskList.from_json(json.loads(await in_thread(_file(options.task_list, context).read_text)))
    with _uncounted():
        async with annotation_database(context.tools.account(options.account, Account), options.account) as database:
            yield _Writing(options, context, database, request, listed)


@contextmanager
def _uncounted() -> Iterator[None]:
    """While MongoDB is away, attempts do not count."""
    try:
        yield
    except RetryLater as fault:
        after = fault.after or _RETRY_AFTER
        raise RetryLater(fault.sentence, after=after, counts=False, code=fault.code) from fault


@dataclass(frozen=True)
class _Writing:
    """Writes the documents of one job."""

    options: Options
    context: PublishContext
    database: AnnotationDatabase
    request: Request
    listed: TaskList

    async def publish(self) -> Receipt:
        """Write the tasks, or the boxes alone."""
        await self.database.create_indexes()
        if self.request.kind == ONLY_BOXES:
            await self._put_boxes()
        else:
            await self._put_tasks()
        return await self._receipt()

    async def replace(self) -> Receipt:
        """The same; tasks that have the same frames stay, and only their boxes change."""
        if (receipt := await self.reconcile()) is not None:
            return receipt
        if self.request.kind == ONLY_BOXES or not await self._has_same_tasks():
            return await self.publish()
        await self._put_boxes()
        return await self._receipt()

    async def allow(self, *, is_rework: bool) -> None:
        """Refused where the documents could not be written, or a rework would delete the work of people."""
        upload = await self.database.upload(str(self.request.upload))
        own = own_values(upload)
        if own.get("done") == self.request.job:
            return
        if upload is None or str(own.get("job") or "") > self.context.job.id:
            raise Refused(
                "The upload is gone, or a newer job works on it: nothing of this job was sent.", code=FaultCode.CONFLICT
            )
        if (other := own.get("replaced")) is not None:
            raise Refused(
                f"The tasks of the upload {other} have replaced those of this one: nothing of this job was sent.",
                code=FaultCode.CONFLICT,
            )
        if not is_rework or self.request.kind == ONLY_BOXES or await self._has_same_tasks():
            return
        if await self.database.has_work(str(self.request.upload)):
            raise Refused(
                "People have worked on the tasks of this upload, and other tasks would replace them: undo the rework "
                "(vidd rework --undo), or send the call again with force_write 1.",
                code=FaultCode.CONFLICT,
            )

    async def _has_same_tasks(self) -> bool:
        """Whether the upload's tasks have the same frames as this job's."""
        existing = await self.database.tasks(str(self.request.upload))
        found = [
            (task.get("taskName"), *(as_number(task.get(name)) for name in ("frameStart", "frameEnd", "frameCount")))
            for task in existing
            if not self._is_finished(task)
        ]
        return found == [(task.name, task.first + 1, task.last + 1, task.frames) for task in self.listed.tasks]

    async def reconcile(self) -> Receipt | None:
        """The receipt, where the documents are written. Deletes the frames of replaced tasks."""
        upload = await self.database.upload(str(self.request.upload))
        # The status may have changed since. Writing the frames again would delete what people have drawn in them.
        if upload is None or own_values(upload).get("done") != self.request.job:
            return None
        await self.database.delete_frames([key(task) for task in self.context.publication.token.get("old", ())])
        return await self._receipt()

    async def _receipt(self) -> Receipt:
        listed = self.listed
        facts = {"tasks": len(listed.tasks), "frames": listed.frames, "upload": str(self.request.upload)}
        kept = await in_thread(kept_work.describe, self._kept_path)
        return Receipt(facts=facts if kept is None else {**facts, "kept": kept})

    @property
    def _kept_path(self) -> Path:
        return self.context.tools.path(kept_work.DIRECTORY) / f"{self.request.job.replace(':', '-')}.jsonl"

    @property
    def _uploads(self) -> Sequence[str]:
        """The upload, and those of the same video that the call replaces."""
        return str(self.request.upload), *self.context.job.facts.get("replaces", ())

    @property
    def _changes(self) -> dict[str, Any]:
        done = upload_done(self.request, self.listed, self.context.tools.clock.now())
        if "frame_rate" in done:
            # The upload says what was asked for, its tasks what they have.
            done["frame_rate"] = self.context.facts.get("frame_rate", self.listed.rate)
        return {**done, f"{OURS}.job": self.context.job.id, f"{OURS}.done": self.request.job}

    def _read_tasks(self) -> Generator[UploadTask, None, None]:
        options, context = self.options, self.context
        tree = context.directory / context.choose([options.tree], trees=True)[0].path
        boxes = _file(options.annotations, context) if options.annotations in context.artifacts else None
        return read_tasks(self.listed, _file(options.manifest, context), boxes, tree)

    def _report(self, done: int) -> None:
        self.context.progress(float(done), float(self.listed.frames), "frames", None)

    def _frame(self, task: Any, row: UploadTask, frame: UploadFrame, place: FilePlace) -> dict[str, Any]:
        image, thumbnail = place.find(frame.image), place.find(frame.thumbnail)
        document = frame_document(task, frame.sample, frame.boxes, image=image, thumbnail=thumbnail)
        return {"_id": key(id_of(self.request.job, row.task.number, frame.sample.index)), **document}

    async def _put_tasks(self) -> None:
        database, request, token = self.database, self.request, self.context.publication.token
        own = {self._task_id(task.number) for task in self.listed.tasks}
        existing = await database.tasks(*self._uploads)
        # An attempt that was interrupted wrote them, and people may have begun with them.
        kept = [task["_id"] for task in existing if task["_id"] in own or self._is_finished(task)]
        old = [task for task in existing if task["_id"] not in kept]
        tasks = await self._put_frames(_place(self.options, self.context), frozenset(kept))
        await self._keep_work(old)
        gone = dict.fromkeys([*token.get("old", ()), *(str(task["_id"]) for task in old)])
        await self.context.sent({"old": list(gone)})
        upload, *replaced = self._uploads
        replacement = Replacement(upload, str(request.project), tasks, kept, replaced)
        try:
            await database.put_upload(replacement, self._changes)
        except Refused:
            shown = await database.task_ids(upload)
            await database.delete_frames([task["_id"] for task in tasks if task["_id"] not in shown])
            raise
        await database.delete_frames([key(task) for task in gone])

    def _task_id(self, number: int) -> Any:
        return key(task_id(self.request.job, self.context.job.created, number))

    def _is_finished(self, task: Mapping[str, Any]) -> bool:
        """Whether another system finished it: such tasks stay as they are."""
        return OURS not in task and task_number(task) < self.listed.first

    async def _keep_work(self, old: Sequence[dict[str, Any]]) -> None:
        """Keep what people did in tasks that are to be replaced."""
        tasks, frames = await self.database.work_of(old)
        if tasks or frames:
            await in_thread(kept_work.keep, self._kept_path, tasks, frames)
            kept = await in_thread(kept_work.describe, self._kept_path)
            _log.warning("work of people replaced", job=self.context.job.id, kept=kept)

    async def _put_frames(self, place: FilePlace, kept: AbstractSet[Any]) -> list[dict[str, Any]]:
        """Write the frames of all tasks but those `kept`; returns the documents of their tasks."""
        request, now, reading = self.request, self.context.tools.clock.now(), asyncio.Lock()
        tasks, done = dict[int, dict[str, Any]](), 0

        async def put(_: Task) -> None:
            nonlocal done
            async with reading:
                row = await in_thread(next, rows, None)
            if row is None:
                return  # the other reader met a fault
            task = self._task_id(row.task.number)
            if task in kept:
                return
            await self.database.put_frames([self._frame(task, row, frame, place) for frame in row.frames])
            samples = [frame.sample for frame in row.frames]
            document = task_document(request, self.listed, row.task, samples, place=place, now=now)
            tasks[row.task.number] = {"_id": task, **document}
            done += len(row.frames)
            self._report(done)

        with closing(self._read_tasks()) as rows:
            # While MongoDB writes the frames of one task, those of the next are prepared.
            await gather_bounded(_AT_ONCE, self.listed.tasks, put)
            # Only the end of the files tells whether they match.
            await in_thread(next, rows, None)
        return [tasks[number] for number in sorted(tasks)]

    async def _put_boxes(self) -> None:
        request, database = self.request, self.database
        existing = self._by_name(await database.tasks(str(request.upload)))
        missing = [task.name for task in self.listed.tasks if task.name not in existing]
        if missing:
            raise Refused(
                f"The upload has no task {missing[0]!r}, so its tasks are of another recording or frame rate: ask for tasks and"
                " annotations (request type 1)."
            )
        await self.context.sent({})
        async with aclosing(self._detected_frames(existing, _place(self.options, self.context))) as tasks:
            await database.put_boxes(str(request.upload), str(request.project), tasks, self._changes, request.version)

    def _by_name(self, tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The ids of tasks by the names that the files of this job have for them."""
        names = {video.task: video.name for video in task_videos(self.context.job.facts)}
        return {names.get(str(task["_id"]), str(task.get("taskName"))): task["_id"] for task in tasks}

    async def _detected_frames(
        self, existing: Mapping[str, Any], place: FilePlace
    ) -> AsyncGenerator[tuple[Any, Sequence[DetectedFrame]], None]:
        done = 0
        async with aclosing(iterate_in_thread(self._read_tasks())) as rows:
            async for row in rows:
                task = existing[row.task.name]
                frames = [
                    DetectedFrame(frame.sample.index, frame.boxes, self._frame(task, row, frame, place))
                    for frame in row.frames
                ]
                yield task, frames
                done += len(frames)
                self._report(done)


async def check(options: Options, tools: Tools) -> str:
    """Ask the database."""
    async with annotation_database(tools.account(options.account, Account), options.account) as database:
        note = await database.check()
    return f"The database of the annotation service can be read. {note}".rstrip()


def _request(context: PublishContext) -> Request:
    facts = context.job.facts
    try:
        return Request(
            _document_seed(context),
            key(str(facts["project_id"])),
            key(str(facts["upload_id"])),
            int(facts.get("request_type", 0)),
            int(context.facts.get("annotator") or facts.get("auto_anno_version", 0)),
        )
    except (KeyError, TypeError, ValueError):
        raise Refused(
            "This job is no call of the annotation service, so there is no upload to write: "
            "send it by processContent, or remove mongo_tasks from the pipeline."
        ) from None


def _document_seed(context: PublishContext) -> str:
    """What ids are made of: each revision of a job has its own documents, so that nobody sees a half-written one."""
    revision = edition_of(context.job)
    return context.job.id if revision == 1 else f"{context.job.id}:{revision}"


def _file(role: str, context: PublishContext) -> Path:
    (artifact,) = context.choose([role])
    return context.directory / artifact.path


def _place(options: Options, context: PublishContext) -> FilePlace:
    """Where the files of the tree are, from the receipt of the publisher that sent it."""
    receipts = context.receipts
    if options.files:
        receipts = {name: receipt for name, receipt in receipts.items() if name == options.files}
    for receipt in receipts.values():
        for artifact in (*receipt.facts.get("trees", ()), *receipt.facts.get("files", ())):
            if artifact.get("role") == options.tree and (url := artifact.get("url") or receipt.url):
                prefix = artifact.get("prefix") if options.addresses == "keys" else None
                return FilePlace(prefix, f"{url.rstrip('/')}/")
    names = ", ".join(context.receipts) or "none"
    raise Refused(
        f"No publisher has sent the tasks (the job has {names}): publish the tree {options.tree!r} first.",
        code=FaultCode.BAD_SETTINGS,
    )

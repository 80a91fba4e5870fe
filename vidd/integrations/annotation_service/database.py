"""Reads and writes the annotation service's uploads, projects, tasks and frames in MongoDB; every write may be repeated.

The ids of a job's documents follow from the job's id, so that a repeated write replaces the same documents. Frames are
found only through their task, so they are written first; then the tasks, the upload's status and the project's list change
in one transaction. A server that is no replica set has none: there one command inserts all tasks, and the upload's status
comes last.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from bson import ObjectId
from pymongo import ASCENDING, ReplaceOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.annotation_service.documents import (
    FAILED,
    FRAMES,
    FRAMES_BY_TASK,
    OURS,
    PROJECTS,
    TASKS,
    UNDER_WAY,
    UPLOADS,
    as_number,
    box_digest,
    task_number,
    upload_failed,
)
from vidd.integrations.annotation_service.work import (
    frame_has_work,
    is_called_empty,
    merge_boxes,
    task_has_work,
)
from vidd.integrations.mongodb.account import SINGLE_SERVER, Account, database, has_transactions
from vidd.integrations.mongodb.errors import DUPLICATE, NoTransactions, map_errors
from vidd.model.frame_manifest import task_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from vidd.integrations.mongodb.account import Database, Document

_BATCH = 1000
_ROUNDS = 5
BAD_CALL = 1
"""The error_code of a declined call; that of a refused input is the same."""
_JOB = f"{OURS}.job"
_CONTENT = f"{OURS}.delete"
# Without these a transaction would use the concerns of the client, not those of the database.
_CONCERNS = (ReadConcern("snapshot"), WriteConcern("majority", j=True))


def key(text: str) -> Any:
    """An id as the database has it: 24 hexadecimal digits are an ObjectId, anything else is text."""
    return ObjectId(text) if ObjectId.is_valid(text) else text


class DetectedFrame(NamedTuple):
    """The boxes that a detector found in a frame; `document` is the frame's, in case it does not exist yet."""

    number: int
    found: Sequence[Mapping[str, Any]]
    document: Document


def _box_write(frame: DetectedFrame, known: Document | None) -> ReplaceOne[Document] | UpdateOne | None:
    """The write that puts the boxes into a `known` or a new frame; None where nothing changes."""
    if known is None:
        return ReplaceOne({"_id": frame.document["_id"]}, frame.document, upsert=True)
    # A frame that people called empty stays empty.
    if is_called_empty(known):
        return None
    try:
        boxes = merge_boxes(known, frame.found)
    except ValueError as error:
        raise Refused(
            f"Frame {frame.number} of the task {known.get('taskId')} cannot get boxes ({error}): correct it."
        ) from None
    if boxes == list(known.get("boxes") or ()):
        return None
    found = [box_digest(box) for box in boxes[len(boxes) - len(frame.found) :]]
    # What people saved since must not be lost.
    unchanged = {name: known.get(name) for name in ("_id", "boxes", "isEmpty", "updatedAt")}
    return UpdateOne(unchanged, {"$set": {"boxes": boxes, f"{OURS}.found": found}})


@dataclass(frozen=True)
class Replacement:
    """The new `tasks` of an upload. Those that it and the `uploads` of the same video have, but `kept`, are replaced."""

    upload: str
    project: str
    tasks: Sequence[Document]
    kept: Sequence[Any] = ()
    uploads: Sequence[str] = ()

    @property
    def old(self) -> Document:
        """What finds the tasks to replace."""
        kept = [*self.kept, *(task["_id"] for task in self.tasks)]
        return {"uploadId": {"$in": list(map(key, (self.upload, *self.uploads)))}, "_id": {"$nin": kept}}


@dataclass(frozen=True)
class _Upload:
    upload: str
    project: str
    changes: Mapping[str, Any]


class AnnotationDatabase:
    """The database of one account, whose name is `name`. Every call may raise the faults of `map_errors`."""

    def __init__(self, db: Database, name: str) -> None:
        self._db, self._name = db, name

    async def create_indexes(self) -> None:
        """Create the indexes by which frames are found by their task, tasks by their upload, and uploads by their status."""
        with map_errors("creating the indexes", self._name):
            await self._db[FRAMES].create_index(FRAMES_BY_TASK)
            await self._db[TASKS].create_index([("uploadId", ASCENDING)])
            await self._db[UPLOADS].create_index([("status", ASCENDING)])

    async def upload(self, upload: str) -> Document | None:
        """An AnnotationContentUpload; None where there is none."""
        with map_errors("reading an upload", self._name):
            return await self._db[UPLOADS].find_one({"_id": key(upload)})

    async def project(self, project: str) -> Document | None:
        """The id of an AnnotationProject; None where there is none."""
        with map_errors("reading a project", self._name):
            return await self._db[PROJECTS].find_one({"_id": key(project)}, {"_id": 1})

    async def tasks(self, *uploads: str) -> list[Document]:
        """The tasks of uploads, in their order."""
        with map_errors("reading tasks", self._name):
            found = await self._db[TASKS].find({"uploadId": {"$in": list(map(key, uploads))}}).to_list(None)
        return sorted(found, key=lambda task: (task_number(task), as_number(task.get("frameStart")) or 0.0))

    async def task_ids(self, upload: str) -> list[Any]:
        """The ids of an upload's tasks."""
        with map_errors("reading tasks", self._name):
            return [document["_id"] async for document in self._db[TASKS].find({"uploadId": key(upload)}, {"_id": 1})]

    async def has_other_owner(self, uploads: Sequence[str], directory: str, name: str) -> bool:
        """Whether another upload than these has, or will have, files of this name in this directory of the store."""
        others = {"$nin": list(map(key, uploads))}
        with map_errors("looking for the owner of files", self._name):
            if await self._db[UPLOADS].find_one({"_id": others, f"{OURS}.shelf": f"{directory}/{name}"}, {"_id": 1}):
                return True
            first = task_name(0, name)
            async for document in self._db[TASKS].find({"taskName": first, "uploadId": others}, {"S3_url": 1}):
                # A key, or an address, in which the key is quoted.
                place = str(document.get("S3_url") or "")
                if any(f"/{directory}/{first}/" in f"/{text}" for text in (place, unquote(place))):
                    return True
        return False

    async def has_work(self, upload: str) -> bool:
        """Whether people have worked on its tasks or their frames."""
        with map_errors("looking for the work of people", self._name):
            tasks = await self._db[TASKS].find({"uploadId": key(upload)}).to_list(None)
            if any(task_has_work(task) for task in tasks):
                return True
            # Other systems write what they like, so that only Python can tell.
            frames = {"taskId": {"$in": [task["_id"] for task in tasks]}}
            async for frame in self._db[FRAMES].find(frames):
                if frame_has_work(frame):
                    return True
        return False

    async def work_of(self, tasks: Sequence[Document]) -> tuple[list[Document], list[Document]]:
        """The tasks among these that people have worked on, and the frames."""
        with map_errors("looking for the work of people", self._name):
            found = self._db[FRAMES].find({"taskId": {"$in": [task["_id"] for task in tasks]}})
            frames = [frame async for frame in found if frame_has_work(frame)]
        owners = {frame.get("taskId") for frame in frames}
        return [task for task in tasks if task["_id"] in owners or task_has_work(task)], frames

    async def finished_tasks(self, upload: str, per_task: int) -> tuple[int, int]:
        """How many tasks of `per_task` frames another system finished before it was ended, and up to which source frame."""
        count = frames = 0
        for task in await self.tasks(upload):
            last = as_number(task.get("frameEnd"))
            is_whole = last is not None and last > frames and bool(task.get("S3_url"))
            if (
                OURS in task
                or task_number(task) != count
                or as_number(task.get("frameCount")) != per_task
                or not is_whole
            ):
                break
            with map_errors("counting frames", self._name):
                if await self._db[FRAMES].count_documents({"taskId": task["_id"]}) != per_task:
                    break
            count, frames = count + 1, int(last or 0)
        return count, frames

    async def uploads_of(self, project: str) -> list[Document]:
        """The ids and paths of a project's uploads."""
        with map_errors("reading the uploads of a project", self._name):
            found = self._db[UPLOADS].find({"projectId": key(project)}, {"sourceFilePath": 1})
            return await found.to_list(None)

    async def begin_upload(self, upload: str, job: str, path: str, own: Mapping[str, Any], now: datetime) -> None:
        """Mark an upload as worked on by this job; `own` are the values that vidd keeps in its document."""
        changes = {
            "status": UNDER_WAY,
            "progress": 0,
            "errorMessage": {},
            "sourceFilePath": path,
            _JOB: job,
            f"{OURS}.replaced": None,
            **{f"{OURS}.{name}": value for name, value in own.items()},
        }
        with map_errors("marking an upload as begun", self._name):
            await self._db[UPLOADS].update_one(
                {"_id": key(upload)}, {"$set": changes, "$min": {"createdAt": now}, "$unset": {"finishedAt": ""}}
            )

    async def decline_upload(self, upload: str, code: int, sentence: str, now: datetime) -> None:
        """Write into an upload why its call was declined, unless it has tasks or a job works on it."""
        untouched = {"status": {"$in": [UNDER_WAY, None]}, _JOB: None}
        writable = {"_id": key(upload), "$or": [untouched, {"status": FAILED}]}
        with map_errors("writing why a call was declined", self._name):
            if await self._db[TASKS].find_one({"uploadId": key(upload)}, {"_id": 1}) is None:
                changes = upload_failed(code, sentence, now)
                await self._db[UPLOADS].update_one(writable, {"$set": changes})

    async def update_upload(self, upload: str, job: str, changes: Mapping[str, Any]) -> None:
        """Write a job's state into its upload, unless a newer job owns the upload or this one has finished it.

        Ids of jobs grow with time; a newer job takes the upload over from an older one with its first write.
        """
        newly = {"_id": key(upload), "$or": [{_JOB: None}, {_JOB: {"$lt": job}}]}
        own = {"_id": key(upload), _JOB: job, "status": {"$in": [UNDER_WAY, FAILED, None]}}
        rest = {name: value for name, value in changes.items() if name != "progress"}
        # After a restart vidd does not know the progress of earlier steps, and the progress of one job must not fall.
        grown = {"$max": {"progress": changes["progress"]}} if "progress" in changes else {}
        with map_errors("writing the state of an upload", self._name):
            uploads = self._db[UPLOADS]
            taken = await uploads.update_one(newly, {"$set": {**changes, _JOB: job}})
            if not taken.matched_count:
                await uploads.update_one(own, {"$set": {**rest, _JOB: job}, **grown})

    async def unfinished_uploads(self, home: str) -> AsyncIterator[Document]:
        """The uploads under way that no vidd has marked as its own, or the vidd of this `home` has."""
        with map_errors("looking for unfinished uploads", self._name):
            unfinished = {"status": UNDER_WAY, "$or": [{OURS: None}, {f"{OURS}.home": home}]}
            async for document in self._db[UPLOADS].find(unfinished):
                yield document

    async def mark_content(self, upload: str, job: str, fingerprint: str) -> None:
        """Note in an upload that the content of its job is to be deleted."""
        with map_errors("marking the content of an upload", self._name):
            own = {"_id": key(upload), _JOB: {"$in": [job, None]}}
            await self._db[UPLOADS].update_one(own, {"$set": {_JOB: job, _CONTENT: fingerprint}})

    async def unmark_content(self, upload: str, job: str) -> None:
        """Note in an upload that nothing is to be deleted any more, unless a newer job has it."""
        with map_errors("unmarking the content of an upload", self._name):
            await self._db[UPLOADS].update_one({"_id": key(upload), _JOB: job}, {"$unset": {_CONTENT: ""}})

    async def content_to_delete(self) -> list[tuple[str, str]]:
        """The ids of the uploads whose content is to be deleted, and of their jobs."""
        with map_errors("looking for content to delete", self._name):
            found = self._db[UPLOADS].find({_CONTENT: {"$ne": None}}, {_JOB: 1})
            return [(str(upload["_id"]), str(upload[OURS].get("job"))) async for upload in found]

    async def put_frames(self, frames: Iterable[Document]) -> None:
        """Write frames by their `_id`; existing ones are replaced."""
        with map_errors("writing frames", self._name):
            for batch in _batches(frames):
                try:
                    await self._db[FRAMES].insert_many(batch, ordered=False)
                except BulkWriteError as error:
                    if any(write_error["code"] not in DUPLICATE for write_error in error.details["writeErrors"]):
                        raise
                    # An earlier attempt wrote them. Deleting is faster than replacing one by one.
                    await self._db[FRAMES].delete_many({"_id": {"$in": [frame["_id"] for frame in batch]}})
                    await self._db[FRAMES].insert_many(batch, ordered=False)

    async def put_upload(self, replacement: Replacement, changes: Mapping[str, Any]) -> None:
        """Replace an upload's tasks, and write its and its project's changes: in one transaction, or in an order.

        Refused where a newer job works on the upload; then nothing was written.
        """

        async def write(session: Any) -> None:
            await self._db[TASKS].delete_many(replacement.old, session=session)
            if replacement.tasks:
                # One command, so that nobody who ends vidd ends it half-way.
                await self._db[TASKS].insert_many(replacement.tasks, session=session)
            if replacement.uploads:
                replaced = {"taskCount": 0, f"{OURS}.replaced": replacement.upload}
                uploads = {"_id": {"$in": list(map(key, replacement.uploads))}}
                await self._db[UPLOADS].update_many(uploads, {"$set": replaced}, session=session)

        async def undo() -> None:
            await self._db[TASKS].delete_many({"_id": {"$in": [task["_id"] for task in replacement.tasks]}})

        await self._write_all(
            "writing the tasks", _Upload(replacement.upload, replacement.project, changes), write, undo
        )

    async def put_boxes(
        self,
        upload: str,
        project: str,
        tasks: AsyncIterator[tuple[Any, Sequence[DetectedFrame]]],
        changes: Mapping[str, Any],
        version: int,
    ) -> None:
        """Write the boxes that a detector found into the frames of these tasks, as `put_upload`; those of people stay."""

        async def write(session: Any) -> None:
            async for task, frames in tasks:
                await self._put_boxes(task, frames, session)
            await self._db[TASKS].update_many(
                {"uploadId": key(upload)}, {"$set": {"AutoAnnotationVersion": version}}, session=session
            )

        await self._write_all("writing the boxes", _Upload(upload, project, changes), write)

    async def _put_boxes(self, task: Any, frames: Sequence[DetectedFrame], session: Any) -> None:
        """Write the boxes of a task. What people save meanwhile is read again first."""
        for _ in range(_ROUNDS):
            known = {
                as_number(document["frameId"]): document
                async for document in self._db[FRAMES].find(
                    {"taskId": task, "frameId": {"$exists": True}},
                    dict.fromkeys(("frameId", "taskId", "boxes", "isEmpty", "updatedAt", OURS), 1),
                    session=session,
                )
            }
            writes = [write for frame in frames if (write := _box_write(frame, known.get(frame.number))) is not None]
            if not writes:
                return
            done = await self._db[FRAMES].bulk_write(writes, ordered=False, session=session)
            if done.matched_count + done.upserted_count == len(writes):
                return
        raise RetryLater(f"People work on the frames of the task {task}; vidd will retry.", code=FaultCode.BUSY)

    async def _write_all(
        self,
        doing: str,
        target: _Upload,
        write: Callable[[Any], Awaitable[None]],
        undo: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Write the documents and the end of the upload; `undo` takes back what was written where the end is refused.

        In a transaction where the server has them. Otherwise the upload's end comes last, and each write may be repeated.
        """
        with map_errors(doing, self._name):
            if await has_transactions(self._db):
                with suppress(NoTransactions):
                    async with self._transaction(doing) as session:
                        # First, so that a newer job is noticed before thousands of documents are written.
                        await self._finish(target, session)
                        await write(session)
                    return
            await self._change_upload(target, {_JOB: target.changes[_JOB]}, None)
            await write(None)
            try:
                await self._finish(target, None)
            except Refused:
                if undo is not None:
                    await undo()
                raise

    async def _finish(self, target: _Upload, session: Any) -> None:
        project = {"_id": key(target.project)}
        await self._db[PROJECTS].update_one(
            project, {"$addToSet": {"contentUploads": key(target.upload)}}, session=session
        )
        await self._change_upload(target, target.changes, session)

    async def _change_upload(self, target: _Upload, changes: Mapping[str, Any], session: Any) -> None:
        writable = {"_id": key(target.upload), "$or": [{_JOB: None}, {_JOB: {"$lte": target.changes[_JOB]}}]}
        if not (await self._db[UPLOADS].update_one(writable, {"$set": dict(changes)}, session=session)).matched_count:
            raise Refused(
                "The upload is gone, or a newer job works on it: nothing of this job was written.",
                code=FaultCode.CONFLICT,
            )

    async def delete_frames(self, tasks: Sequence[Any]) -> None:
        """Delete the frames of tasks that no longer exist."""
        with map_errors("deleting old frames", self._name):
            await self._db[FRAMES].delete_many({"taskId": {"$in": list(tasks)}})

    async def check(self) -> str:
        """Ask the database; a note about what it lacks, or ""."""
        await self.project("0")
        with map_errors("asking what the server is", self._name):
            return "" if await has_transactions(self._db) else SINGLE_SERVER

    @asynccontextmanager
    async def _transaction(self, doing: str) -> AsyncIterator[Any]:
        with map_errors(doing, self._name):
            async with await self._db.client.start_session() as session, session.start_transaction(*_CONCERNS):
                yield session


@asynccontextmanager
async def annotation_database(account: Account, name: str) -> AsyncIterator[AnnotationDatabase]:
    """The database of an account, through a connection of its own."""
    async with database(account, name) as db:
        yield AnnotationDatabase(db, name)


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    remaining = iter(documents)
    while batch := list(islice(remaining, _BATCH)):
        yield batch

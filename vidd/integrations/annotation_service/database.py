"""The database of an annotation service: uploads, projects, tasks and frames, read and written so that they may be repeated.

Whatever belongs to a job has ids that follow from the job's, so that writing it again writes the same. Frames are seen by
who knows their task, so they go first; tasks, the upload's status and the project's list change in one transaction.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from bson import ObjectId
from pymongo import ASCENDING, ReplaceOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from vidd.errors import Refused
from vidd.integrations.annotation_service.documents import (
    FAILED,
    FRAMES,
    FRAMES_BY_TASK,
    OURS,
    PROJECTS,
    TASKS,
    UNDER_WAY,
    UPLOADS,
    is_touched,
    is_worked_on,
    mark_of,
    upload_failed,
    with_boxes,
)
from vidd.integrations.mongodb.account import Account, database
from vidd.integrations.mongodb.errors import DUPLICATE, asking
from vidd.model.frame_manifest import task_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from vidd.integrations.mongodb.account import Database, Document

_BATCH = 1000
_NO_TRANSACTIONS = 20
# The error_code of a call that was refused, as that of an input that was.
_DECLINED = 1
_JOB = f"{OURS}.job"
# A transaction takes those of the client, not of the database.
_CONCERNS = (ReadConcern("snapshot"), WriteConcern("majority", j=True))


def key(text: str) -> Any:
    """An id as the database has it: 24 hexadecimal digits are an ObjectId, anything else is a text."""
    return ObjectId(text) if ObjectId.is_valid(text) else text


class Boxed(NamedTuple):
    """What a detector found in a frame; `document` is the whole of it, where the frame is not there yet."""

    number: int
    found: Sequence[Mapping[str, Any]]
    document: Document


def _boxed(one: Boxed, known: Document | None) -> ReplaceOne[Document] | UpdateOne | None:
    if known is None:
        return ReplaceOne({"_id": one.document["_id"]}, one.document, upsert=True)
    # A frame that people called empty stays so.
    if known.get("isEmpty"):
        return None
    try:
        boxes = with_boxes(known, one.found)
    except ValueError as error:
        raise Refused(
            f"Frame {one.number} of the task {known.get('taskId')} cannot get boxes ({error}): correct it."
        ) from None
    if boxes == list(known.get("boxes") or ()):
        return None
    found = [mark_of(box) for box in boxes[len(boxes) - len(one.found) :]]
    return UpdateOne({"_id": known["_id"]}, {"$set": {"boxes": boxes, "isEmpty": False, f"{OURS}.found": found}})


class AnnotationBase:
    """One database; `name` is that of its account. Every call RetryLater or Refused as by `asking`."""

    def __init__(self, db: Database, name: str) -> None:
        self._db, self._name = db, name

    async def index(self) -> None:
        """See to it that frames are found by their task, and tasks by their upload, however many there are."""
        with asking("making the indexes", self._name):
            await self._db[FRAMES].create_index(FRAMES_BY_TASK)
            await self._db[TASKS].create_index([("uploadId", ASCENDING)])
            await self._db[UPLOADS].create_index([("status", ASCENDING)])

    async def upload(self, upload: str) -> Document | None:
        """An AnnotationContentUpload."""
        with asking("reading an upload", self._name):
            return await self._db[UPLOADS].find_one({"_id": key(upload)})

    async def project(self, project: str) -> Document | None:
        """An AnnotationProject."""
        with asking("reading a project", self._name):
            return await self._db[PROJECTS].find_one({"_id": key(project)}, {"_id": 1})

    async def tasks(self, upload: str) -> list[Document]:
        """An upload's tasks, in their order."""
        with asking("reading tasks", self._name):
            found = await self._db[TASKS].find({"uploadId": key(upload)}).to_list(None)
        return sorted(found, key=lambda one: ((one.get(OURS) or {}).get("number", 0), one.get("frameStart", 0)))

    async def task_ids(self, upload: str) -> list[Any]:
        """The ids of an upload's tasks."""
        with asking("reading tasks", self._name):
            return [document["_id"] async for document in self._db[TASKS].find({"uploadId": key(upload)}, {"_id": 1})]

    async def is_taken(self, upload: str, directory: str, called: str) -> bool:
        """Whether another upload has files that are called like this: tasks of it say so, or it is to have some."""
        others = {"$ne": key(upload)}
        with asking("looking whose files there are", self._name):
            if await self._db[UPLOADS].find_one({"_id": others, f"{OURS}.shelf": f"{directory}/{called}"}, {"_id": 1}):
                return True
            first = task_name(0, called)
            async for document in self._db[TASKS].find({"taskName": first, "uploadId": others}, {"S3_url": 1}):
                if f"/{directory}/{first}/" in f"/{unquote(str(document.get('S3_url') or ''))}":
                    return True
        return False

    async def touched(self, upload: str) -> bool:
        """Whether people have worked on its tasks: on a frame's boxes, or so that a task says it."""
        with asking("looking what people did", self._name):
            tasks = await self._db[TASKS].find({"uploadId": key(upload)}).to_list(None)
            if any(is_touched(task) for task in tasks):
                return True
            # What stands there may be anything: it is looked at here.
            mine = {"taskId": {"$in": [task["_id"] for task in tasks]}}
            async for frame in self._db[FRAMES].find(mine):
                if is_worked_on(frame):
                    return True
        return False

    async def begun(self, upload: str, job: str, path: str, keep: Mapping[str, Any], now: datetime) -> None:
        """An upload is worked on by this job from now on; of ours, its document keeps these values."""
        changes = {
            "status": UNDER_WAY,
            "progress": 0,
            "errorMessage": None,
            "sourceFilePath": path,
            _JOB: job,
            **{f"{OURS}.{name}": value for name, value in keep.items()},
        }
        with asking("marking an upload as begun", self._name):
            await self._db[UPLOADS].update_one(
                {"_id": key(upload)}, {"$set": changes, "$min": {"createdAt": now}, "$unset": {"finishedAt": ""}}
            )

    async def declined(self, upload: str, sentence: str, now: datetime) -> None:
        """Say why an upload is not worked on, where nothing was made of it yet and nothing is being made."""
        untouched = {"status": {"$in": [UNDER_WAY, None]}, _JOB: None}
        mine = {"_id": key(upload), "$or": [untouched, {"status": FAILED}]}
        with asking("telling why an upload is not worked on", self._name):
            if await self._db[TASKS].find_one({"uploadId": key(upload)}, {"_id": 1}) is None:
                changes = upload_failed(_DECLINED, sentence, now)
                await self._db[UPLOADS].update_one(mine, {"$set": changes})

    async def tell(self, upload: str, job: str, changes: Mapping[str, Any]) -> None:
        """Say something of an upload, where no newer job speaks for it and this one has not done it.

        Ids of jobs grow with time. A job that begins to speak takes the upload over from the one before.
        """
        newly = {"_id": key(upload), "$or": [{_JOB: None}, {_JOB: {"$lt": job}}]}
        mine = {"_id": key(upload), _JOB: job, "status": {"$in": [UNDER_WAY, FAILED, None]}}
        rest = {name: value for name, value in changes.items() if name != "progress"}
        # After a restart nothing is known of steps that were done before: progress of one job does not fall.
        grown = {"$max": {"progress": changes["progress"]}} if "progress" in changes else {}
        with asking("telling how an upload is", self._name):
            uploads = self._db[UPLOADS]
            taken = await uploads.update_one(newly, {"$set": {**changes, _JOB: job}})
            if not taken.matched_count:
                await uploads.update_one(mine, {"$set": {**rest, _JOB: job}, **grown})

    async def left(self, home: str) -> AsyncIterator[Document]:
        """The uploads that are under way, and for which no job has spoken, or one of this home."""
        with asking("looking for uploads that were left", self._name):
            mine = {"status": UNDER_WAY, "$or": [{OURS: None}, {f"{OURS}.home": home}]}
            async for document in self._db[UPLOADS].find(mine):
                yield document

    async def put_frames(self, frames: Iterable[Document]) -> None:
        """Write frames by their `_id`; what is there is replaced."""
        with asking("writing frames", self._name):
            for batch in _batches(frames):
                try:
                    await self._db[FRAMES].insert_many(batch, ordered=False)
                except BulkWriteError as error:
                    if any(write_error["code"] not in DUPLICATE for write_error in error.details["writeErrors"]):
                        raise
                    # Those of a try before; quicker than replacing them one by one.
                    await self._db[FRAMES].delete_many({"_id": {"$in": [one["_id"] for one in batch]}})
                    await self._db[FRAMES].insert_many(batch, ordered=False)

    async def put_upload(
        self, upload: str, project: str, tasks: Sequence[Document], changes: Mapping[str, Any]
    ) -> None:
        """Show an upload's tasks in place of those it had, with all that goes with them, at once."""
        async with self._together("showing the tasks") as session:
            await self._finish(upload, project, changes, session)
            await self._db[TASKS].delete_many({"uploadId": key(upload)}, session=session)
            await self._db[TASKS].insert_many(tasks, session=session)

    async def put_boxes(
        self,
        upload: str,
        project: str,
        tasks: AsyncIterator[tuple[Any, Sequence[Boxed]]],
        changes: Mapping[str, Any],
        version: int,
    ) -> None:
        """Show what a detector found in the frames of these tasks, at once; boxes that people drew stay."""
        async with self._together("showing the boxes") as session:
            # First, so that a newer job is met before thousands of frames are written.
            await self._finish(upload, project, changes, session)
            async for task, boxed in tasks:
                known = {
                    document["frameId"]: document
                    async for document in self._db[FRAMES].find(
                        {"taskId": task},
                        dict.fromkeys(("frameId", "taskId", "boxes", "isEmpty", OURS), 1),
                        session=session,
                    )
                }
                writes = [write for frame in boxed if (write := _boxed(frame, known.get(frame.number))) is not None]
                if writes:
                    await self._db[FRAMES].bulk_write(writes, ordered=False, session=session)
            await self._db[TASKS].update_many(
                {"uploadId": key(upload)}, {"$set": {"AutoAnnotationVersion": version}}, session=session
            )

    async def _finish(self, upload: str, project: str, changes: Mapping[str, Any], session: Any) -> None:
        mine = {"_id": key(upload), "$or": [{_JOB: None}, {_JOB: {"$lte": changes[_JOB]}}]}
        if not (await self._db[UPLOADS].update_one(mine, {"$set": dict(changes)}, session=session)).matched_count:
            raise Refused("The upload is gone, or a newer job works on it: nothing of this one is shown.")
        await self._db[PROJECTS].update_one(
            {"_id": key(project)}, {"$addToSet": {"contentUploads": key(upload)}}, session=session
        )

    async def sweep(self, upload_tasks: Sequence[Any]) -> None:
        """Remove frames of tasks that are no more."""
        with asking("removing old frames", self._name):
            await self._db[FRAMES].delete_many({"taskId": {"$in": list(upload_tasks)}})

    @asynccontextmanager
    async def _together(self, doing: str) -> AsyncIterator[Any]:
        try:
            with asking(doing, self._name):
                async with await self._db.client.start_session() as session, session.start_transaction(*_CONCERNS):
                    yield session
        except Refused as refused:
            if f" {_NO_TRANSACTIONS} " in refused.sentence:
                raise Refused(
                    f"The MongoDB of the account {self._name!r} has no transactions, and the tasks of an upload must be"
                    " seen all at once: run it as a replica set, of one server at least."
                ) from None
            raise


@asynccontextmanager
async def annotation_base(account: Account, name: str) -> AsyncIterator[AnnotationBase]:
    """The database of an account, through a connection of its own."""
    async with database(account, name) as db:
        yield AnnotationBase(db, name)


def _batches(many: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(many)
    while batch := list(islice(rest, _BATCH)):
        yield batch

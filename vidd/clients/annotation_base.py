"""The database of an annotation service: uploads, projects, tasks and frames, read and written so that they may be repeated.

Whatever belongs to a job has ids that follow from the job's, so that writing it again writes the same. Frames are seen by
who knows their task, so they go first; tasks, the upload's status and the project's list change in one transaction.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from pymongo import ASCENDING, ReplaceOne, UpdateOne

from vidd.clients.mongo import Account, database
from vidd.clients.mongo_faults import asking
from vidd.errors import Refused
from vidd.model.annotation import FRAMES, OURS, PROJECTS, TASKS, UNDER_WAY, UPLOADS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from vidd.clients.mongo import Database, Document

_BATCH = 1000
_NO_TRANSACTIONS = 20


def key(text: str) -> Any:
    """An id as the database has it: 24 hexadecimal digits are an ObjectId, anything else is a text."""
    return ObjectId(text) if ObjectId.is_valid(text) else text


class AnnotationBase:
    """One database; `name` is that of its account. Every call AgainLater or Refused as by `asking`."""

    def __init__(self, db: Database, name: str) -> None:
        self._db, self._name = db, name

    async def index(self) -> None:
        """See to it that frames are found by their task, and tasks by their upload, however many there are."""
        with asking("making the indexes", self._name):
            await self._db[FRAMES].create_index([("taskId", ASCENDING), ("frameId", ASCENDING)])
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
        return sorted(found, key=lambda one: (one.get(OURS, {}).get("number", 0), one.get("frameStart", 0)))

    async def begun(self, upload: str, job: str, path: str, generation: int, now: datetime) -> None:
        """An upload is worked on by this job from now on, the so-manieth for it."""
        changes = {
            "status": UNDER_WAY,
            "progress": 0,
            "errorMessage": None,
            "sourceFilePath": path,
            f"{OURS}.job": job,
            f"{OURS}.generation": generation,
        }
        with asking("marking an upload as begun", self._name):
            await self._db[UPLOADS].update_one(
                {"_id": key(upload)}, {"$set": changes, "$min": {"createdAt": now}, "$unset": {"finishedAt": ""}}
            )

    async def tell(self, upload: str, job: str, changes: Mapping[str, Any]) -> None:
        """Say something of an upload, where it is still this job's and not done."""
        with asking("telling how an upload is", self._name):
            await self._db[UPLOADS].update_one(
                {"_id": key(upload), f"{OURS}.job": job, "status": {"$in": [UNDER_WAY, 2, None]}}, {"$set": changes}
            )

    async def left(self) -> AsyncIterator[Document]:
        """The uploads that are under way in the eyes of the database."""
        with asking("looking for uploads that were left", self._name):
            async for one in self._db[UPLOADS].find({"status": UNDER_WAY}):
                yield one

    async def put_frames(self, frames: Iterable[Document]) -> None:
        """Write frames by their `_id`; what is there is replaced."""
        with asking("writing frames", self._name):
            for batch in _batches(frames):
                await self._db[FRAMES].bulk_write(
                    [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in batch], ordered=False
                )

    async def put_upload(
        self, upload: str, project: str, tasks: Sequence[Document], changes: Mapping[str, Any]
    ) -> None:
        """Show an upload's tasks in place of those it had, with all that goes with them, at once."""
        mine = [one["_id"] for one in tasks]
        async with self._together("showing the tasks") as session:
            await self._db[TASKS].delete_many({"uploadId": key(upload), "_id": {"$nin": mine}}, session=session)
            for batch in _batches(tasks):
                await self._db[TASKS].bulk_write(
                    [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in batch], session=session
                )
            await self._finish(upload, project, changes, session)

    async def put_boxes(
        self,
        upload: str,
        project: str,
        frames: Iterable[tuple[Any, int, Document]],
        changes: Mapping[str, Any],
        version: int,
    ) -> None:
        """Show new boxes of frames there are, by task and frameId, at once."""
        async with self._together("showing the boxes") as session:
            for batch in _batches(frames):
                writes = [UpdateOne({"taskId": task, "frameId": index}, {"$set": one}) for task, index, one in batch]
                await self._db[FRAMES].bulk_write(writes, ordered=False, session=session)
            await self._db[TASKS].update_many(
                {"uploadId": key(upload)}, {"$set": {"AutoAnnotationVersion": version}}, session=session
            )
            await self._finish(upload, project, changes, session)

    async def _finish(self, upload: str, project: str, changes: Mapping[str, Any], session: Any) -> None:
        await self._db[UPLOADS].update_one({"_id": key(upload)}, {"$set": dict(changes)}, session=session)
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
                async with await self._db.client.start_session() as session, session.start_transaction():
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

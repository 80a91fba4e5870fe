"""A data set's documents in MongoDB, in the shapes that a front end reads and writes besides."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

from vidd.errors import Refused
from vidd.integrations.annotation_service.database import key as any_id
from vidd.integrations.annotation_service.documents import FRAMES, FRAMES_BY_TASK, TASKS
from vidd.integrations.datasets.annotations import FrameChange, FrameDocument, TaskDocument
from vidd.integrations.datasets.model import Version, mark_from, version_of
from vidd.integrations.mongodb.account import Database, Document
from vidd.integrations.mongodb.errors import asking

PENDING, COMPLETE = "pending", "complete"
_BATCH = 500
_NAMED = 5
_FIELDS = ("frameId", "boxes", "imageUrl", "thumbnailUrl", "datasetVersions")


class Documents:
    """Every call may say RetryLater, and may be made again. `key_of` is the key that an address means."""

    def __init__(self, db: Database, name: str, key_of: Callable[[str], str] = str) -> None:
        self._db, self._name, self._key_of = db, name, key_of
        self._versions = db["AnnotationDatasetVersion"]
        self._tasks, self._frames = db[TASKS], db[FRAMES]

    async def find(self, version_id: str) -> Document | None:
        """A version's document."""
        with asking("looking up a data set version", self._name):
            return await self._versions.find_one({"_id": any_id(version_id)})

    async def version(self, version_id: str) -> Version:
        """A version; Refused where there is none, or it cannot be made sense of."""
        found = await self.find(version_id)
        if found is None:
            raise Refused(f"There is no data set version {version_id[:80]!a}: give the _id of one.")
        version = version_of(found)
        with asking("looking for the versions of a group", self._name):
            group = self._versions.find({"dataSetGroupId": found["dataSetGroupId"]}, {"versionNo": 1})
            twins = [
                str(document["_id"]) async for document in group if str(document.get("versionNo")) == version.number
            ]
        if (first := min(twins, default=version.id)) < version.id:
            raise Refused(
                f"The data set version {version.id} has the versionNo {version.number} of another one of its group ({first}),"
                " whose texts it would write over: give it a number of its own."
            )
        return version

    async def pending(self) -> list[str]:
        """The versions that wait to be made, oldest first."""
        with asking("looking for pending data sets", self._name):
            found = self._versions.find({"taskStatus.state": PENDING}, {"_id": 1}, sort=[("_id", 1)])
            return [str(document["_id"]) async for document in found]

    async def ready(self) -> None:
        """The index that the frames of a task are found by."""
        with asking("making an index", self._name):
            await self._frames.create_index(FRAMES_BY_TASK)

    async def task(self, task_id: str) -> TaskDocument:
        """A task; Refused where there is none."""
        with asking("looking up a task", self._name):
            found = await self._tasks.find_one({"_id": any_id(task_id)})
        if found is None:
            raise Refused(f"there is no task {task_id}: take it out of the version's taskList")
        sides = [found.get(name) for name in ("videoResolutionWidth", "videoResolutionHeight")]
        size = [float(side) for side in sides if isinstance(side, int | float) and side > 0]
        return TaskDocument(
            str(found.get("taskName") or task_id),
            self._key(found.get("S3_url")),
            (size[0], size[1]) if len(size) == 2 else None,
            frozenset(map(_version_in, found.get("datasetVersions") or ())),
        )

    async def members(self, version_id: str) -> list[str]:
        """The tasks that say that they are in the version."""
        with asking("looking for the tasks of a data set", self._name):
            found = self._tasks.find({"datasetVersions.versionId": any_id(version_id)}, {"_id": 1})
            return [str(document["_id"]) async for document in found]

    async def frames(self, task_id: str, version_id: str) -> AsyncIterator[FrameDocument]:
        """The frames of a task, by their numbers; Refused, after them, where some make no sense."""
        faults: list[str] = []
        with asking("reading frames", self._name):
            found = self._frames.find(
                {"taskId": any_id(task_id)}, dict.fromkeys(_FIELDS, 1), sort=[("frameId", 1)], batch_size=_BATCH
            )
            before = 0
            async with aclosing(_each(found)) as documents:
                async for document in documents:
                    try:
                        frame = self._frame(document, version_id, before)
                    except Refused as fault:
                        faults.append(fault.sentence)
                        continue
                    before = frame.number
                    yield frame
        if faults:
            more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
            raise Refused("; ".join(faults[:_NAMED]) + more)

    def _key(self, address: Any) -> str | None:
        return self._key_of(address) or None if isinstance(address, str) else None

    def _frame(self, one: Document, version_id: str, before: int) -> FrameDocument:
        number = _whole(one.get("frameId"))
        if number is None or number < 1:
            raise Refused(
                f"the frame {one['_id']} has no frameId that counts from 1 ({one.get('frameId')!r}): correct it"
            )
        if number == before:
            raise Refused(f"it has two frames with the frameId {before}: take one of them away")
        entries = one.get("datasetVersions")
        mine = [
            entry for entry in entries or () if isinstance(entry, dict) and str(entry.get("versionId")) == version_id
        ]
        marks = []
        for at, box in enumerate(one.get("boxes") or ()):
            try:
                marks.append(mark_from(box))
            except ValueError as error:
                raise Refused(
                    f"box {at + 1} of frame {number} makes no sense ({error}): correct or remove it"
                ) from None
        return FrameDocument(
            str(one["_id"]),
            number,
            self._key(one.get("imageUrl")),
            self._key(one.get("thumbnailUrl")),
            marks,
            mine[0] if mine else None,
            isinstance(entries, list),
        )

    async def begin(self, version: Version, *, anew: Iterable[str] | None = None) -> None:
        """Say that the version is not whole: all of it where it never was, else the tasks that change (`anew`)."""
        document = await self.find(version.id) or {}
        status = document.get("taskStatus") or {}
        listed = status.get("tasks")
        known = (
            {str(task["task"]): task for task in listed if isinstance(task, dict) and "task" in task} if listed else {}
        )
        if anew is None and status.get("state") == COMPLETE:
            return
        again = frozenset(anew or ())
        rows = [
            {**known.get(task, {}), "task": task, "state": PENDING, "error": "none"}
            if task in again or known.get(task, {}).get("state") != COMPLETE
            else {**known[task], "task": task}
            for task in version.tasks
        ]
        with asking("beginning a data set", self._name):
            await self._versions.update_one(
                {"_id": document["_id"]}, {"$set": {"taskStatus": {"state": PENDING, "tasks": rows}}}
            )

    async def change_frames(self, version_id: str, changes: Iterable[Sequence[Any]]) -> None:
        """Write what frames say of the version."""
        batch: list[UpdateOne] = []
        for change in changes:
            batch += _changes(FrameChange(*change), any_id(version_id))
            if len(batch) >= _BATCH:
                await self._write(batch)
                batch = []
        if batch:
            await self._write(batch)

    async def _write(self, batch: list[UpdateOne]) -> None:
        with asking("writing frames", self._name):
            await self._frames.bulk_write(batch, ordered=True)

    async def pictures(self, task_id: str) -> set[str]:
        """The keys that the frames of a task name as their pictures."""
        with asking("looking for pictures", self._name):
            found = self._frames.find({"taskId": any_id(task_id)}, {"imageUrl": 1}, batch_size=_BATCH)
            return {key async for document in found if (key := self._key(document.get("imageUrl"))) is not None}

    async def leave(self, version_id: str, task_id: str, gone: Sequence[str]) -> None:
        """A task and its frames are no part of the version any more, and do not name what is `gone`."""
        left = {"$pull": {"datasetVersions": {"versionId": any_id(version_id)}}}
        member = {"datasetVersions.versionId": any_id(version_id)}
        with asking("taking a task out of a data set", self._name):
            await self._frames.update_many({"taskId": any_id(task_id), **member}, left)
            named = {"taskId": any_id(task_id), "thumbnailUrl": {"$in": list(gone)}}
            await self._frames.update_many(named, {"$unset": {"thumbnailUrl": ""}})
            await self._tasks.update_one({"_id": any_id(task_id), **member}, left)

    async def shared(self, version: Version, task_id: str) -> bool:
        """Whether another version of the group has the task, too, and so its pictures."""
        with asking("looking for other versions", self._name):
            other = {"_id": {"$ne": any_id(version.id)}, "dataSetGroupId": any_id(version.group)}
            return await self._versions.find_one({**other, "taskList": any_id(task_id)}, {"_id": 1}) is not None

    async def join(self, version: Version, task_id: str) -> None:
        """The task says that it is in the version."""
        mine = any_id(version.id)
        with asking("writing a task", self._name):
            entry = {"versionId": mine, "versionNo": version.number}
            lacks = {"_id": any_id(task_id), "datasetVersions.versionId": {"$ne": mine}}
            await self._tasks.update_one({**lacks, "datasetVersions": None}, {"$set": {"datasetVersions": []}})
            await self._tasks.update_one(lacks, {"$push": {"datasetVersions": entry}})

    async def finish_task(self, version_id: str, task_id: str, said: Mapping[str, Any]) -> None:
        """What the version says of a task: state, error, counts."""
        with asking("writing how far a data set is", self._name):
            await self._versions.update_one(
                {"_id": any_id(version_id), "taskStatus.tasks.task": task_id},
                {"$set": {f"taskStatus.tasks.$[mine].{name}": value for name, value in said.items()}},
                array_filters=[{"mine.task": task_id}],
            )

    async def refused(self, version_id: str, sentence: str) -> None:
        """Why a version that is pending is not gone on with; until it is begun again."""
        with asking("writing why a data set is not gone on with", self._name):
            stuck = {"_id": any_id(version_id), "taskStatus.state": PENDING}
            await self._versions.update_one(stuck, {"$set": {"taskStatus.error": sentence}})

    async def progress(self, version: Version, percent: int, now: datetime) -> None:
        """How far the whole is."""
        await self._set(version, {f"exportFormats.{version.format}.progress": percent, **_moment(version, now)})

    async def finish(self, version: Version, said: Mapping[str, Any], now: datetime) -> None:
        """The version is whole: in one write, so that nobody sees half of it called so."""
        await self._set(version, {**said, "taskStatus.state": COMPLETE, **_moment(version, now)})

    async def _set(self, version: Version, values: Mapping[str, Any]) -> None:
        with asking("writing a data set version", self._name):
            await self._versions.update_one({"_id": any_id(version.id)}, {"$set": dict(values)})


def _version_in(entry: Any) -> str:
    return str(entry.get("versionId")) if isinstance(entry, dict) else str(entry)


def _moment(version: Version, now: datetime) -> dict[str, Any]:
    return {f"exportFormats.{version.format}.lastUpdatedAt": now}


async def _each(found: Any) -> AsyncGenerator[Document, None]:
    async for one in found:
        yield one


def _whole(value: Any) -> int | None:
    """A whole number, however a front end wrote it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)


def _changes(change: FrameChange, version: Any) -> list[UpdateOne]:
    """The writes of one frame; made again, they change nothing."""
    entry = {"versionId": version, **change.entry}
    frame = {"_id": any_id(change.id)}
    writes = []
    if not change.listed:
        writes.append(UpdateOne({**frame, "datasetVersions": None}, {"$set": {"datasetVersions": []}}))
    fields = {f"datasetVersions.$[mine].{name}": value for name, value in change.entry.items()}
    writes += [
        UpdateOne({**frame, "datasetVersions.versionId": {"$ne": version}}, {"$push": {"datasetVersions": entry}}),
        UpdateOne(frame, {"$set": fields}, array_filters=[{"mine.versionId": version}]),
    ]
    if change.urls:
        writes.append(UpdateOne(frame, {"$set": dict(change.urls)}))
    return writes

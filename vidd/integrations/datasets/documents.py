"""Reads and writes the documents of data sets in MongoDB, in the shapes that the front end uses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

from vidd.errors import FaultCode, Refused
from vidd.integrations.annotation_service.database import key as any_id
from vidd.integrations.annotation_service.documents import FRAMES, FRAMES_BY_TASK, TASKS
from vidd.integrations.datasets.annotations import FrameChange, FrameDocument, TaskDocument
from vidd.integrations.datasets.model import Version, mark_from, version_of
from vidd.integrations.mongodb.account import Database, Document
from vidd.integrations.mongodb.errors import map_errors

PENDING, COMPLETE = "pending", "complete"
_BATCH = 500
_NAMED = 5
_FIELDS = ("frameId", "boxes", "imageUrl", "thumbnailUrl", "datasetVersions")


class Documents:
    """The documents of one database. Every call may raise RetryLater, and may be repeated.

    `key_of` gives the key of the object that an address names, `name_of` what documents are to say of a key.
    """

    def __init__(
        self, db: Database, name: str, key_of: Callable[[str], str] = str, name_of: Callable[[str], str] = str
    ) -> None:
        self._db, self._name, self._key_of, self._name_of = db, name, key_of, name_of
        self._versions = db["AnnotationDatasetVersion"]
        self._tasks, self._frames = db[TASKS], db[FRAMES]

    async def find(self, version_id: str) -> Document | None:
        """The document of a version; None where there is none."""
        with map_errors("looking up a data set version", self._name):
            return await self._versions.find_one({"_id": any_id(version_id)})

    async def version(self, version_id: str) -> Version:
        """A version. Refused where there is none, where it is not valid, or where its number is that of an older one."""
        found = await self.find(version_id)
        if found is None:
            raise Refused(
                f"There is no data set version {version_id[:80]!a}: give the _id of one.", code=FaultCode.NOT_FOUND
            )
        version = version_of(found)
        with map_errors("looking for the versions of a group", self._name):
            group = self._versions.find({"dataSetGroupId": found["dataSetGroupId"]}, {"versionNo": 1})
            twins = [
                str(document["_id"]) async for document in group if str(document.get("versionNo")) == version.number
            ]
        if (first := min(twins, default=version.id)) < version.id:
            raise Refused(
                f"The data set version {version.id} has the versionNo {version.number} of another version of its group"
                f" ({first}), whose text files it would overwrite: give it a number of its own.",
                code=FaultCode.CONFLICT,
            )
        return version

    async def pending(self) -> list[str]:
        """The versions whose state is pending, oldest first."""
        with map_errors("looking for pending data sets", self._name):
            found = self._versions.find({"taskStatus.state": PENDING}, {"_id": 1}, sort=[("_id", 1)])
            return [str(document["_id"]) async for document in found]

    async def create_index(self) -> None:
        """Create the index by which the frames of a task are found."""
        with map_errors("making an index", self._name):
            await self._frames.create_index(FRAMES_BY_TASK)

    async def task(self, task_id: str) -> TaskDocument:
        """A task. Refused where there is none."""
        with map_errors("looking up a task", self._name):
            found = await self._tasks.find_one({"_id": any_id(task_id)})
        if found is None:
            raise Refused(
                f"there is no task {task_id}: take it out of the version's taskList", code=FaultCode.NOT_FOUND
            )
        # On the frames of its videos, vidd leaves images their own sizes.
        own = found.get("vidd")
        unscaled = isinstance(own, dict) and own.get("images")
        sides = [found.get(name) for name in ("videoResolutionWidth", "videoResolutionHeight")]
        size = [float(side) for side in sides if isinstance(side, int | float) and side > 0]
        return TaskDocument(
            str(found.get("taskName") or task_id),
            self._key(found.get("S3_url")),
            (size[0], size[1]) if len(size) == 2 and not unscaled else None,
            frozenset(map(_version_in, found.get("datasetVersions") or ())),
        )

    async def members(self, version_id: str) -> list[str]:
        """The tasks whose documents say that they are in the version."""
        with map_errors("looking for the tasks of a data set", self._name):
            found = self._tasks.find({"datasetVersions.versionId": any_id(version_id)}, {"_id": 1})
            return [str(document["_id"]) async for document in found]

    async def frames(self, task_id: str, version_id: str) -> AsyncIterator[FrameDocument]:
        """The frames of a task, by their numbers. Refused, after the last of them, where some are not valid."""
        faults: list[str] = []
        with map_errors("reading frames", self._name):
            found = self._frames.find(
                {"taskId": any_id(task_id)}, dict.fromkeys(_FIELDS, 1), sort=[("frameId", 1)], batch_size=_BATCH
            )
            before = 0
            async with aclosing(_iterate(found)) as documents:
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

    def _renamed(self, document: Document) -> dict[str, str]:
        """The keys of what a frame's document does not name as the settings want, by field."""
        keys = {name: self._key(document.get(name)) for name in ("imageUrl", "thumbnailUrl")}
        return {name: key for name, key in keys.items() if key is not None and document.get(name) != self._name_of(key)}

    def _augmented(self, entries: Any, version_id: str) -> frozenset[str]:
        """The keys of the augmented images that a frame has in other versions."""
        others = [
            entry for entry in entries or () if isinstance(entry, dict) and str(entry.get("versionId")) != version_id
        ]
        images = [entry.get("augmentationImages") for entry in others]
        named = [image for kinds in images if isinstance(kinds, dict) for image in kinds.values()]
        keys = {self._key(image.get("imageUrl")) for image in named if isinstance(image, dict)}
        return frozenset(key for key in keys if key is not None)

    def _frame(self, document: Document, version_id: str, before: int) -> FrameDocument:
        number = _whole_number(document.get("frameId"))
        if number is None or number < 1:
            raise Refused(
                f"the frameId of the frame {document['_id']} is no number from 1 on ({document.get('frameId')!r}): correct it"
            )
        if number == before:
            raise Refused(f"it has two frames with the frameId {before}: remove one of them")
        entries = document.get("datasetVersions")
        own_entries = [
            entry for entry in entries or () if isinstance(entry, dict) and str(entry.get("versionId")) == version_id
        ]
        marks = []
        for position, box in enumerate(document.get("boxes") or (), 1):
            try:
                marks.append(mark_from(box))
            except ValueError as error:
                raise Refused(
                    f"box {position} of frame {number} is not valid ({error}): correct or remove it"
                ) from None
        return FrameDocument(
            str(document["_id"]),
            number,
            self._key(document.get("imageUrl")),
            self._key(document.get("thumbnailUrl")),
            marks,
            own_entries[0] if own_entries else None,
            isinstance(entries, list),
            self._renamed(document),
            self._augmented(entries, version_id),
        )

    async def mark_pending(self, version: Version, *, changing: Iterable[str] | None = None) -> None:
        """Mark the version as pending: all tasks that are not complete, and those that are `changing`.

        Without `changing`, a complete version stays complete.
        """
        document = await self.find(version.id) or {}
        status = document.get("taskStatus") or {}
        listed = status.get("tasks")
        known = (
            {str(task["task"]): task for task in listed if isinstance(task, dict) and "task" in task} if listed else {}
        )
        if changing is None and status.get("state") == COMPLETE:
            return
        changed = frozenset(changing or ())
        rows = [
            {**known.get(task, {}), "task": task, "state": PENDING, "error": "none"}
            if task in changed or known.get(task, {}).get("state") != COMPLETE
            else {**known[task], "task": task}
            for task in version.tasks
        ]
        with map_errors("marking a data set as pending", self._name):
            await self._versions.update_one(
                {"_id": document["_id"]}, {"$set": {"taskStatus": {"state": PENDING, "tasks": rows}}}
            )

    async def change_frames(self, version_id: str, changes: Iterable[Sequence[Any]]) -> None:
        """Write the entries of the version into its frames."""
        batch: list[UpdateOne] = []
        for change in changes:
            found = FrameChange(*change)
            named = {name: self._name_of(key) for name, key in found.urls.items()}
            batch += _changes(replace(found, urls=named), any_id(version_id))
            if len(batch) >= _BATCH:
                await self._write(batch)
                batch = []
        if batch:
            await self._write(batch)

    async def _write(self, batch: list[UpdateOne]) -> None:
        with map_errors("writing frames", self._name):
            await self._frames.bulk_write(batch, ordered=True)

    async def image_keys(self, task_id: str) -> set[str]:
        """The keys of the images that the frames of a task name."""
        with map_errors("looking for images", self._name):
            found = self._frames.find({"taskId": any_id(task_id)}, {"imageUrl": 1}, batch_size=_BATCH)
            return {key async for document in found if (key := self._key(document.get("imageUrl"))) is not None}

    async def remove_task(self, version_id: str, task_id: str, dropped: Sequence[str]) -> None:
        """Take the version out of a task and its frames, and the addresses of `dropped` thumbnails."""
        left = {"$pull": {"datasetVersions": {"versionId": any_id(version_id)}}}
        member = {"datasetVersions.versionId": any_id(version_id)}
        with map_errors("taking a task out of a data set", self._name):
            await self._frames.update_many({"taskId": any_id(task_id), **member}, left)
            names = [*dropped, *map(self._name_of, dropped)]
            named = {"taskId": any_id(task_id), "thumbnailUrl": {"$in": names}}
            await self._frames.update_many(named, {"$unset": {"thumbnailUrl": ""}})
            await self._tasks.update_one({"_id": any_id(task_id), **member}, left)

    async def is_shared(self, version: Version, task_id: str) -> bool:
        """Whether another version of the group has the task too, and so shares its images."""
        with map_errors("looking for other versions", self._name):
            other = {"_id": {"$ne": any_id(version.id)}, "dataSetGroupId": any_id(version.group)}
            return await self._versions.find_one({**other, "taskList": any_id(task_id)}, {"_id": 1}) is not None

    async def add_version(self, version: Version, task_id: str) -> None:
        """Write into the task that it is in the version."""
        version_id = any_id(version.id)
        with map_errors("writing a task", self._name):
            entry = {"versionId": version_id, "versionNo": version.number}
            lacks = {"_id": any_id(task_id), "datasetVersions.versionId": {"$ne": version_id}}
            await self._tasks.update_one({**lacks, "datasetVersions": None}, {"$set": {"datasetVersions": []}})
            await self._tasks.update_one(lacks, {"$push": {"datasetVersions": entry}})

    async def finish_task(self, version_id: str, task_id: str, values: Mapping[str, Any]) -> None:
        """Write into the version the state, error and counts of a task."""
        with map_errors("writing the state of a task", self._name):
            await self._versions.update_one(
                {"_id": any_id(version_id), "taskStatus.tasks.task": task_id},
                {"$set": {f"taskStatus.tasks.$[mine].{name}": value for name, value in values.items()}},
                array_filters=[{"mine.task": task_id}],
            )

    async def write_error(self, version_id: str, sentence: str) -> None:
        """Write into a pending version why its job ended."""
        with map_errors("writing why a data set stopped", self._name):
            pending = {"_id": any_id(version_id), "taskStatus.state": PENDING}
            await self._versions.update_one(pending, {"$set": {"taskStatus.error": sentence}})

    async def progress(self, version: Version, percent: int, now: datetime) -> None:
        """Write how far the version is, in percent."""
        await self._set(version, {f"exportFormats.{version.format}.progress": percent, **_updated_at(version, now)})

    async def finish(self, version: Version, values: Mapping[str, Any], now: datetime) -> None:
        """Mark the version as complete, in one write with its `values`."""
        await self._set(version, {**values, "taskStatus.state": COMPLETE, **_updated_at(version, now)})

    async def _set(self, version: Version, values: Mapping[str, Any]) -> None:
        with map_errors("writing a data set version", self._name):
            await self._versions.update_one({"_id": any_id(version.id)}, {"$set": dict(values)})


def _version_in(entry: Any) -> str:
    return str(entry.get("versionId")) if isinstance(entry, dict) else str(entry)


def _updated_at(version: Version, now: datetime) -> dict[str, Any]:
    return {f"exportFormats.{version.format}.lastUpdatedAt": now}


async def _iterate(cursor: Any) -> AsyncGenerator[Document, None]:
    async for document in cursor:
        yield document


def _whole_number(value: Any) -> int | None:
    """A whole number, which a front end may have written as 1 or 1.0; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)


def _changes(change: FrameChange, version: Any) -> list[UpdateOne]:
    """The writes of one frame; repeated, they change nothing."""
    entry = {"versionId": version, **change.entry}
    frame = {"_id": any_id(change.id)}
    writes = []
    if not change.has_versions:
        writes.append(UpdateOne({**frame, "datasetVersions": None}, {"$set": {"datasetVersions": []}}))
    fields = {f"datasetVersions.$[mine].{name}": value for name, value in change.entry.items()}
    writes += [
        UpdateOne({**frame, "datasetVersions.versionId": {"$ne": version}}, {"$push": {"datasetVersions": entry}}),
        UpdateOne(frame, {"$set": fields}, array_filters=[{"mine.versionId": version}]),
    ]
    if change.urls:
        writes.append(UpdateOne(frame, {"$set": dict(change.urls)}))
    return writes

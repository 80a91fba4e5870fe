"""Builds the files of one task after another, below a job's directory: lists what exists, downloads images, runs a worker."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused
from vidd.files.digest import file_digest
from vidd.files.disk_space import check_free_space
from vidd.integrations.aws.account import head
from vidd.integrations.aws.s3_tree import ListedObject, list_objects
from vidd.integrations.datasets.download import download
from vidd.integrations.datasets.model import mark_to_json
from vidd.integrations.datasets.plan import ROOT, Inventory, TaskInput, TaskPlan
from vidd.processes.worker_client import retry_if_died, run_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vidd.integrations.datasets.annotations import FrameDocument, TaskDocument
    from vidd.integrations.datasets.build_record import BuildRecord
    from vidd.integrations.datasets.connection import Connection
    from vidd.integrations.datasets.model import Version
    from vidd.integrations.datasets.plan import BuildSettings, PlannedFrame
    from vidd.ports import StepContext

TREE = "objects"
_WORKER = "vidd.integrations.datasets.worker.main"
_DOWNLOADS, _MADE = ".pictures", ".made.jsonl"
_MEMORY = 8 << 30
_QUIET = 600.0


@dataclass(frozen=True)
class Builder:
    """Builds the tasks of one version. Keys are paths below `tree`."""

    context: StepContext
    connection: Connection
    record: BuildRecord
    settings: BuildSettings
    at_once: int

    @property
    def tree(self) -> Path:
        """The directory of the objects to send."""
        return self.context.directory / TREE

    async def build_task(self, version: Version, task: str) -> TaskPlan:
        """Make what a task lacks. Refused with what is wrong with the task, as the end of a sentence."""
        documents = self.connection.documents
        document = await documents.task(task)
        frames = [frame async for frame in documents.frames(task, version.id)]
        if not frames:
            raise Refused("it has no frames: take it out of the version's taskList, or make its frames")
        inventory = await self._take_inventory(version, task, document, frames)
        record = await in_thread(self.record.read, task)
        plan = await in_thread(TaskPlan, version, TaskInput(task, document, frames, inventory, record), self.settings)
        if incomplete := plan.incomplete_frames():
            await self._build_frames(plan, incomplete)
            await in_thread(self.record.write, task, record)
        return plan

    async def _take_inventory(
        self, version: Version, task: str, document: TaskDocument, frames: Sequence[FrameDocument]
    ) -> Inventory:
        connection = self.connection
        root = f"{ROOT}/{version.group}/{task}/"
        objects = await list_objects(connection.s3, connection.bucket, root, connection.sleep)
        stored = [frame.image for frame in frames if frame.image]
        images = {key: objects[key] for key in stored if key in objects}
        if elsewhere := [key for key in stored if not key.startswith(root)]:
            directory = os.path.commonpath([key.rpartition("/")[0] for key in elsewhere])
            found = await list_objects(
                connection.s3, connection.bucket, f"{directory}/" if directory else "", connection.sleep
            )
            images |= {key: found[key] for key in elsewhere if key in found}
        needs_video = document.video is not None and any(frame.image not in images for frame in frames)
        video = await self._find_object(str(document.video)) if needs_video else None
        return Inventory(objects, images, video, self.is_built)

    async def _find_object(self, key: str) -> ListedObject | None:
        connection = self.connection

        async def ask() -> dict[str, Any] | None:
            return await head(connection.s3, connection.bucket, key)

        found = await retry(ask, sleep=connection.sleep)
        return ListedObject(int(found["ContentLength"]), str(found["ETag"]).strip('"')) if found is not None else None

    def is_built(self, key: str, expected: ListedObject) -> bool:
        """Whether an earlier, interrupted attempt built this object."""
        path = self.tree / key
        if not path.is_file() or path.stat().st_size != expected.size:
            return False
        return file_digest(path, "md5") == expected.etag

    async def _build_frames(self, plan: TaskPlan, frames: Sequence[PlannedFrame]) -> None:
        directory = self.context.directory / _DOWNLOADS
        await in_thread(_make_empty, directory)
        images = await self._download_images(plan, frames, directory)
        video = None
        if any(frame.image is None and frame.source is None for frame in frames):
            video = directory / "video"
            await self._download(str(plan.document.video), video, plan.inventory.video)
        orders = {
            "directory": str(self.tree),
            "video": str(video) if video else None,
            "name": plan.document.name,
            "quality": self.settings.quality,
            "largest": self.settings.largest,
            "labels": plan.version.labels,
            "drawn_on": list(plan.document.drawn_on) if plan.document.drawn_on else None,
            "frames": [_frame_order(frame, images.get(frame.document.number)) for frame in frames],
        }

        def record(answer: Mapping[str, Any]) -> None:
            plan.record_frame(answer["frame"], answer["size"], answer["made"])

        await self.run_worker("frames", orders, record)
        await in_thread(shutil.rmtree, directory)

    async def _download_images(
        self, plan: TaskPlan, frames: Sequence[PlannedFrame], directory: Path
    ) -> dict[int, Path]:
        """The files of the images that the worker must see, by the frames' numbers."""
        paths: dict[int, Path] = {}
        missing: list[tuple[str, Path, ListedObject | None]] = []
        for frame in frames:
            if not frame.needs_image or (frame.image is None and frame.source is None):
                continue
            number = frame.document.number
            if frame.image is None:
                source = str(frame.source)
                paths[number] = directory / str(number)
                missing.append((source, paths[number], plan.inventory.images[source]))
                continue
            existing = plan.inventory.objects.get(frame.keys.image)
            if existing is None or existing.etag != frame.image:
                paths[number] = self.tree / frame.keys.image
            else:
                paths[number] = directory / str(number)
                missing.append((frame.keys.image, paths[number], existing))

        async def fetch(row: tuple[str, Path, ListedObject | None]) -> None:
            await self._download(*row)

        await gather_bounded(self.at_once, missing, fetch)
        return paths

    async def _download(self, key: str, path: Path, found: ListedObject | None) -> None:
        context = self.context
        if found is None:
            raise Refused(f"{key!a} is not in the bucket: put it there again", code=FaultCode.NOT_FOUND)
        check_free_space(context.directory, context.tools.encoder.disk_reserve, found.size)
        await download(self.connection, key, path, found)

    async def fetch(self, key: str, path: Path, etag: str) -> None:
        """Download an object whose checksum is known. Refused where it was replaced."""
        found = await self._find_object(key)
        if found is None or found.etag != etag:
            raise Refused(
                f"{key!a} was replaced while vidd built the data set: ask for it again", code=FaultCode.CONFLICT
            )
        await self._download(key, path, found)

    async def run_worker(
        self, task: str, orders: Mapping[str, Any], record: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """Have a worker carry out the orders, and `record` each thing it made. Refused or RetryLater with its sentence."""
        context = self.context
        made_file = context.directory / _MADE
        question = {"ask": task, "orders": orders, "made": str(made_file)}
        memory = context.tools.encoder.memory or _MEMORY
        with retry_if_died("making the files of the data set"):
            async with context.slot():
                await run_worker(_WORKER, question, context, quiet=_QUIET, memory=memory)
        for line in (await in_thread(made_file.read_text)).splitlines():
            record(json.loads(line))
        made_file.unlink()


def _frame_order(frame: PlannedFrame, image: Path | None) -> dict[str, Any]:
    from_video = frame.image is None and frame.source is None
    return {
        "number": frame.document.number,
        "index": frame.document.number if from_video else None,
        "image": str(image) if image else None,
        "size": frame.size,
        "marks": [mark_to_json(mark) for mark in frame.document.marks],
        "missing": frame.missing,
    }


def _make_empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()

"""Makes one task's files after another, below a job's directory: looks at what is there, fetches pictures, has a child make the rest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import check_free_space
from vidd.integrations.aws.account import head
from vidd.integrations.aws.s3_tree import ListedObject, list_objects
from vidd.integrations.datasets.download import bring
from vidd.integrations.datasets.model import mark_to_json
from vidd.integrations.datasets.plan import ROOT, Found, Seen, TaskPlan
from vidd.processes.worker_client import WorkerDied, run_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vidd.integrations.datasets.annotations import FrameDocument, TaskDocument
    from vidd.integrations.datasets.model import Version
    from vidd.integrations.datasets.options import Open
    from vidd.integrations.datasets.plan import Frame, Manner
    from vidd.integrations.datasets.split_record import Ledger
    from vidd.ports import StepContext

TREE = "objects"
_FETCHED, _MADE = ".pictures", ".made.jsonl"
_MEMORY = 8 << 30
_QUIET = 600.0


@dataclass(frozen=True)
class Workshop:
    """Where and how files are made. Keys are paths below `tree`."""

    context: StepContext
    open: Open
    ledger: Ledger
    manner: Manner
    at_once: int

    @property
    def tree(self) -> Path:
        """The directory of the objects that are to be sent."""
        return self.context.directory / TREE

    async def task(self, version: Version, task: str) -> TaskPlan:
        """Make what a task lacks. Refused with what is wrong with it, as the end of a sentence."""
        documents = self.open.documents
        document = await documents.task(task)
        frames = [frame async for frame in documents.frames(task, version.id)]
        if not frames:
            raise Refused("it has no frames: take it out of the version's taskList, or make its frames")
        seen = await self._seen(version, task, document, frames)
        page = await in_thread(self.ledger.read, task)
        plan = await in_thread(TaskPlan, version, Found(task, document, frames, seen, page), self.manner)
        if orders := plan.orders():
            await self._make(plan, orders)
            await in_thread(self.ledger.write, task, page)
        return plan

    async def _seen(self, version: Version, task: str, document: TaskDocument, frames: Sequence[FrameDocument]) -> Seen:
        here = self.open
        root = f"{ROOT}/{version.group}/{task}/"
        there = await listed(here.s3, here.bucket, root, here.sleep)
        pictures = {
            key: listing for frame in frames if (key := frame.picture) and (listing := there.get(key)) is not None
        }
        if away := [key for frame in frames if (key := frame.picture) and not key.startswith(root)]:
            around = os.path.commonpath([key.rpartition("/")[0] for key in away])
            found = await list_objects(here.s3, here.bucket, f"{around}/" if around else "", here.sleep)
            pictures |= {key: found[key] for key in away if key in found}
        lacking = any(frame.picture not in pictures for frame in frames)
        film = await self._listed(document.film) if document.film is not None and lacking else None
        return Seen(there, pictures, film, self.is_here)

    async def _listed(self, key: str) -> ListedObject | None:
        here = self.open

        async def look() -> dict[str, Any] | None:
            return await head(here.s3, here.bucket, key)

        found = await retry(look, sleep=here.sleep)
        return ListedObject(int(found["ContentLength"]), str(found["ETag"]).strip('"')) if found is not None else None

    def is_here(self, key: str, one: ListedObject) -> bool:
        """Whether this object was made by an attempt that was cut off later."""
        path = self.tree / key
        if not path.is_file() or path.stat().st_size != one.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, _md5).hexdigest() == one.etag

    async def _make(self, plan: TaskPlan, frames: Sequence[Frame]) -> None:
        room = self.context.directory / _FETCHED
        await in_thread(_empty, room)
        fetched = await self._fetch(plan, frames, room)
        film = None
        if any(frame.image is None and frame.source is None for frame in frames):
            film = room / "film"
            await self._bring(str(plan.document.film), film, plan.seen.film)
        orders = {
            "room": str(self.tree),
            "film": str(film) if film else None,
            "name": plan.document.name,
            "quality": self.manner.quality,
            "largest": self.manner.largest,
            "labels": plan.version.labels,
            "drawn_on": list(plan.document.drawn_on) if plan.document.drawn_on else None,
            "frames": [_order(frame, fetched.get(frame.document.number)) for frame in frames],
        }

        def heard(said: Mapping[str, Any]) -> None:
            plan.settle(said["frame"], said["size"], said["made"])

        await self.child("pictures", orders, heard)
        await in_thread(shutil.rmtree, room)

    async def _fetch(self, plan: TaskPlan, frames: Sequence[Frame], room: Path) -> dict[int, Path]:
        """The pictures that a child must see, by the frames' numbers."""
        places: dict[int, Path] = {}
        wanted: list[tuple[str, Path, Listed | None]] = []
        for frame in frames:
            if not _needs_picture(frame) or (frame.image is None and frame.source is None):
                continue
            number, here = frame.document.number, self.tree / frame.keys.image
            key = frame.keys.image if frame.image is not None else str(frame.source)
            found = plan.seen.there.get(key) if frame.image is not None else plan.seen.pictures[key]
            if frame.image is not None and (found is None or found.etag != frame.image):
                places[number] = here
            else:
                places[number] = room / str(number)
                wanted.append((key, places[number], found))

        async def one_of_them(row: tuple[str, Path, ListedObject | None]) -> None:
            await self._bring(*row)

        await gather_bounded(self.at_once, wanted, one_of_them)
        return places

    async def _bring(self, key: str, path: Path, found: ListedObject | None) -> None:
        here, context = self.open, self.context
        if found is None:
            raise Refused(f"{key!a} is not in the bucket: put it there again")
        check_free_space(context.directory, context.tools.encoder.disk_reserve, found.size)
        await bring(here, key, path, found)

    async def get(self, key: str, path: Path, etag: str) -> None:
        """Fetch an object that is known by its sum."""
        found = await self._listed(key)
        if found is None or found.etag != etag:
            raise Refused(f"{key!a} was replaced while the data set was made: ask for it again")
        await self._bring(key, path, found)

    async def child(self, what: str, orders: Mapping[str, Any], heard: Callable[[Mapping[str, Any]], None]) -> None:
        """Have it done, and hear of each thing that was made; Refused or RetryLater with the child's sentence."""
        context = self.context
        made = context.directory / _MADE
        question = {"ask": what, "orders": orders, "made": str(made)}
        memory = context.tools.encoder.memory or _MEMORY
        try:
            async with context.slot():
                await run_worker(
                    "vidd.integrations.datasets.worker.main", question, context, quiet=_QUIET, memory=memory
                )
        except WorkerDied as died:
            raise RetryLater(
                f"The files could not be made (exit {died.code}).", code=FaultCode.INTERRUPTED, said=died.stderr
            ) from None
        for line in (await in_thread(made.read_text)).splitlines():
            heard(json.loads(line))
        made.unlink()


def _needs_picture(one: Frame) -> bool:
    wanted = one.want
    pixels = "image" in wanted or "small" in wanted or any("image" in value for value in wanted["changed"].values())
    return pixels or one.size is None


def _order(one: Frame, picture: Path | None) -> dict[str, Any]:
    from_film = one.image is None and one.source is None
    return {
        "number": one.document.number,
        "index": one.document.number if from_film else None,
        "picture": str(picture) if picture else None,
        "size": one.size,
        "marks": [mark_to_json(mark) for mark in one.document.marks],
        "want": one.want,
    }


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _empty(room: Path) -> None:
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()

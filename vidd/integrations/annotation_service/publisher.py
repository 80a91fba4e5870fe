"""Tell an annotation service of its tasks: documents in MongoDB that its front end reads, all of an upload at once.

It goes out last: where films and pictures lie, the receipt of the publisher that put the tree of tasks out says. Frames are
written first, where no task leads to them; then the tasks, the upload's completion and the project change in one
transaction. Of request type 2 only boxes are written, into the frames there are; what people drew in them stays. What
MongoDB is away for is done when it is back, and is nobody's failure.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from dataclasses import replace as replaces
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import Field

from vidd.aio.bounded import gather_bounded
from vidd.aio.shield import in_thread
from vidd.errors import Refused, RetryLater
from vidd.integrations.annotation_service.database import AnnotationBase, Boxed, annotation_base, key
from vidd.integrations.annotation_service.documents import (
    ONLY_BOXES,
    OURS,
    Request,
    frame_document,
    id_of,
    task_document,
    upload_done,
)
from vidd.integrations.annotation_service.frames import Framed, Tasked, each, frames_of
from vidd.integrations.mongodb.account import Account
from vidd.model.frame_manifest import Task, TaskList
from vidd.model.publication import Receipt
from vidd.model.rework import edition_of
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

    from vidd.ports import PublishContext, Tools


_AWAY = 5.0
_AT_ONCE = 2


class Options(Base):
    """Settings of a publisher of kind `mongo_tasks`."""

    account: str = Field(description="The account of kind mongodb whose database the front end reads.")
    files: str = Field(
        "", description="The publisher that put the tasks out, by its name; unset: the first that put a tree out."
    )
    tree: str = Field("tasks", description="Role of the tree of tasks.")
    manifest: str = Field("manifest", description="Role of the manifest.")
    task_list: str = Field("task_list", description="Role of the list of tasks.")
    annotations: str = Field("annotations", description="Role of the boxes, where a step found some.")

    def labels_named(self) -> dict[tuple[str, ...], str]:
        """The publisher that is meant, by the option that names it."""
        return {("files",): self.files} if self.files else {}


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Write the documents. Refused where the job is no request of the service's, or the files are not there.

    The token holds the tasks that are replaced, whose frames are removed once nothing leads to them.
    """
    async with _writing(options, context) as writing:
        return await writing.publish()


async def allow(options: Options, context: PublishContext) -> None:
    """Whether it will be shown, asked before films and pictures are replaced.

    Refused where a newer job works on the upload; and, of another edition, where its tasks are others than those that people
    have worked on.
    """
    async with _writing(options, context) as writing:
        await writing.allow(anew=edition_of(context.job) > 1)


async def replace_files(options: Options, context: PublishContext) -> Receipt:
    """Show the documents of this edition in place of those of the one before; the same tasks stay, with other boxes."""
    # Its receipt stays until it is replaced, and with it that it is out.
    async with _writing(options, replaces(context, sent=context.checkpoint)) as writing:
        return await writing.replace()


async def reconcile(options: Options, context: PublishContext) -> Receipt | None:
    """The receipt, where the upload says that this edition of the job is what it shows."""
    async with _writing(options, context) as writing:
        return await writing.reconcile()


@asynccontextmanager
async def _writing(options: Options, context: PublishContext) -> AsyncIterator[_Writing]:
    request = _request(context)
    listed = TaskList.from_json(json.loads(await in_thread(_file(options.task_list, context).read_text)))
    with _patient():
        async with annotation_base(context.tools.account(options.account, Account), options.account) as base:
            yield _Writing(options, context, base, request, listed)


@contextmanager
def _patient() -> Iterator[None]:
    """A MongoDB that is away uses up no attempt."""
    try:
        yield
    except RetryLater as fault:
        raise RetryLater(fault.sentence, after=fault.after or _AWAY, counts=False) from fault


@dataclass(frozen=True)
class _Writing:
    """One context on its way into the database."""

    options: Options
    context: PublishContext
    base: AnnotationBase
    request: Request
    listed: TaskList

    async def publish(self) -> Receipt:
        """Write what is to be seen of it."""
        await self.base.index()
        if self.request.kind == ONLY_BOXES:
            await self._put_boxes()
        else:
            await self._put_tasks()
        return self._receipt()

    async def replace(self) -> Receipt:
        """The same; where the tasks that are there are these, they stay, and only boxes change."""
        if (shown := await self.reconcile()) is not None:
            return shown
        if self.request.kind == ONLY_BOXES or not await self._shows_these():
            return await self.publish()
        await self._put_boxes()
        return self._receipt()

    async def allow(self, *, anew: bool) -> None:
        """Refused where nothing of it would be shown, or (`anew`) it would take away what people did."""
        upload = await self.base.upload(str(self.request.upload))
        ours = (upload or {}).get(OURS) or {}
        if ours.get("done") == self.request.job:
            return
        if upload is None or str(ours.get("job") or "") > self.context.job.id:
            raise Refused("The upload is gone, or a newer job works on it: nothing of this one is sent.")
        if not anew or self.request.kind == ONLY_BOXES or await self._shows_these():
            return
        if await self.base.touched(str(self.request.upload)):
            raise Refused(
                "People have worked on the tasks of this upload, and other ones would take their place: bring back what was "
                "before by vidd rework --undo, or ask for all of it anew by processContent with force_write 1."
            )

    async def _shows_these(self) -> bool:
        """Whether the tasks that are there have the frames of these."""
        there = await self.base.tasks(str(self.request.upload))
        shown = [
            (task.get("taskName"), task.get("frameStart"), task.get("frameEnd"), task.get("frameCount"))
            for task in there
        ]
        return shown == [(task.name, task.first + 1, task.last + 1, task.frames) for task in self.listed.tasks]

    async def reconcile(self) -> Receipt | None:
        """Ask whether it shows; what is left of what it replaced is removed."""
        upload = await self.base.upload(str(self.request.upload))
        # Whatever its status says since: written once more, frames would lose what people have drawn in them.
        if upload is None or (upload.get(OURS) or {}).get("done") != self.request.job:
            return None
        await self.base.sweep([key(one) for one in self.context.publication.token.get("old", ())])
        return self._receipt()

    def _receipt(self) -> Receipt:
        listed = self.listed
        facts = {"tasks": len(listed.tasks), "frames": listed.frames, "upload": str(self.request.upload)}
        return Receipt(facts=facts)

    @property
    def _changes(self) -> dict[str, Any]:
        done = upload_done(self.request, self.listed, self.context.tools.clock.now())
        return {**done, f"{OURS}.job": self.context.job.id, f"{OURS}.done": self.request.job}

    def _files(self) -> Iterator[Tasked]:
        options, context = self.options, self.context
        there = options.annotations in context.artifacts
        tree = context.directory / context.chosen([options.tree], trees=True)[0].path
        boxes = _file(options.annotations, context) if there else None
        return frames_of(self.listed, _file(options.manifest, context), boxes, tree)

    def _tell(self, done: int) -> None:
        self.context.progress(float(done), float(self.listed.frames), "frames", None)

    def _frame(self, task: Any, row: Tasked, frame: Framed, place: str) -> dict[str, Any]:
        image, small = (None if path is None else f"{place}{quote(path)}" for path in (frame.image, frame.small))
        document = frame_document(task, frame.sample, frame.boxes, image=image, small=small)
        return {"_id": key(id_of(self.request.job, row.task.number, frame.sample.index)), **document}

    async def _put_tasks(self) -> None:
        base, request = self.base, self.request
        tasks = await self._put_frames(_place(self.options, self.context))
        new = {task["_id"] for task in tasks}
        old = [task_id for task_id in await base.task_ids(str(request.upload)) if task_id not in new]
        await self.context.sent({"old": [str(task_id) for task_id in old]})
        try:
            await base.put_upload(str(request.upload), str(request.project), tasks, self._changes)
        except Refused:
            shown = await base.task_ids(str(request.upload))
            await base.sweep([one for one in new if one not in shown])
            raise
        await base.sweep(old)

    async def _put_frames(self, place: str) -> list[dict[str, Any]]:
        """Write the frames; the documents of their tasks."""
        request, now, reading = self.request, self.context.tools.clock.now(), asyncio.Lock()
        rows, tasks, done = self._files(), dict[int, dict[str, Any]](), 0

        async def put(_: Task) -> None:
            nonlocal done
            async with reading:
                row = await in_thread(next, rows, None)
            if row is None:
                return  # the other one met a fault in it
            task = key(id_of(request.job, row.task.number))
            await self.base.put_frames([self._frame(task, row, frame, place) for frame in row.frames])
            url = f"{place}{quote(row.task.video)}" if row.task.video else None
            samples = [frame.sample for frame in row.frames]
            document = task_document(request, self.listed, row.task, samples, url=url, now=now)
            tasks[row.task.number] = {"_id": task, **document}
            done += len(row.frames)
            self._tell(done)

        # While MongoDB writes one task's the next one's are made ready.
        await gather_bounded(_AT_ONCE, self.listed.tasks, put)
        # Whether the files go together is known once they are read to their ends.
        await in_thread(next, rows, None)
        return [tasks[number] for number in sorted(tasks)]

    async def _put_boxes(self) -> None:
        request, base = self.request, self.base
        there = {task["taskName"]: task["_id"] for task in await base.tasks(str(request.upload))}
        missing = [task.name for task in self.listed.tasks if task.name not in there]
        if missing:
            raise Refused(
                f"The upload has no task {missing[0]!r} to put boxes into: its tasks are of another recording or rate; "
                "ask for tasks and annotations (request type 1)."
            )
        await self.context.sent({})
        async with aclosing(self._boxed(there, _place(self.options, self.context))) as tasks:
            await base.put_boxes(str(request.upload), str(request.project), tasks, self._changes, request.version)

    async def _boxed(self, there: Mapping[str, Any], place: str) -> AsyncGenerator[tuple[Any, Sequence[Boxed]], None]:
        done = 0
        async with aclosing(each(self._files())) as rows:
            async for row in rows:
                task = there[row.task.name]
                frames = [
                    Boxed(frame.sample.index, frame.boxes, self._frame(task, row, frame, place)) for frame in row.frames
                ]
                yield task, frames
                done += len(frames)
                self._tell(done)


async def check(options: Options, tools: Tools) -> str:
    """Ask for the database."""
    async with annotation_base(tools.account(options.account, Account), options.account) as base:
        await base.project("0")
    return "The database of the annotation service can be read."


def _request(context: PublishContext) -> Request:
    facts = context.job.facts
    try:
        return Request(
            _edition(context),
            key(str(facts["project_id"])),
            key(str(facts["upload_id"])),
            int(facts.get("request_type", 0)),
            int(context.facts.get("annotator") or facts.get("auto_anno_version", 0)),
        )
    except (KeyError, TypeError, ValueError):
        raise Refused(
            "This job came by no request of the annotation service, so there is no upload to tell of: "
            "hand it in by processContent, or leave mongo_tasks out of the pipeline."
        ) from None


def _edition(context: PublishContext) -> str:
    """What ids are made of: each edition of a job has documents of its own, so that none is seen half changed."""
    edition = edition_of(context.job)
    return context.job.id if edition == 1 else f"{context.job.id}:{edition}"


def _file(role: str, context: PublishContext) -> Path:
    (artifact,) = context.chosen([role])
    return context.directory / artifact.path


def _place(options: Options, context: PublishContext) -> str:
    """The address before each file of the tree, by the receipt of who put it out."""
    receipts = context.receipts
    if options.files:
        receipts = {name: receipt for name, receipt in receipts.items() if name == options.files}
    for receipt in receipts.values():
        for one in (*receipt.facts.get("trees", ()), *receipt.facts.get("files", ())):
            if one.get("role") == options.tree and (url := one.get("url") or receipt.url):
                return f"{url.rstrip('/')}/"
    names = ", ".join(context.receipts) or "none"
    raise Refused(
        f"No publisher says where it put the tasks (there are {names}): publish the tree {options.tree!r} first."
    )

"""Tell an annotation service of its tasks: documents in MongoDB that its front end reads, all of an upload at once.

It comes after the publishers, as a notice: where films and pictures lie, the receipt of the one that put the tree of
tasks out says. Of request type 2 only boxes are written, into the frames there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field

from vidd.clients.annotation_base import AnnotationBase, annotation_base, key
from vidd.clients.mongo import Account
from vidd.errors import Refused
from vidd.model.annotation import (
    DONE,
    ONLY_BOXES,
    OURS,
    Request,
    box_document,
    frame_document,
    id_of,
    task_document,
    upload_done,
)
from vidd.model.manifest import Sample, TaskList
from vidd.model.publication import Receipt
from vidd.options import Options as Base
from vidd.ports import Parcel, Tools

SLOT: str | None = "uploads"

Boxes = Mapping[tuple[str, int], list[dict[str, Any]]]


class Options(Base):
    """Settings of a notice of kind `mongo_tasks`."""

    account: str = Field(description="The account of kind mongodb whose database the front end reads.")
    files: str = Field(
        "", description="The publisher that put the tasks out, by its name; unset: the first that put a tree out."
    )
    tree: str = Field("tasks", description="Role of the tree of tasks.")
    manifest: str = Field("manifest", description="Role of the manifest.")
    task_list: str = Field("task_list", description="Role of the list of tasks.")
    annotations: str = Field("annotations", description="Role of the boxes, where a step found some.")


async def publish(options: Options, parcel: Parcel) -> Receipt:
    """Write the documents. Refused where the job is no request of the service's, or the files are not there."""
    request = _request(parcel)
    listed = TaskList.from_json(json.loads(_file(options.task_list, parcel).read_text()))
    now = parcel.tools.clock.now()
    async with annotation_base(parcel.tools.account(options.account, Account), options.account) as base:
        await base.index()
        if request.kind == ONLY_BOXES:
            await _put_boxes(options, parcel, base, request, listed)
        else:
            await _put_tasks(options, parcel, base, request, listed)
    facts = {"tasks": len(listed.tasks), "frames": listed.frames, "upload": str(request.upload), "at": now.isoformat()}
    return Receipt(facts=facts)


async def reconcile(options: Options, parcel: Parcel) -> Receipt | None:
    """The receipt, where the upload says that this job has done it."""
    request = _request(parcel)
    async with annotation_base(parcel.tools.account(options.account, Account), options.account) as base:
        upload = await base.upload(str(request.upload))
    if upload is None or upload.get(OURS, {}).get("done") != parcel.job.id or upload.get("status") != DONE:
        return None
    return Receipt(facts={"tasks": upload.get("taskCount"), "upload": str(request.upload)})


async def check(options: Options, tools: Tools) -> str:
    """Ask for the database."""
    async with annotation_base(tools.account(options.account, Account), options.account) as base:
        await base.project("0")
    return "The database of the annotation service can be read."


def _request(parcel: Parcel) -> Request:
    facts = parcel.job.facts
    try:
        return Request(
            parcel.job.id,
            key(str(facts["project_id"])),
            key(str(facts["upload_id"])),
            int(facts.get("request_type", 0)),
            int(facts.get("auto_anno_version", 0)),
        )
    except (KeyError, TypeError, ValueError):
        raise Refused(
            "This job came by no request of the annotation service, so there is no upload to tell of: "
            "hand it in by processContent, or leave mongo_tasks out of the pipeline."
        ) from None


def _file(role: str, parcel: Parcel) -> Path:
    (artifact,) = parcel.chosen([role])
    return parcel.directory / artifact.path


async def _put_tasks(
    options: Options, parcel: Parcel, base: AnnotationBase, request: Request, listed: TaskList
) -> None:
    place, boxes, now = _place(options, parcel), _boxes(options, parcel), parcel.tools.clock.now()
    old = [one["_id"] for one in await base.tasks(str(request.upload))]
    tree, documents = parcel.directory / parcel.chosen([options.tree], trees=True)[0].path, []
    numbers = {task.name: task for task in listed.tasks}
    done = 0
    for name, group in groupby(_rows(options, parcel), key=lambda row: row.task):
        rows, task = list(group), numbers[name]
        task_id = key(id_of(parcel.job.id, task.number))
        frames = []
        for row in rows:
            image, small = (
                f"{place}{quote(path)}" if (tree / path).is_file() else None
                for path in (f"{name}/{row.index}.jpg", f"{name}/{row.index}_thumbnail.jpg")
            )
            found = boxes.get((name, row.index), [])
            document = frame_document(task_id, row, found, image=image, small=small)
            frames.append({"_id": key(id_of(parcel.job.id, task.number, row.index)), **document})
        await base.put_frames(frames)
        url = f"{place}{quote(task.video)}" if task.video else None
        documents.append({"_id": task_id, **task_document(request, listed, task, rows, url=url, now=now)})
        done += len(rows)
        parcel.progress(float(done), float(listed.frames), "frames", None)
    changes = {**upload_done(request, listed, now), f"{OURS}.done": parcel.job.id}
    await base.put_upload(str(request.upload), str(parcel.job.facts["project_id"]), documents, changes)
    mine = {one["_id"] for one in documents}
    await base.sweep([one for one in old if one not in mine])


async def _put_boxes(
    options: Options, parcel: Parcel, base: AnnotationBase, request: Request, listed: TaskList
) -> None:
    there = {one["taskName"]: one["_id"] for one in await base.tasks(str(request.upload))}
    missing = [task.name for task in listed.tasks if task.name not in there]
    if missing:
        raise Refused(
            f"The upload has no task {missing[0]!r} to put boxes into: its tasks are of another recording or rate; "
            "ask for tasks and annotations (request type 1)."
        )
    boxes = _boxes(options, parcel)

    def found() -> Iterator[tuple[Any, int, dict[str, Any]]]:
        for row in _rows(options, parcel):
            mine = boxes.get((row.task, row.index), [])
            yield there[row.task], row.index, {"boxes": [box_document(at, one) for at, one in enumerate(mine, 1)]}

    changes = {**upload_done(request, listed, parcel.tools.clock.now()), f"{OURS}.done": parcel.job.id}
    await base.put_boxes(str(request.upload), str(parcel.job.facts["project_id"]), found(), changes, request.version)


def _rows(options: Options, parcel: Parcel) -> Iterator[Sample]:
    """The manifest's rows, one after another: it may be long."""
    with _file(options.manifest, parcel).open() as lines:
        for line in lines:
            yield Sample.from_json(json.loads(line))


def _boxes(options: Options, parcel: Parcel) -> Boxes:
    if options.annotations not in parcel.artifacts:
        return {}
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with _file(options.annotations, parcel).open() as lines:
        for line in lines:
            row = json.loads(line)
            found[row["task"], row["index"]] = row["boxes"]
    return found


def _place(options: Options, parcel: Parcel) -> str:
    """The address before each file of the tree, by the receipt of who put it out."""
    receipts = parcel.receipts
    if options.files:
        receipts = {name: one for name, one in receipts.items() if name == options.files}
    for receipt in receipts.values():
        for one in (*receipt.facts.get("trees", ()), *receipt.facts.get("files", ())):
            if one.get("role") == options.tree and (url := one.get("url") or receipt.url):
                return f"{url.rstrip('/')}/"
    names = ", ".join(parcel.receipts) or "none"
    raise Refused(
        f"No publisher says where it put the tasks (there are {names}): publish the tree {options.tree!r} first."
    )

"""Publishes a data set, task by task: its objects into the bucket, then what its documents say, and last that it is complete.

Objects that are in the bucket are not sent again, and documents that already say it are not written again. Every step can
be repeated, so that an attempt without an answer continues after the last finished task.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused
from vidd.files.content_type import content_type
from vidd.files.digest import digest_of
from vidd.integrations.aws.account import Account
from vidd.integrations.aws.s3_target import Target, safe_key
from vidd.integrations.aws.s3_tree import OpenUploads, TreeFile, TreeUpload
from vidd.integrations.aws.s3_uri import web_address
from vidd.integrations.datasets.build_record import DIRECTORY, EXPORTS, BuildRecord
from vidd.integrations.datasets.connection import Connection, Location, check_connection, connect
from vidd.integrations.datasets.documents import COMPLETE, PENDING
from vidd.integrations.datasets.plan import ROOT
from vidd.integrations.datasets.plan_line import PlanLine
from vidd.model.publication import Receipt
from vidd.settings.types import Size
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.datasets.model import Version
    from vidd.ports import PublishContext, Tools

_COUNTED = ("sent", "sent_bytes", "equal", "dropped")


class Options(Location):
    """The settings of a publisher of kind `data_set`; database, account and bucket are those of the step."""

    at_once: int = Field(8, ge=1, le=32, description="Objects sent at once.")
    part_size: Size = Field(
        Size(16 * 2**20), ge=5 * 2**20, le=5 * 2**30, description="Size of a part of a large object."
    )


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Publish all of it. Refused, with the rest published, where tasks are faulty: the version is not complete then."""
    identity = str(context.facts.get("data_set") or "")
    if not identity or not {"objects", "plan"} <= set(context.artifacts):
        raise Refused(
            "There is no data set to publish: add a step of kind data_set before the publisher.",
            code=FaultCode.BAD_SETTINGS,
        )
    async with connect(options, context.tools) as connection:
        version = await connection.documents.version(identity)
        return await _Publication(options, context, connection, version).run()


async def reconcile(_options: Options, _context: PublishContext) -> Receipt | None:
    """None: `publish` finds whatever arrived, and does not send it again."""
    return None


async def check(options: Options, tools: Tools) -> str:
    """Ask for the documents and the bucket."""
    return await check_connection(options, tools)


@dataclass
class _Publication:
    """One data set on its way out."""

    options: Options
    context: PublishContext
    connection: Connection
    version: Version

    def __post_init__(self) -> None:
        """Find the files of the plan; nothing is sent yet."""
        context = self.context
        self._tree = context.directory / context.artifacts["objects"].path
        self._plan = context.directory / context.artifacts["plan"].path
        self._record = BuildRecord(context.tools.path(DIRECTORY) / self.version.id)
        self._meter = ProgressMeter(
            "data_set", "upload", progress=context.progress, observe=context.tools.observe, total=0
        )
        self._token: dict[str, Any] = {}
        self._percent = -1

    async def run(self) -> Receipt:
        plan = await digest_of(self._plan)
        known = self.context.publication.token
        self._token = dict(known) if known.get("plan") == plan else {"plan": plan, "done": 0, "did": {}, "parts": {}}
        document = await self.connection.documents.find(self.version.id) or {}
        changing = await in_thread(self._changing_tasks, document)
        if changing is not None:
            await self._send_all(changing, document)
        self._meter.report()
        did = {name: self._token["did"].get(name, 0) for name in _COUNTED}
        account = self.context.tools.account(self.options.account, Account)
        url = web_address(account, self.connection.bucket, f"{self._root}/{self.version.id}/")
        return Receipt(
            url, {"bucket": self.connection.bucket, "prefix": f"{self._root}/", "version": self.version.id, **did}
        )

    @property
    def _root(self) -> str:
        return f"{ROOT}/{self.version.group}"

    def _changing_tasks(self, document: Mapping[str, Any]) -> list[str] | None:
        """The tasks that must be changed; None where everything is complete."""
        status = document.get("taskStatus") or {}
        known = {str(task.get("task")): task for task in status.get("tasks") or () if isinstance(task, dict)}
        changing = [line for line in _lines(self._plan) if not line.is_done(known)]
        if not changing and status.get("state") == COMPLETE:
            return None
        return [line.task for line in changing if line.task is not None]

    async def _send_all(self, changing: Sequence[str], document: Mapping[str, Any]) -> None:
        documents, done = self.connection.documents, int(self._token["done"])
        tasks = list(self.version.tasks)
        remaining = [task for task in changing if task in tasks and tasks.index(task) >= done]
        await documents.mark_pending(self.version, changing=remaining)
        faults: list[str] = []
        totals = {"imageCount": 0, "size": 0}
        changing_tasks = frozenset(changing)
        for number, line in enumerate(_lines(self._plan)):
            if line.error is not None:
                faults.append(line.error)
            for name, count in line.totals.items():
                totals[name] += count
            if number < done:
                continue
            if line.task is None:
                await self._send_exports(line)
                continue
            if line.task in changing_tasks:
                await self._send_task(line.task, line)
                self._token["done"] = number + 1
                await self.context.checkpoint(self._token)
            await self._progress(number, len(tasks))
        if faults:
            more = f" ({len(faults)} tasks are left out.)" if len(faults) > 1 else ""
            raise Refused(f"{faults[0]}{more} All other tasks are published; correct the fault and retry.")
        await self._finish(document, totals)

    async def _send_task(self, task: str, line: PlanLine) -> None:
        """Objects first, then the documents that name them; objects that no document names any more are dropped last."""
        documents = self.connection.documents
        if line.error is not None:
            await documents.finish_task(self.version.id, task, {"state": PENDING, "error": line.error})
            return
        if line.removed:
            await documents.remove_task(self.version.id, task, line.drop)
            await self._drop(task, line.drop)
            await in_thread(self._record.delete, task)
            return
        await self._send(f"{self._root}/{task}/", line.send)
        await documents.change_frames(self.version.id, line.changes)
        if line.join:
            await documents.add_version(self.version, task)
        await self._drop(task, line.drop)
        await in_thread(self._keep_shares, task)
        await documents.finish_task(self.version.id, task, {"state": COMPLETE, "error": "none", **line.counts})

    def _keep_shares(self, task: str) -> None:
        record = self._record.read(task)
        if record.shares != list(self.version.shares):
            record.shares = list(self.version.shares)
            self._record.write(task, record)

    async def _send_exports(self, line: PlanLine) -> None:
        await self._send(f"{self._root}/{self.version.id}/", line.send)
        await self._drop(EXPORTS, line.drop)

    async def _send(self, root: str, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        upload = TreeUpload(
            self.connection.s3,
            self.connection.bucket,
            {key: TreeFile(self._tree / key, size, self._target(key)) for key, size, _ in rows},
            roots=[root],
            part_size=int(self.options.part_size),
            at_once=self.options.at_once,
            sleep=self.connection.sleep,
        )
        await upload.list_existing()
        done = await upload.run(self._meter, OpenUploads(dict(self._token["parts"]), self._save_part))
        self._count(**done.to_json())

    def _target(self, key: str) -> Target:
        extra = {"ContentType": content_type(key)}
        # The keys of the group are replaced, whoever wrote them: another system may have begun the data set.
        return Target(
            self.connection.bucket, safe_key(key), f"data-set-{self.version.group}", extra=extra, overwrite=True
        )

    async def _save_part(self, key: str, state: Mapping[str, Any] | None) -> None:
        if state is None:
            self._token["parts"].pop(key, None)
        elif state.get("upload_id") is not None:
            self._token["parts"][key] = dict(state)
        else:
            return
        await self.context.checkpoint(self._token)

    async def _drop(self, task: str, keys: Sequence[str]) -> None:
        """Delete objects; only those that vidd recorded as its own are ever named."""
        if not keys:
            return
        upload = TreeUpload(
            self.connection.s3,
            self.connection.bucket,
            {},
            roots=[],
            part_size=1,
            at_once=self.options.at_once,
            sleep=self.connection.sleep,
        )
        await upload.delete(keys)
        await in_thread(partial(self._forget, task, keys))
        self._count(dropped=len(keys))

    def _forget(self, task: str, keys: Sequence[str]) -> None:
        record = self._record.read(task)
        for key in keys:
            record.made.pop(key, None)
        self._record.write(task, record)

    def _count(self, **numbers: int) -> None:
        did = self._token["did"]
        for name, number in numbers.items():
            did[name] = did.get(name, 0) + number

    async def _progress(self, number: int, total: int) -> None:
        percent = min(99, 100 * (number + 1) // max(1, total))
        if percent != self._percent:
            self._percent = percent
            await self.connection.documents.progress(self.version, percent, self.context.tools.clock.now())

    async def _finish(self, document: Mapping[str, Any], totals: Mapping[str, int]) -> None:
        now, field = self.context.tools.clock.now(), f"exportFormats.{self.version.format}"
        values: dict[str, Any] = {**totals, f"{field}.progress": 100, f"{field}.fileCount": totals["imageCount"]}
        if not ((document.get("exportFormats") or {}).get(self.version.format) or {}).get("createdAt"):
            values[f"{field}.createdAt"] = now
        fields = {
            "samples.zip": f"{field}.sample",
            "coco.json": "exportFormats.COCO.file",
            "cvat.xml": "exportFormats.CVAT.file",
        }
        record = await in_thread(self._record.read, EXPORTS)
        for key in record.made:
            values[fields[key.rpartition("/")[2]]] = key
        await self.connection.documents.finish(self.version, values, now)


def _lines(path: Path) -> Iterator[PlanLine]:
    with path.open() as file:
        for line in file:
            yield PlanLine.from_json(json.loads(line))

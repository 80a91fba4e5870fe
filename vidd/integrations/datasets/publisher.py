"""Put a data set out, task by task: its objects into the bucket, then what its documents say, and at the very last that it is whole.

Objects that are in the bucket are not sent again, documents that say it already are not written again. Whatever was cut off
in the middle can be done once more, so an attempt that got no answer simply goes on after the last finished task.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.files.content_type import content_type
from vidd.integrations.aws.account import Account
from vidd.integrations.aws.s3_target import Target, safe_key
from vidd.integrations.aws.s3_tree import OpenUploads, TreeFile, TreeUpload
from vidd.integrations.aws.s3_uri import web_address
from vidd.integrations.datasets.documents import COMPLETE, PENDING
from vidd.integrations.datasets.options import Open, Place, asked, opened
from vidd.integrations.datasets.plan import ROOT
from vidd.integrations.datasets.split_record import WHOLE, Ledger
from vidd.model.publication import Receipt
from vidd.settings.types import Size
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.datasets.model import Version
    from vidd.ports import PublishContext, Tools

_LEDGERS = "data-sets"
_COUNTED = ("sent", "sent_bytes", "equal", "dropped")


class Options(Place):
    """The settings of a publisher of kind `data_set`; places are those of the step."""

    at_once: int = Field(8, ge=1, le=32, description="Objects sent at once.")
    part_size: Size = Field(Size(16 * 2**20), ge=5 * 2**20, le=5 * 2**30, description="Size of a part of a large one.")


async def publish(options: Options, context: PublishContext) -> Receipt:
    """Bring it there. Refused, with the rest of it out, where tasks are at fault: it does not count as whole then."""
    identity = str(context.facts.get("data_set") or "")
    if not identity or not {"objects", "plan"} <= set(context.artifacts):
        raise Refused("There is no data set to put out: let a step of kind data_set make it.")
    async with opened(options, context.tools) as here:
        version = await here.documents.version(identity)
        return await _Publication(options, context, here, version).run()


async def reconcile(_options: Options, _context: PublishContext) -> Receipt | None:
    """None: whatever arrived is found, and not sent again."""
    return None


async def check(options: Options, tools: Tools) -> str:
    """Ask for the documents and the bucket."""
    return await asked(options, tools)


@dataclass
class _Publication:
    """One data set on its way out."""

    options: Options
    context: PublishContext
    here: Open
    version: Version

    def __post_init__(self) -> None:
        """Nothing is touched yet."""
        context = self.context
        self._tree = context.directory / context.artifacts["objects"].path
        self._plan = context.directory / context.artifacts["plan"].path
        self._ledger = Ledger(context.tools.path(_LEDGERS) / self.version.id)
        self._meter = ProgressMeter(
            "data_set", "upload", progress=context.progress, observe=context.tools.observe, total=0
        )
        self._token: dict[str, Any] = {}
        self._percent = -1

    async def run(self) -> Receipt:
        plan = await in_thread(_digest, self._plan)
        known = self.context.publication.token
        self._token = dict(known) if known.get("plan") == plan else {"plan": plan, "done": 0, "did": {}, "parts": {}}
        document = await self.here.documents.find(self.version.id) or {}
        changes = await in_thread(self._changing, document)
        if changes is not None:
            await self._bring(changes, document)
        self._meter.report()
        did = {name: self._token["did"].get(name, 0) for name in _COUNTED}
        account = self.context.tools.account(self.options.account, Account)
        url = web_address(account, self.here.bucket, f"{self._root}/{self.version.id}/")
        return Receipt(url, {"bucket": self.here.bucket, "prefix": f"{self._root}/", "version": self.version.id, **did})

    @property
    def _root(self) -> str:
        return f"{ROOT}/{self.version.group}"

    def _changing(self, document: Mapping[str, Any]) -> list[str] | None:
        """The tasks that something is to be done about; None where all is as it should be."""
        status = document.get("taskStatus") or {}
        said = {str(task.get("task")): task for task in status.get("tasks") or () if isinstance(task, dict)}
        busy = [line for line in _lines(self._plan) if not _is_idle(line, said)]
        if not busy and status.get("state") == COMPLETE:
            return None
        return [line["task"] for line in busy if "task" in line]

    async def _bring(self, changing: Sequence[str], document: Mapping[str, Any]) -> None:
        documents, done = self.here.documents, int(self._token["done"])
        tasks = list(self.version.tasks)
        later = [task for task in changing if task in tasks and tasks.index(task) >= done]
        await documents.begin(self.version, anew=later)
        faulty: list[str] = []
        totals = {"imageCount": 0, "size": 0}
        busy = frozenset(changing)
        for number, line in enumerate(_lines(self._plan)):
            if "error" in line:
                faulty.append(line["error"])
            for name, count in _totals(line).items():
                totals[name] += count
            if number < done:
                continue
            if "whole" in line:
                await self._whole(line)
                continue
            if line["task"] in busy:
                await self._task(line)
                self._token["done"] = number + 1
                await self.context.checkpoint(self._token)
            await self._progress(number, len(tasks))
        if faulty:
            more = f" ({len(faulty)} tasks are.)" if len(faulty) > 1 else ""
            raise Refused(f"{faulty[0]}{more} All else is out; correct it and retry.")
        await self._finish(document, totals)

    async def _task(self, line: Mapping[str, Any]) -> None:
        """Objects first, then who speaks of them, and what nobody speaks of any more last."""
        task, documents = line["task"], self.here.documents
        if "error" in line:
            await documents.finish_task(self.version.id, task, {"state": PENDING, "error": line["error"]})
            return
        if line.get("left"):
            await documents.leave(self.version.id, task, line["drop"])
            await self._drop(task, line["drop"])
            await in_thread(self._ledger.forget, task)
            return
        await self._send(f"{self._root}/{task}/", line["send"])
        await documents.change_frames(self.version.id, line["changes"])
        if line["join"]:
            await documents.join(self.version, task)
        await self._drop(task, line["drop"])
        await in_thread(self._keep_shares, task)
        await documents.finish_task(self.version.id, task, {"state": COMPLETE, "error": "none", **line["counts"]})

    def _keep_shares(self, task: str) -> None:
        page = self._ledger.read(task)
        if page.shares != list(self.version.shares):
            page.shares = list(self.version.shares)
            self._ledger.write(task, page)

    async def _whole(self, line: Mapping[str, Any]) -> None:
        await self._send(f"{self._root}/{self.version.id}/", line["send"])
        await self._drop(WHOLE, line["drop"])

    async def _send(self, root: str, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        upload = TreeUpload(
            self.here.s3,
            self.here.bucket,
            {key: TreeFile(self._tree / key, size, self._target(key)) for key, size, _ in rows},
            roots=[root],
            part_size=int(self.options.part_size),
            at_once=self.options.at_once,
            sleep=self.here.sleep,
        )
        await upload.list_existing()
        done = await upload.run(self._meter, OpenUploads(dict(self._token["parts"]), self._save_part))
        self._count(**done.to_json())

    def _target(self, key: str) -> Target:
        extra = {"ContentType": content_type(key)}
        # Whatever lies there, the group's own keys are made anew: another system may have begun it.
        return Target(self.here.bucket, safe_key(key), f"data-set-{self.version.group}", extra=extra, overwrite=True)

    async def _save_part(self, key: str, state: Mapping[str, Any] | None) -> None:
        if state is None:
            self._token["parts"].pop(key, None)
        elif state.get("upload_id") is not None:
            self._token["parts"][key] = dict(state)
        else:
            return
        await self.context.checkpoint(self._token)

    async def _drop(self, task: str, keys: Sequence[str]) -> None:
        """Only what the ledger says that vidd made is dropped; it forgets it afterwards."""
        if not keys:
            return
        upload = TreeUpload(
            self.here.s3,
            self.here.bucket,
            {},
            roots=[],
            part_size=1,
            at_once=self.options.at_once,
            sleep=self.here.sleep,
        )
        await upload.delete(keys)
        await in_thread(partial(self._forget, task, keys))
        self._count(dropped=len(keys))

    def _forget(self, task: str, keys: Sequence[str]) -> None:
        page = self._ledger.read(task)
        for key in keys:
            page.made.pop(key, None)
        self._ledger.write(task, page)

    def _count(self, **more: int) -> None:
        did = self._token["did"]
        for name, number in more.items():
            did[name] = did.get(name, 0) + number

    async def _progress(self, number: int, total: int) -> None:
        percent = min(99, 100 * (number + 1) // max(1, total))
        if percent != self._percent:
            self._percent = percent
            await self.here.documents.progress(self.version, percent, self.context.tools.clock.now())

    async def _finish(self, document: Mapping[str, Any], totals: Mapping[str, int]) -> None:
        now, shape = self.context.tools.clock.now(), f"exportFormats.{self.version.format}"
        said: dict[str, Any] = {**totals, f"{shape}.progress": 100, f"{shape}.fileCount": totals["imageCount"]}
        if not ((document.get("exportFormats") or {}).get(self.version.format) or {}).get("createdAt"):
            said[f"{shape}.createdAt"] = now
        named = {
            "samples.zip": f"{shape}.sample",
            "coco.json": "exportFormats.COCO.file",
            "cvat.xml": "exportFormats.CVAT.file",
        }
        page = await in_thread(self._ledger.read, WHOLE)
        for key in page.made:
            said[named[key.rpartition("/")[2]]] = key
        await self.here.documents.finish(self.version, said, now)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        for line in file:
            yield json.loads(line)


def _is_idle(line: Mapping[str, Any], said: Mapping[str, Mapping[str, Any]]) -> bool:
    if line.get("send") or line.get("drop") or line.get("changes") or line.get("join"):
        return False
    if "whole" in line:
        return True
    if "error" in line or line.get("left"):
        return False
    status = said.get(line["task"], {})
    wanted = {"state": COMPLETE, "error": "none", **line["counts"]}
    return all(status.get(name) == value for name, value in wanted.items())


def _totals(line: Mapping[str, Any]) -> dict[str, int]:
    counts = line.get("counts")
    if not counts:
        return {}
    changed = list(counts.get("augmentationFileCounts", {}).values())
    images = counts["imageCount"] + sum(augmentation_file_count["count"] for augmentation_file_count in changed)
    return {
        "imageCount": images,
        "size": counts["imageDataSize"] + sum(augmentation_file_count["size"] for augmentation_file_count in changed),
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""What a data set is as a whole, gathered task by task: the rows of its lists, and its samples."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from vidd.aio.bounded import gather_bounded
from vidd.aio.shield import in_thread
from vidd.files.disk_space import retry_if_full
from vidd.integrations.aws.s3_tree import ListedObject, list_objects
from vidd.integrations.datasets.build import TREE
from vidd.integrations.datasets.model import digest
from vidd.integrations.datasets.plan import ROOT, key_differs
from vidd.integrations.datasets.split_record import WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.datasets.build import Workshop
    from vidd.integrations.datasets.model import Version
    from vidd.integrations.datasets.plan import TaskPlan

_SAMPLES = 100
ROWS = ".rows.jsonl"
NAMES = {"coco": "coco.json", "cvat": "cvat.xml", "samples": "samples.zip"}


class Gathering:
    """Of one version. `formats` are what is to be made of it as a whole, of `NAMES`."""

    def __init__(self, workshop: Workshop, version: Version, formats: Sequence[str]) -> None:
        self._workshop, self._version, self._formats = workshop, version, formats
        self._path = workshop.context.directory / ROWS
        self._sum = hashlib.blake2b(digest_size=12)
        self._samples: dict[int, list[tuple[str, str, str, str, str]]] = {1: [], 2: [], 3: []}
        self._path.write_text("")

    @property
    def root(self) -> str:
        """What the keys of the whole begin with."""
        return f"{ROOT}/{self._version.group}/{self._version.id}/"

    def add(self, plan: TaskPlan) -> None:
        """Take in a task that is made."""
        lines = [json.dumps(plan.row(frame), sort_keys=True) + "\n" for frame in plan.frames]
        with retry_if_full(), self._path.open("a") as file:
            file.writelines(lines)
        for line in lines:
            self._sum.update(line.encode())
        for frame in plan.frames:
            key, text = frame.keys.image, frame.keys.text
            rank = digest(self._workshop.manner.seed, "sample", key)
            self._samples[frame.part].append((rank, key, str(frame.image), text, plan.page.made[text][2]))
        for part, most in enumerate(self._version.shares, 1):
            self._samples[part] = sorted(self._samples[part])[: round(most * _SAMPLES)]

    async def make(self) -> dict[str, Any]:
        """Make what differs. `send` is what is not in the bucket, `drop` what is there and is not wanted any more."""
        workshop, version = self._workshop, self._version
        here = workshop.open
        there = await list_objects(here.s3, here.bucket, self.root, here.sleep)
        page = await in_thread(workshop.ledger.read, WHOLE)
        made_of = self._made_of()
        lacking = {
            name: f"{self.root}{NAMES[name]}"
            for name in self._formats
            if not self._has(
                there, f"{self.root}{NAMES[name]}", page.is_made(f"{self.root}{NAMES[name]}", made_of[name])
            )
        }
        if lacking:
            samples = await self._fetched() if "samples" in lacking else []
            orders = {
                "room": str(workshop.tree),
                "rows": str(self._path),
                "labels": version.labels,
                "title": self._title,
                "want": lacking,
                "samples": samples,
            }

            def heard(said: Mapping[str, Any]) -> None:
                key, size, etag = said["made"]
                page.made[key] = (made_of[said["whole"]], size, etag)

            await workshop.child("whole", orders, heard)
            await in_thread(workshop.ledger.write, WHOLE, page)
        keys = [f"{self.root}{NAMES[name]}" for name in self._formats]
        send = [[key, *page.made[key][1:]] for key in keys if key_differs(there.get(key), *page.made[key][1:])]
        return {"send": send, "drop": [key for key in page.made if key not in keys]}

    @property
    def _title(self) -> str:
        return f"{self._version.group} {self._version.number}"

    def _made_of(self) -> dict[str, str]:
        lists = digest(self._sum.hexdigest(), self._version.labels, self._title)
        samples = digest("samples", self._chosen())
        return {name: samples if name == "samples" else digest(name, lists) for name in NAMES}

    def _chosen(self) -> list[tuple[str, str, str, str, str]]:
        return sorted((row for rows in self._samples.values() for row in rows), key=lambda row: row[1])

    def _has(self, there: Mapping[str, ListedObject], key: str, one: ListedObject | None) -> bool:
        if one is None:
            return False
        return there.get(key) == one or self._workshop.is_here(key, one)

    async def _fetched(self) -> list[tuple[str, str]]:
        """(name in the zip, file) of pictures and texts; what was not made just now is fetched."""
        room = self._workshop.context.directory / ".samples"
        await in_thread(room.mkdir, 0o777, False, True)
        files: list[tuple[str, str]] = []
        missing: list[tuple[str, Path, str]] = []
        for at, (_, image, image_sum, text, text_sum) in enumerate(self._chosen()):
            name = image.removesuffix(".jpg").replace("/", "_")
            for key, etag, end in ((image, image_sum, ".jpg"), (text, text_sum, ".txt")):
                path = self._workshop.context.directory / TREE / key
                if not path.is_file():
                    path = room / f"{at}{end}"
                    missing.append((key, path, etag))
                files.append((f"{name}{end}", str(path)))

        async def one(row: tuple[str, Path, str]) -> None:
            await self._workshop.get(*row)

        await gather_bounded(self._workshop.at_once, missing, one)
        return files

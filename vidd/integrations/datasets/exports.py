"""Builds what a data set has as a whole: its COCO and CVAT lists, and a zip of samples."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from vidd.aio.bounded import gather_bounded
from vidd.aio.shield import in_thread
from vidd.files.disk_space import retry_if_full
from vidd.integrations.aws.s3_tree import list_objects
from vidd.integrations.datasets.build_record import EXPORTS
from vidd.integrations.datasets.model import digest
from vidd.integrations.datasets.plan import ROOT, key_differs
from vidd.integrations.datasets.plan_line import PlanLine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vidd.integrations.aws.s3_tree import ListedObject
    from vidd.integrations.datasets.build import Builder
    from vidd.integrations.datasets.model import Version
    from vidd.integrations.datasets.plan import TaskPlan

ROWS = ".rows.jsonl"
SAMPLES = ".samples"
_SAMPLES = 100
_FILE_NAMES = {"coco": "coco.json", "cvat": "cvat.xml", "samples": "samples.zip"}


class _Sample(NamedTuple):
    """A frame that may be among the samples, in the order of their `rank`."""

    rank: str
    image: str
    image_sum: str
    text: str
    text_sum: str


class Exports:
    """The exports of one version, of these `formats`. Tasks are added one by one; then `build` makes what differs."""

    def __init__(self, builder: Builder, version: Version, formats: Sequence[str]) -> None:
        self._builder, self._version = builder, version
        self._directory = builder.context.directory
        self._rows = self._directory / ROWS
        self._rows_sum = hashlib.blake2b(digest_size=12)
        self._samples: dict[int, list[_Sample]] = {1: [], 2: [], 3: []}
        root = f"{ROOT}/{version.group}/{version.id}/"
        self._root, self._keys = root, {name: f"{root}{_FILE_NAMES[name]}" for name in formats}
        self._rows.write_text("")

    def add(self, plan: TaskPlan) -> None:
        """Take in a task that is built."""
        lines = [json.dumps(plan.row(frame), sort_keys=True) + "\n" for frame in plan.frames]
        with retry_if_full(), self._rows.open("a") as file:
            file.writelines(lines)
        for line in lines:
            self._rows_sum.update(line.encode())
        for frame in plan.frames:
            image, text = frame.keys.image, frame.keys.text
            rank = digest(self._builder.settings.seed, "sample", image)
            sample = _Sample(rank, image, str(frame.image), text, plan.record.made[text][2])
            self._samples[frame.part].append(sample)
        for part, share in enumerate(self._version.shares, 1):
            self._samples[part] = sorted(self._samples[part])[: round(share * _SAMPLES)]

    async def build(self) -> PlanLine:
        """Make what differs; the line drops the exports that are no longer wanted."""
        builder, connection = self._builder, self._builder.connection
        existing = await list_objects(connection.s3, connection.bucket, self._root, connection.sleep)
        record = await in_thread(builder.record.read, EXPORTS)
        fingerprints = self._fingerprints()

        def is_missing(name: str, key: str) -> bool:
            known = record.find(key, fingerprints[name])
            return known is None or not (existing.get(key) == known or builder.is_built(key, known))

        missing = {name: key for name, key in self._keys.items() if is_missing(name, key)}
        if missing:

            def note(answer: Mapping[str, Any]) -> None:
                key, size, checksum = answer["made"]
                record.made[key] = (fingerprints[answer["export"]], size, checksum)

            await builder.run_worker("exports", await self._orders(missing), note)
            await in_thread(builder.record.write, EXPORTS, record)
        keys = list(self._keys.values())
        send = _to_send(keys, record.made, existing)
        return PlanLine(None, send=send, drop=[key for key in record.made if key not in keys])

    async def _orders(self, missing: Mapping[str, str]) -> dict[str, Any]:
        return {
            "directory": str(self._builder.tree),
            "rows": str(self._rows),
            "labels": self._version.labels,
            "title": self._title,
            "missing": missing,
            "samples": await self._sample_files() if "samples" in missing else [],
        }

    @property
    def _title(self) -> str:
        return f"{self._version.group} {self._version.number}"

    def _fingerprints(self) -> dict[str, str]:
        lists = digest(self._rows_sum.hexdigest(), self._version.labels, self._title)
        samples = digest("samples", self._chosen_samples())
        return {name: samples if name == "samples" else digest(name, lists) for name in _FILE_NAMES}

    def _chosen_samples(self) -> list[_Sample]:
        return sorted(
            (sample for samples in self._samples.values() for sample in samples), key=lambda sample: sample.image
        )

    async def _sample_files(self) -> list[tuple[str, str]]:
        """(name in the zip, file) of images and texts; those that were not built just now are downloaded."""
        directory = self._directory / SAMPLES
        await in_thread(directory.mkdir, 0o777, False, True)
        files: list[tuple[str, str]] = []
        missing: list[tuple[str, Path, str]] = []
        for number, sample in enumerate(self._chosen_samples()):
            name = sample.image.removesuffix(".jpg").replace("/", "_")
            for key, checksum, suffix in (
                (sample.image, sample.image_sum, ".jpg"),
                (sample.text, sample.text_sum, ".txt"),
            ):
                path = self._builder.tree / key
                if not path.is_file():
                    path = directory / f"{number}{suffix}"
                    missing.append((key, path, checksum))
                files.append((f"{name}{suffix}", str(path)))

        async def fetch(row: tuple[str, Path, str]) -> None:
            await self._builder.fetch(*row)

        await gather_bounded(self._builder.at_once, missing, fetch)
        return files


def _to_send(
    keys: Sequence[str], made: Mapping[str, tuple[str, int, str]], existing: Mapping[str, ListedObject]
) -> list[list[Any]]:
    """(key, size, checksum) of the exports that are not in the bucket yet."""
    rows = [(key, made[key][1], made[key][2]) for key in keys]
    return [[key, size, checksum] for key, size, checksum in rows if key_differs(existing.get(key), size, checksum)]

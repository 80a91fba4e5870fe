"""Builds a version of a data set from annotated frames; makes only what changed.

The job's fact `data_set_version` names the version. The version, its tasks and their frames are read from MongoDB; a
frame's image is its stored one, or the frame of that number in its task's video. The tree `objects` has the files that are
not in the bucket yet, below their keys; `plan` says of each task which they are, what to drop, and what its documents must
say. A step that was killed continues after the last complete task.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import tree_artifact
from vidd.integrations.datasets.build import TREE, Builder
from vidd.integrations.datasets.build_record import DIRECTORY, BuildRecord
from vidd.integrations.datasets.connection import Location, check_connection, connect
from vidd.integrations.datasets.exports import ROWS, SAMPLES, Exports
from vidd.integrations.datasets.plan import BuildSettings, is_shared_image
from vidd.integrations.datasets.plan_line import PlanLine
from vidd.model.media import Artifact, Outcome

if TYPE_CHECKING:
    from vidd.integrations.datasets.model import Version
    from vidd.ports import StepContext, Tools


PLAN = "plan.jsonl"
_OBJECTS, _PLAN = "objects", "plan"


class Options(Location):
    """The settings of a step of kind `data_set`."""

    seed: int = Field(0, description="Seed of every random choice: the same seed gives the same data set.")
    share: float = Field(0.1, ge=0, le=1, description="The part of a task's frames that gets each augmentation.")
    quality: int = Field(90, ge=1, le=100, description="Quality of the JPEG files that vidd makes.")
    thumbnail: int = Field(250, ge=16, le=2000, description="The most pixels of a thumbnail's longer side.")
    augmented_names: Literal["versioned", "original"] = Field(
        "versioned",
        description="Names of augmented images: <version>_<augmentation>_<frame>.jpg, or the original's, without the version.",
    )
    formats: tuple[Literal["coco", "cvat", "samples"], ...] = Field(
        ("coco", "cvat", "samples"),
        description="Exports of the whole data set: COCO JSON, CVAT's XML, a zip of samples.",
    )
    at_once: int = Field(8, ge=1, le=32, description="Images downloaded at once.")


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset({_OBJECTS, _PLAN})


async def run(options: Options, context: StepContext) -> Outcome:
    """Build what differs. Refused where the version's document is not valid."""
    identity = str(context.job.facts.get("data_set_version", ""))
    if not identity:
        raise Refused("No data set version is named: ask for one by vidd dataset VERSION_ID.")
    async with connect(options, context.tools) as connection:
        version = await connection.documents.version(identity)
        plain = options.augmented_names == "original"
        settings = BuildSettings(options.quality, options.thumbnail, options.share, options.seed, plain)
        record = BuildRecord(context.tools.path(DIRECTORY) / version.id)
        builder = Builder(context, connection, record, settings, options.at_once)
        return await _Build(options, builder, version).run()


def is_still_valid(_options: Options, _context: StepContext, outcome: Outcome) -> bool:
    """Whether the outcome is still valid: a build with faulty tasks is repeated."""
    return not outcome.facts.get("faulty")


async def check(options: Options, tools: Tools) -> str:
    """Ask for the documents and the bucket."""
    return await check_connection(options, tools)


class _Build:
    """The build of one version, task by task."""

    def __init__(self, options: Options, builder: Builder, version: Version) -> None:
        self._options, self._builder, self._version = options, builder, version
        self._documents = builder.connection.documents
        self._plan_file = builder.context.directory / PLAN
        self._faulty: dict[str, str] = {}
        self._frames = 0
        self._doubtful = {"outside": 0, "unlisted": 0}

    async def run(self) -> Outcome:
        context, version = self._builder.context, self._version
        await self._documents.create_index()
        await self._documents.mark_pending(version)
        exports = await in_thread(Exports, self._builder, version, self._options.formats)
        await in_thread(self._builder.tree.mkdir, 0o777, True, True)
        with retry_if_full(), self._plan_file.open("w") as file:
            for number, task in enumerate(version.tasks):
                context.progress(float(number), float(len(version.tasks)), "tasks", None)
                file.write(json.dumps((await self._build_task(task, exports)).to_json()) + "\n")
            for task in await self._removed_tasks():
                file.write(json.dumps((await self._remove_task(task)).to_json()) + "\n")
            line = PlanLine(None) if self._faulty else await exports.build()
            file.write(json.dumps(line.to_json()) + "\n")
        return await in_thread(self._outcome)

    async def _build_task(self, task: str, exports: Exports) -> PlanLine:
        """The plan's line of a task; of a faulty one, the reason."""
        try:
            plan = await self._builder.build_task(self._version, task)
        except Refused as fault:
            self._faulty[task] = f"The task {task} is left out: {fault.sentence.rstrip('.')}."
            return PlanLine(task, error=self._faulty[task])
        self._frames += len(plan.frames)
        for name, count in plan.doubtful_boxes().items():
            self._doubtful[name] += count
        await in_thread(exports.add, plan)
        obsolete = plan.obsolete_keys(shared=False)
        if obsolete:
            obsolete = plan.obsolete_keys(shared=await self._documents.is_shared(self._version, task))
        return PlanLine(
            task,
            counts=plan.counts(),
            send=plan.to_send(),
            drop=obsolete,
            changes=[change.to_json() for change in plan.changes()],
            join=self._version.id not in plan.document.versions,
        )

    async def _removed_tasks(self) -> list[str]:
        """The tasks that were in the version before, and no longer are."""
        known = {*await in_thread(self._builder.record.tasks), *await self._documents.members(self._version.id)}
        return sorted(known.difference(self._version.tasks))

    async def _remove_task(self, task: str) -> PlanLine:
        """The plan's line of a task that is no longer in the version."""
        record = await in_thread(self._builder.record.read, task)
        shared = await self._documents.is_shared(self._version, task)
        # An image that came from a video is the only one a frame has: it stays.
        named = await self._documents.image_keys(task)
        named |= {f"{key.removesuffix('.jpg')}_thumbnail.jpg" for key in named}
        kept = {key for key in record.made if is_shared_image(key) and (shared or key in named)}
        return PlanLine(task, removed=True, drop=sorted(record.made.keys() - kept))

    def _outcome(self) -> Outcome:
        directory = self._builder.context.directory
        (directory / ROWS).unlink()
        shutil.rmtree(directory / SAMPLES, ignore_errors=True)
        plan = Artifact(_PLAN, PLAN, self._plan_file.stat().st_size, "application/jsonl")
        facts = {
            "data_set": self._version.id,
            "frames": self._frames,
            "tasks": len(self._version.tasks) - len(self._faulty),
            "faulty": self._faulty,
            "left_out": [{"name": "boxes", "why": why} for why in self._box_notes()],
        }
        return Outcome((tree_artifact(_OBJECTS, directory, TREE), plan), facts)

    def _box_notes(self) -> list[str]:
        notes = {
            "outside": "lie partly or wholly outside of their frame: only the part on the frame counts.",
            "unlisted": "have a label that the version's labelAttributeList does not list: they are no part of it.",
        }
        return [f"{self._doubtful[name]} {note}" for name, note in notes.items() if self._doubtful[name]]

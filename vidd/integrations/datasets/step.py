"""Make a version of a data set: what its frames' annotations and pictures are as objects, of which only what changed is made.

The job's fact `data_set_version` says which. What is asked for, the tasks and their frames are read from MongoDB; a
frame's picture is its stored one, or the one of that number in its task's video. The tree `objects` has the files that are
not in the bucket yet, below their keys; `plan` says of each task which they are, what is to be dropped, and what its
documents are to say. Killed, it goes on after the last whole task.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import tree_artifact
from vidd.integrations.datasets.build import TREE, Workshop
from vidd.integrations.datasets.collect import ROWS, Gathering
from vidd.integrations.datasets.options import Place, asked, opened
from vidd.integrations.datasets.plan import Manner, is_picture
from vidd.integrations.datasets.split_record import Ledger
from vidd.model.media import Artifact, Outcome

if TYPE_CHECKING:
    from vidd.integrations.datasets.documents import Documents
    from vidd.integrations.datasets.model import Version
    from vidd.integrations.datasets.plan import TaskPlan
    from vidd.ports import StepContext, Tools


PLAN = "plan.jsonl"
_LEDGERS = "data-sets"


class Options(Place):
    """The settings of a step of kind `data_set`."""

    seed: int = Field(0, description="What all chance is drawn from: the same seed, the same data set.")
    share: float = Field(0.1, ge=0, le=1, description="How many of a task's frames get each augmentation.")
    quality: int = Field(90, ge=1, le=100, description="Quality of JPEG files that are made.")
    thumbnail: int = Field(250, ge=16, le=2000, description="The most pixels of a small picture's longer side.")
    formats: tuple[Literal["coco", "cvat", "samples"], ...] = Field(
        ("coco", "cvat", "samples"),
        description="What is made of the whole besides: COCO JSON, CVAT's XML, a zip of samples.",
    )
    at_once: int = Field(8, ge=1, le=32, description="Pictures fetched at once.")


async def run(options: Options, context: StepContext) -> Outcome:
    """Make what differs; Refused where the version makes no sense, or every task of it is at fault."""
    identity = str(context.job.facts.get("data_set_version", ""))
    if not identity:
        raise Refused("Which data set is to be made nobody says: ask for one by vidd dataset VERSION_ID.")
    async with opened(options, context.tools) as here:
        version = await here.documents.version(identity)
        manner = Manner(options.quality, options.thumbnail, options.share, options.seed)
        ledger = Ledger(context.tools.path(_LEDGERS) / version.id)
        workshop = Workshop(context, here, ledger, manner, options.at_once)
        return await _Making(options, workshop, version, here.documents).run()


def is_still_valid(_options: Options, _context: StepContext, outcome: Outcome) -> bool:
    """Whether what was made serves: where tasks were at fault, they are looked at again."""
    return not outcome.facts.get("faulty")


async def check(options: Options, tools: Tools) -> str:
    """Ask for the documents and the bucket."""
    return await asked(options, tools)


class _Making:
    """One version, task by task."""

    def __init__(self, options: Options, workshop: Workshop, version: Version, documents: Documents) -> None:
        self._options, self._workshop, self._version, self._documents = options, workshop, version, documents
        self._plan = workshop.context.directory / PLAN
        self._faulty: dict[str, str] = {}
        self._frames = 0
        self._doubts = {"outside": 0, "unlisted": 0}

    async def run(self) -> Outcome:
        context, version = self._workshop.context, self._version
        await self._documents.ready()
        await self._documents.begin(version)
        gathering = await in_thread(Gathering, self._workshop, version, self._options.formats)
        await in_thread(self._workshop.tree.mkdir, 0o777, True, True)
        with retry_if_full(), self._plan.open("w") as file:
            for number, task in enumerate(version.tasks):
                context.progress(float(number), float(len(version.tasks)), "tasks", None)
                file.write(json.dumps(await self._task(task, gathering)) + "\n")
            for task in await self._left():
                file.write(json.dumps(await self._leave(task)) + "\n")
            whole = {"send": [], "drop": []} if self._faulty else await gathering.make()
            file.write(json.dumps({"whole": True, **whole}) + "\n")
        return await in_thread(self._outcome)

    async def _task(self, task: str, gathering: Gathering) -> dict[str, Any]:
        try:
            plan = await self._workshop.task(self._version, task)
        except Refused as fault:
            self._faulty[task] = f"The task {task} is left out: {fault.sentence.rstrip('.')}."
            return {"task": task, "error": self._faulty[task]}
        self._frames += len(plan.frames)
        for name, count in plan.doubts().items():
            self._doubts[name] += count
        await in_thread(gathering.add, plan)
        return {"task": task, **await self._said(plan)}

    async def _said(self, plan: TaskPlan) -> dict[str, Any]:
        lost = plan.gone(shared=False)
        if lost:
            lost = plan.gone(shared=await self._documents.shared(self._version, plan.task))
        return {
            "counts": plan.counts(),
            "send": plan.to_send(),
            "drop": lost,
            "changes": [change.to_json() for change in plan.changes()],
            "join": self._version.id not in plan.document.versions,
        }

    async def _left(self) -> list[str]:
        """The tasks that were in the version before."""
        known = {*await in_thread(self._workshop.ledger.tasks), *await self._documents.members(self._version.id)}
        return sorted(known.difference(self._version.tasks))

    async def _leave(self, task: str) -> dict[str, Any]:
        page = await in_thread(self._workshop.ledger.read, task)
        shared = await self._documents.shared(self._version, task)
        # What came from a film is the only picture that a frame has, and stays.
        named = await self._documents.pictures(task)
        named |= {f"{key.removesuffix('.jpg')}_thumbnail.jpg" for key in named}
        kept = [key for key in page.made if is_picture(key) and (shared or key in named)]
        return {"task": task, "left": True, "drop": sorted(page.made.keys() - set(kept))}

    def _outcome(self) -> Outcome:
        directory = self._workshop.context.directory
        (directory / ROWS).unlink()
        shutil.rmtree(directory / ".samples", ignore_errors=True)
        plan = Artifact("plan", PLAN, self._plan.stat().st_size, "application/jsonl")
        facts = {
            "data_set": self._version.id,
            "frames": self._frames,
            "tasks": len(self._version.tasks) - len(self._faulty),
            "faulty": self._faulty,
            "left_out": [{"name": name, "why": why} for name, why in self._notes()],
        }
        return Outcome((tree_artifact("objects", directory, TREE), plan), facts)

    def _notes(self) -> list[tuple[str, str]]:
        outside, unlisted = self._doubts["outside"], self._doubts["unlisted"]
        notes = []
        if outside:
            notes.append(
                ("boxes", f"{outside} lie partly or wholly outside of their picture: only what is on it counts.")
            )
        if unlisted:
            notes.append(
                (
                    "boxes",
                    f"{unlisted} are of a label that the version's labelAttributeList has not: they are no part of it.",
                )
            )
        return notes

"""Take frames out of a recording at a rate: a film for each task of so many frames, and which picture each frame is.

The manifest has a row for every frame (`vidd.model.frame_manifest.Sample`): its task and place in it, the picture's number and
time in the recording, and the hash of its pixels. Which pictures are taken is `vidd.model.sampling`'s rule. Images, a
zip of them or a directory, become tasks of so many images with the same rows.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import tree_artifact
from vidd.media.ffmpeg.settings import Preset
from vidd.media.frames.task_store import TASKS, Shelf
from vidd.model.frame_manifest import Task, TaskList
from vidd.model.media import Artifact, Outcome
from vidd.processes.worker_client import WorkerDied, prepare_directory, run_worker
from vidd.settings.templates import file_name
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.ports import StepContext


_MEMORY = 8 << 30
# Seconds without a word; before the first one all packets of a recording are read.
_QUIET = 900.0
_ROOM = ".frames"
_SLOWEST, _FASTEST = 0.001, 1000
_MANIFEST, _LIST, _TREE = "manifest.jsonl", "task_list.json", "tasks"


class Options(Base):
    """The settings of a step of kind `frames`."""

    source: str = Field(
        "source", min_length=1, description="Role of the recording, the zip or the directory of images."
    )
    rate: float | None = Field(
        None, ge=_SLOWEST, le=_FASTEST, description="Frames a second; unset: what the job's fact frame_rate says."
    )
    per_task: int = Field(120, ge=1, le=100_000, description="How many frames a task has; the last one has the rest.")
    films: bool = Field(True, description="Make a film of each task.")
    images: bool = Field(False, description="Keep each frame as a JPEG file, too.")
    thumbnails: bool = Field(False, description="And a small one.")
    thumbnail: int = Field(250, ge=16, le=2000, description="The most pixels of a small one's longer side.")
    quality: int = Field(90, ge=1, le=100, description="Quality of the JPEG files.")
    # As good as 20 is elsewhere: without its macroblock tree (`vidd.media.frames.worker.task_video`) x264 spends more on the same number.
    crf: int = Field(22, ge=0, le=51, description="Quality of the films for x264: lower is better and larger.")
    preset: Preset = Field("veryfast", description="How much time x264 takes to make the films smaller.")
    keyframes: int = Field(25, ge=1, le=1000, description="The most frames of a film from one keyframe to the next.")
    deinterlace: bool = Field(True, description="Make interlaced pictures whole, from one field each.")
    prune: bool = Field(True, description="Do not decode what no frame needs; the frames are the same.")

    @model_validator(mode="after")
    def _something(self) -> Options:
        if not (self.films or self.images):
            raise ValueError("neither films nor images are to be made: set one of them")
        return self


async def run(options: Options, context: StepContext) -> Outcome:
    """Make the tree `tasks` (`<task>/<task>.mp4`, `<task>/<k>.jpg`), the `manifest` and the `task_list`."""
    taking = _Taking(options, context)
    made = await taking.run()
    tasks = [Task(**one) for one in made["tasks"]]
    listed = TaskList(
        taking.called,
        taking.rate,
        made["source_rate"],
        Fraction(made["time_base"]),
        made["width"],
        made["height"],
        options.per_task,
        tasks,
    )
    artifacts = await in_thread(_put, context.directory, listed)
    facts = {
        "frames": listed.frames,
        "tasks": len(tasks),
        "frame_rate": taking.rate,
        "lost": made["lost"],
        "pruned": made["dropped"],
        "deinterlaced": made["deinterlaced"],
        "left_out": _left_out(made, listed.frames),
    }
    return Outcome(artifacts, facts)


def _left_out(made: Mapping[str, Any], frames: int) -> list[dict[str, str]]:
    """What is not in the tasks, for people."""
    notes = [{"name": name, "why": f"{why}."} for name, why in made.get("unreadable", ())]
    if "unreadable" not in made and made["lost"]:
        whole = made["lost"] + frames
        notes = [
            {"name": "frames", "why": f"{made['lost']} of {whole} could not be decoded: the recording is damaged."}
        ]
    if others := made.get("others"):
        notes.append({"name": "files", "why": f"{others} are no images by their names."})
    return notes


class _Taking:
    """One recording, or images, on the way into tasks."""

    def __init__(self, options: Options, context: StepContext) -> None:
        self._options, self._context = options, context
        artifact = context.artifacts.get(options.source)
        self._tree = artifact is not None and artifact.tree is not None
        self._path = context.tree(options.source) if self._tree else context.file(options.source)
        self._room = context.directory / _ROOM
        self.called = file_name(PurePath(context.job.name).stem or context.job.name)
        self._images = self._tree or self._path.suffix.lower() == ".zip"
        self.rate = 0.0 if self._images else _rate(options, context)

    async def run(self) -> dict[str, Any]:
        """What the child made of it."""
        orders = self._orders()
        await in_thread(prepare_directory, self._room, self._fingerprint(orders))
        try:
            return await run_worker(
                "vidd.media.frames.client",
                {"ask": "gather" if self._images else "sample", "orders": orders},
                self._context,
                quiet=_QUIET,
                memory=self._context.tools.encoder.memory or _MEMORY,
            )
        except Refused:
            await in_thread(partial(shutil.rmtree, self._room, ignore_errors=True))
            raise
        except WorkerDied as died:
            name = quoted(self._context.job.name)
            raise RetryLater(
                f"The frames of {name} could not be taken (exit {died.code}).",
                code=FaultCode.INTERRUPTED,
                said=died.stderr,
            ) from None

    def _orders(self) -> dict[str, Any]:
        options, kept = self._options, {"per_task", "thumbnails", "thumbnail", "quality"}
        orders = {
            "path": str(self._path),
            "name": self._context.job.name,
            "called": self.called,
            "room": str(self._room),
            **{name: getattr(options, name) for name in kept},
        }
        if self._images:
            return orders
        more = {"films", "images", "crf", "preset", "keyframes", "deinterlace", "prune"}
        rate = str(Fraction(self.rate).limit_denominator(1001))
        return {
            **orders,
            **{name: getattr(options, name) for name in more},
            "rate": rate,
            "threads": self._context.tools.encoder.threads,
        }

    def _fingerprint(self, orders: dict[str, Any]) -> str:
        """What stands for all that decides what the tasks are like."""
        artifact = self._context.artifacts[self._options.source]
        known = {"size": artifact.size, "tree": artifact.tree.digest if artifact.tree else None}
        if not self._tree:
            known["mtime"] = self._path.stat().st_mtime_ns
        text = json.dumps([sorted(orders.items()), known])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _rate(options: Options, context: StepContext) -> float:
    given = options.rate if options.rate is not None else context.job.facts.get("frame_rate")
    if given is None:
        raise Refused("How many frames a second are wanted nobody says: set rate of the step, or the job's frame_rate.")
    try:
        rate = float(given)
    except (TypeError, ValueError):
        rate = 0.0
    if not _SLOWEST <= rate <= _FASTEST:
        raise Refused(
            f"{given!r} is no number of frames a second that can be taken: it must be {_SLOWEST} at least, and {_FASTEST} at most."
        )
    return rate


def _put(directory: Path, listed: TaskList) -> tuple[Artifact, ...]:
    """Give tasks, manifest and list their names."""
    room, final = directory / _ROOM, directory / _TREE
    with retry_if_full():
        Shelf(room, listed.name, listed.per_task).gather(room / _MANIFEST, len(listed.tasks))
        (directory / _LIST).write_text(json.dumps(listed.to_json()))
        shutil.rmtree(final, ignore_errors=True)
        (room / TASKS).rename(final)
        (room / _MANIFEST).replace(directory / _MANIFEST)
        shutil.rmtree(room)
    made = [
        Artifact(role, path, (directory / path).stat().st_size, kind)
        for role, path, kind in (
            ("manifest", _MANIFEST, "application/jsonl"),
            ("task_list", _LIST, "application/json"),
        )
    ]
    return (tree_artifact("tasks", directory, final.name), *made)

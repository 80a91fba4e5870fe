"""Samples frames of a recording at a rate, as tasks of so many frames, with a video for each task and a manifest.

The manifest has a row for every frame (`vidd.model.frame_manifest.Sample`): its task and index in it, its number and time
in the recording, and the hash of its pixels. `vidd.model.sampling` defines which frames are sampled. The job's facts
`finished_tasks` and `finished_frames` say how many tasks another system finished, and up to which frame: the step goes on
there, or makes the last of them again where nothing would be left. An image, or images in a zip or a directory, become tasks
of so many images with the same rows. Where the recording is gone, the videos of existing tasks become the same tree again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from vidd.aio.shield import in_thread
from vidd.errors import FaultCode, Refused
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import tree_artifact
from vidd.media.ffmpeg.settings import Preset
from vidd.media.frames.client import IMAGE_SUFFIXES, ImageRequest, SampleRequest, VideoRequest, make_tasks
from vidd.media.frames.task_store import TASKS, TaskStore
from vidd.model.frame_manifest import Task, TaskList
from vidd.model.media import Artifact, Outcome
from vidd.model.task_video import task_videos
from vidd.processes.worker_client import prepare_directory
from vidd.settings.marks import Role
from vidd.settings.templates import file_name
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.ports import StepContext


_WORK = ".frames"
_SLOWEST, _FASTEST = 0.001, 1000
_MANIFEST, _LIST, _TREE = "manifest.jsonl", "task_list.json", "tasks"


class Options(Base):
    """The settings of a step of kind `frames`."""

    source: Annotated[str, Role()] = Field(
        "source", min_length=1, description="Role of the recording, the image, the zip or the directory of images."
    )
    rate: float | None = Field(
        None, ge=_SLOWEST, le=_FASTEST, description="Frames a second; unset: the job's fact frame_rate."
    )
    per_task: int = Field(120, ge=1, le=100_000, description="How many frames a task has; the last one has the rest.")
    films: bool = Field(True, description="Make a video of each task.")
    images: bool = Field(False, description="Write each frame as a JPEG file, too; those of images are always written.")
    thumbnails: bool = Field(False, description="Write a thumbnail of each frame, too.")
    thumbnail: int = Field(250, ge=16, le=2000, description="The most pixels of a thumbnail's longer side.")
    quality: int = Field(90, ge=1, le=100, description="Quality of the JPEG files.")
    # As good as 20 elsewhere: without its macroblock tree (see `vidd.media.frames.worker.task_video`) x264 spends more bits.
    crf: int = Field(22, ge=0, le=51, description="Quality of the task videos for x264: lower is better and larger.")
    preset: Preset = Field("veryfast", description="How much time x264 takes to make the task videos smaller.")
    keyframes: int = Field(
        25, ge=1, le=1000, description="The most frames of a task video from one keyframe to the next."
    )
    deinterlace: bool = Field(True, description="Deinterlace interlaced frames, from one field each.")
    prune: bool = Field(True, description="Do not decode packets that no sampled frame needs; the frames are the same.")

    @model_validator(mode="after")
    def _something(self) -> Options:
        if not (self.films or self.images):
            raise ValueError("neither films nor images are set: set one of them")
        return self


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset({"tasks", "manifest", "task_list"})


async def run(options: Options, context: StepContext) -> Outcome:
    """Make the tree `tasks` (`<task>/<task>.mp4`, `<task>/<k>.jpg`), the `manifest` and the `task_list`."""
    work = _FrameExtraction(options, context)
    made = await work.run()
    tasks = [Task(**task) for task in made["tasks"]]
    task_list = TaskList(
        work.name,
        made["rate"],
        made["source_rate"],
        Fraction(made["time_base"]),
        made["width"],
        made["height"],
        options.per_task,
        tasks,
    )
    artifacts = await in_thread(_publish, context.directory, task_list)
    facts = {
        "frames": task_list.frames,
        "tasks": len(tasks),
        "frame_rate": work.rate or made["rate"],
        "lost": made["lost"],
        "pruned": made["dropped"],
        "deinterlaced": made["deinterlaced"],
        "left_out": _left_out(made, task_list.frames),
    }
    return Outcome(artifacts, facts)


def _left_out(made: Mapping[str, Any], frames: int) -> list[dict[str, str]]:
    """Notes for the operator about what is not in the tasks."""
    notes = [{"name": name, "why": f"{why}."} for name, why in made.get("unreadable", ())]
    if "unreadable" not in made and made["lost"]:
        total = made["lost"] + frames
        notes = [
            {"name": "frames", "why": f"{made['lost']} of {total} could not be decoded: the recording is damaged."}
        ]
    if others := made.get("others"):
        notes.append({"name": "files", "why": f"{others} are no images by their names."})
    return notes


class _FrameExtraction:
    """The tasks of one recording, or of one collection of images, in the making."""

    def __init__(self, options: Options, context: StepContext) -> None:
        self._options, self._context = options, context
        artifact = context.artifacts.get(options.source)
        self._is_tree = artifact is not None and artifact.tree is not None
        self._path = context.tree(options.source) if self._is_tree else context.file(options.source)
        self._directory = context.directory / _WORK
        self.name = file_name(PurePath(context.job.name).stem or context.job.name)
        self._has_images = self._is_tree or self._path.suffix.lower() in {".zip", *IMAGE_SUFFIXES}
        self._videos = task_videos(context.job.facts)
        self.rate = 0.0 if self._has_images else _rate(options, context)

    async def run(self) -> dict[str, Any]:
        """Make the tasks in a child; what it reports."""
        request = self._request()
        await in_thread(prepare_directory, self._directory, self._fingerprint(request))
        try:
            return await make_tasks(request, self._context)
        except Refused:
            await in_thread(partial(shutil.rmtree, self._directory, ignore_errors=True))
            if self._videos:
                # A retry fetches them again.
                await in_thread(partial(shutil.rmtree, self._path, ignore_errors=True))
            raise

    def _request(self) -> SampleRequest | ImageRequest | VideoRequest:
        options, context = self._options, self._context
        if self._videos:
            return VideoRequest(
                path=str(self._path),
                name=context.job.name,
                called=self.name,
                room=str(self._directory),
                per_task=options.per_task,
                videos=[video.to_json() for video in self._videos],
            )
        images = ImageRequest(
            path=str(self._path),
            name=context.job.name,
            called=self.name,
            room=str(self._directory),
            per_task=options.per_task,
            films=options.films,
            thumbnails=options.thumbnails,
            thumbnail=options.thumbnail,
            quality=options.quality,
            crf=options.crf,
            preset=options.preset,
            keyframes=options.keyframes,
            threads=context.tools.encoder.threads,
        )
        if self._has_images:
            return images
        return SampleRequest(
            **asdict(images),
            rate=str(Fraction(self.rate).limit_denominator(1001)),
            images=options.images,
            deinterlace=options.deinterlace,
            prune=options.prune,
            finished_tasks=int(context.job.facts.get("finished_tasks") or 0),
            finished_frames=int(context.job.facts.get("finished_frames") or 0),
        )

    def _fingerprint(self, request: SampleRequest | ImageRequest | VideoRequest) -> str:
        """A digest of all that determines the tasks."""
        artifact = self._context.artifacts[self._options.source]
        identity = {"size": artifact.size, "tree": artifact.tree.digest if artifact.tree else None}
        if not self._is_tree:
            identity["mtime"] = self._path.stat().st_mtime_ns
        text = json.dumps([sorted(asdict(request).items()), identity])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _rate(options: Options, context: StepContext) -> float:
    given = options.rate if options.rate is not None else context.job.facts.get("frame_rate")
    if given is None:
        raise Refused(
            "No frame rate is set. Set `rate` on the step or `frame_rate` on the job.", code=FaultCode.BAD_SETTINGS
        )
    try:
        rate = float(given)
    except (TypeError, ValueError):
        rate = 0.0
    if not _SLOWEST <= rate <= _FASTEST:
        raise Refused(
            f"The frame rate {given!r} is not valid: it must be from {_SLOWEST} to {_FASTEST} frames a second."
        )
    return rate


def _publish(directory: Path, task_list: TaskList) -> tuple[Artifact, ...]:
    """Move the tasks into place, and write the manifest and the list."""
    work, final = directory / _WORK, directory / _TREE
    with retry_if_full():
        store = TaskStore(work, task_list.name, task_list.per_task, task_list.first)
        store.write_manifest(work / _MANIFEST, len(task_list.tasks))
        (directory / _LIST).write_text(json.dumps(task_list.to_json()))
        shutil.rmtree(final, ignore_errors=True)
        (work / TASKS).rename(final)
        (work / _MANIFEST).replace(directory / _MANIFEST)
        shutil.rmtree(work)
    files = [
        Artifact(role, path, (directory / path).stat().st_size, content_type)
        for role, path, content_type in (
            ("manifest", _MANIFEST, "application/jsonl"),
            ("task_list", _LIST, "application/json"),
        )
    ]
    return (tree_artifact("tasks", directory, final.name), *files)

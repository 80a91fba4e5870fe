"""The documents that the annotation front end reads: their names, codes and shapes, those of the content processor; no I/O.

An upload's `status` is 0 under way, 1 done, 2 failed. A task's `status` is 0 not started, 1 in progress, 2 and more completed;
its `auditStatus` is 0 pending; its `taskStatus` is 2 where the upload has several tasks. A frame's `isEmpty` is true until
somebody says that the frame is done. Frames and source frames count from 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vidd.model.task_video import TaskVideo
from vidd.settings.templates import file_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from vidd.model.frame_manifest import Sample, Task, TaskList

UPLOADS, PROJECTS, TASKS, FRAMES = (
    "AnnotationContentUpload",
    "AnnotationProject",
    "AnnotationTask",
    "AnnotationFrame",
)
FRAMES_BY_TASK = [("taskId", 1), ("frameId", 1)]
"""The index by which the frames of a task are found."""
UNDER_WAY, DONE, FAILED = 0, 1, 2
ONLY_TASKS, TASKS_AND_BOXES, ONLY_BOXES = 0, 1, 2
VIDEO, IMAGES = 1, 2
OURS = "vidd"
"""The field of a document that holds vidd's own values."""
SHAPE = 2
"""How vidd writes tasks and frames now; its documents without a `shape` are of the first."""

# Of a detector's box. A front end that saves the frame puts the attributes of `boundaries` in their place.
_READY = {"state": "Ready"}
# What a front end changes in boxes that nobody touched.
_NO_CONTENT = frozenset({"id", "color", "isHide"})
_COLOUR = "#00d1ff"
_VIDEO_PATH = "./contents/{project}/{path}"
_SKIP = 24
_SEVERAL = 2
_PER_TASK = 120


def own_values(document: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The values of vidd in a document that others may have changed."""
    own = (document or {}).get(OURS)
    return own if isinstance(own, Mapping) else {}


def as_number(value: Any) -> float | None:
    """A number of a document, which may be text there; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def task_number(task: Mapping[str, Any]) -> float:
    """The number of a task in its upload, from 0 on: vidd's own, or that in its name."""
    numbers = (own_values(task).get("number"), str(task.get("taskName")).partition("-")[2].partition("-")[0])
    return next((number for value in numbers if (number := as_number(value)) is not None), 0.0)


def task_id(job: str, created: datetime, number: int) -> str:
    """The id of a task of this job: an ObjectId of the time when the job was made, since tasks are shown in the order of their ids."""
    digest = hashlib.blake2b(job.encode(), digest_size=5).hexdigest()
    return f"{int(created.timestamp()):08x}{digest}{number:06x}"


def id_of(job: str, *part: object) -> str:
    """An id of 24 hexadecimal digits that is the same whenever this part of this job is written."""
    return hashlib.blake2b(":".join(map(str, (job, *part))).encode(), digest_size=12).hexdigest()


def progress_of(parts: Mapping[str, float], wanted: Sequence[str]) -> int:
    """Percent, 0 to 99, from the progress (0 to 1) of the `wanted` parts; 100 is for what is done."""
    if not wanted:
        return 0
    return min(99, int(100 * sum(min(1.0, parts.get(part, 0.0)) for part in wanted) / len(wanted)))


@dataclass(frozen=True, slots=True)
class Request:
    """A call: its project and upload, its type (`request_type`) and the version of automatic annotation.

    `job` is what the ids of its documents are made of.
    """

    job: str
    project: Any
    upload: Any
    kind: int
    version: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What a pipeline makes: frames per task, and the versions of automatic annotation, None where any may be asked for."""

    per_task: int
    versions: frozenset[int] | None


def offer_of(settings: Mapping[str, Any]) -> Offer:
    """What a pipeline makes, by the settings of its jobs."""
    steps = [(row["kind"], row["options"]) for row in settings.get("steps", ())]
    per_task = next((options.get("per_task", _PER_TASK) for kind, options in steps if kind == "frames"), _PER_TASK)
    detectors = [options for kind, options in steps if kind == "annotate"]
    if not detectors or any(detector.get("version") is not None for detector in detectors):
        return Offer(int(per_task), None)
    return Offer(int(per_task), frozenset(int(version) for detector in detectors for version in detector["versions"]))


def store_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The account to which a pipeline sends its tasks, and `bucket` and `delete` of the publisher where they are set.

    Empty where it sends them to no bucket.
    """
    rows = settings.get("publish", ())
    label = next((row["options"].get("files") for row in rows if row["kind"] == "mongo_tasks"), None)
    for row in rows:
        if row["kind"] == "s3" and label in {None, "", row["name"]}:
            return {name: value for name in ("account", "bucket", "delete") if (value := row["options"].get(name))}
    return {}


def videos_of(tasks: Sequence[Mapping[str, Any]]) -> list[TaskVideo]:
    """The videos of existing tasks. ValueError with the name or id of one that has none."""
    videos: list[TaskVideo] = []
    for task in tasks:
        shown, address = str(task.get("taskName") or task["_id"]), str(task.get("S3_url") or "").strip()
        if not address:
            raise ValueError(shown)
        name = file_name(shown)
        if name in {video.name for video in videos}:
            name = f"{name}-{task['_id']}"
        videos.append(TaskVideo(str(task["_id"]), name, address, int(as_number(task.get("frameCount")) or 0)))
    return videos


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Where the files of a tree are: what their keys in a bucket begin with, None for web addresses; and what those do."""

    prefix: str | None
    address: str

    def find(self, path: str | None) -> str | None:
        """What a document says of a file by its path in the tree; None for none."""
        if path is None:
            return None
        return f"{self.address}{quote(path)}" if self.prefix is None else f"{self.prefix}{path}"


def task_document(
    request: Request, listed: TaskList, task: Task, rows: Sequence[Sample], *, place: FilePlace, now: datetime
) -> dict[str, Any]:
    """An AnnotationTask without its `_id`."""
    rate = listed.rate
    return {
        "projectId": request.project,
        "uploadId": request.upload,
        "taskName": task.name,
        "videoName": listed.name,
        "videoPath": _VIDEO_PATH.format(project=request.project, path=task.video) if task.video else None,
        "S3_url": place.find(task.video),
        "frameStart": task.first + 1,
        "frameEnd": task.last + 1,
        "frameStartTime": rows[0].time,
        "frameCount": task.frames,
        "original_frames": str([float(row.frame + 1) for row in rows]),
        "videoDuration": str(timedelta(seconds=round(task.frames / rate))) if rate else "0:00:00",
        "skipFrameCount": _SKIP / rate if rate else 0,
        "frameRate": rate,
        "Originalframerate": listed.source_rate,
        "videoResolutionWidth": listed.width,
        "videoResolutionHeight": listed.height,
        "createdAt": now,
        "status": 0,
        "taskStatus": _SEVERAL if listed.first + len(listed.tasks) > 1 else 0,
        "auditStatus": 0,
        "AutoAnnotationVersion": request.version,
        "datasetVersions": [],
        "completedFrames": 0,
        OURS: {"job": request.job, "number": task.number, "shape": SHAPE, "images": not listed.source_rate},
    }


def frame_document(
    task_id: Any, row: Sample, boxes: Sequence[Mapping[str, Any]], *, image: str | None, thumbnail: str | None
) -> dict[str, Any]:
    """An AnnotationFrame without its `_id`; `image` and `thumbnail` are keys or addresses."""
    documents = [box_document(number, box) for number, box in enumerate(boxes, 1)]
    # Of a recording that is gone nobody knows which frame it is.
    source = {name: getattr(row, name) for name in ("frame", "pts", "time", "hash", "name")} if row.hash else {}
    return {
        "frameId": row.index,
        "taskId": task_id,
        "status": 0,
        "boxes": documents,
        "commentBoxes": [],
        "isEmpty": True,
        "datasetVersions": [],
        **({"imageUrl": image} if image is not None else {}),
        **({"thumbnailUrl": thumbnail} if thumbnail is not None else {}),
        OURS: {
            "shape": SHAPE,
            **source,
            "found": [box_digest(box) for box in documents],
        },
    }


def box_document(number: int, box: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a box that a detector found.

    `x`, `y`, `w`, `h` are in pixels from the upper left; `label` and `confidence` besides.
    """
    boundaries = {
        "id": number,
        "type": "rectangle",
        "x": box["x"],
        "y": box["y"],
        "w": box["w"],
        "h": box["h"],
        "label": box["label"],
        "color": box.get("color", _COLOUR),
        "status": "completed",
        "isPermanent": True,
        "attributeValues": {},
        "autoLable_confidance": str(box["confidence"]),
    }
    return {"id": number, "boundaries": boundaries, "attributeValues": dict(_READY)}


def box_digest(box: Mapping[str, Any]) -> str:
    """A fingerprint of a box's document that changes with everything but ids, colours, and what a mere save changes."""
    plain = _plain(box)
    if isinstance(plain, dict) and plain.get("attributeValues") == _READY:
        plain["attributeValues"] = {}
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if name not in _NO_CONTENT}
    # A browser sends 10.0 back as 10.
    return round(float(value), 2) if isinstance(value, int | float) and not isinstance(value, bool) else value


def upload_done(request: Request, listed: TaskList, now: datetime) -> dict[str, Any]:
    """The changes of an AnnotationContentUpload that is done."""
    requested = {"request_type": request.kind, "request_annotation_version": request.version}
    done = {"status": DONE, "progress": 100, "finishedAt": now, "errorMessage": {}, **requested}
    if request.kind == ONLY_BOXES:
        return done
    return {
        **done,
        "taskCount": listed.first + len(listed.tasks),
        "frames_per_task": listed.per_task,
        "frame_rate": listed.rate,
    }


def upload_failed(code: int, sentence: str, now: datetime) -> dict[str, Any]:
    """The changes of an AnnotationContentUpload that failed."""
    return {"status": FAILED, "finishedAt": now, "errorMessage": {"error_code": code, "error_message": sentence}}

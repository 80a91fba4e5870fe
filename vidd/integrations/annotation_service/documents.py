"""The documents that the annotation front end reads: their names, codes and shapes, those of the content processor; no I/O.

An upload's `status` is 0 under way, 1 done, 2 failed; a task's `taskStatus` is 0 not started, its `auditStatus` 0 pending.
Frames and source frames count from 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

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

_COLOUR = "#00ff00"
_TASK_FIELDS = frozenset(
    [
        "_id",
        "projectId",
        "uploadId",
        "taskName",
        "videoName",
        "videoPath",
        "S3_url",
        "frameStart",
        "frameEnd",
        "frameStartTime",
        "frameCount",
        "original_frames",
        "videoDuration",
        "skipFrameCount",
        "frameRate",
        "Originalframerate",
        "videoResolutionWidth",
        "videoResolutionHeight",
        "createdAt",
        "status",
        "taskStatus",
        "auditStatus",
        "AutoAnnotationVersion",
        "datasetVersions",
        "completedFrames",
        "vidd",
        "__v",
    ]
)
_FRAME_FIELDS = frozenset(
    [
        "_id",
        "frameId",
        "taskId",
        "status",
        "boxes",
        "commentBoxes",
        "isEmpty",
        "datasetVersions",
        "imageUrl",
        "thumbnailUrl",
        "vidd",
        "__v",
    ]
)
_SKIP = 24
_PER_TASK = 120


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


def task_document(
    request: Request, listed: TaskList, task: Task, rows: Sequence[Sample], *, url: str | None, now: datetime
) -> dict[str, Any]:
    """An AnnotationTask without its `_id`; `url` is the address of its video."""
    rate = listed.rate
    return {
        "projectId": request.project,
        "uploadId": request.upload,
        "taskName": task.name,
        "videoName": listed.name,
        "videoPath": task.video,
        "S3_url": url,
        "frameStart": task.first + 1,
        "frameEnd": task.last + 1,
        "frameStartTime": rows[0].time,
        "frameCount": task.frames,
        "original_frames": [str(row.frame + 1) for row in rows],
        "videoDuration": str(timedelta(seconds=round(task.frames / rate))) if rate else "0:00:00",
        "skipFrameCount": _SKIP / rate if rate else 0,
        "frameRate": rate,
        "Originalframerate": listed.source_rate,
        "videoResolutionWidth": listed.width,
        "videoResolutionHeight": listed.height,
        "createdAt": now,
        "status": DONE,
        "taskStatus": 0,
        "auditStatus": 0,
        "AutoAnnotationVersion": request.version,
        "datasetVersions": [],
        "completedFrames": 0,
        OURS: {"job": request.job, "number": task.number},
    }


def frame_document(
    task_id: Any, row: Sample, boxes: Sequence[Mapping[str, Any]], *, image: str | None, thumbnail: str | None
) -> dict[str, Any]:
    """An AnnotationFrame without its `_id`; `image` and `thumbnail` are addresses."""
    documents = [box_document(number, box) for number, box in enumerate(boxes, 1)]
    return {
        "frameId": row.index,
        "taskId": task_id,
        "status": DONE if boxes else 0,
        "boxes": documents,
        "commentBoxes": [],
        "isEmpty": False,
        "datasetVersions": [],
        "imageUrl": image,
        "thumbnailUrl": thumbnail,
        OURS: {
            "frame": row.frame,
            "pts": row.pts,
            "time": row.time,
            "hash": row.hash,
            "name": row.name,
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
        "status": "",
        "isPermanent": True,
        "attributeValues": {},
        "autoLable_confidance": box["confidence"],
    }
    return {"id": number, "boundaries": boundaries, "attributeValues": {}}


def box_digest(box: Mapping[str, Any]) -> str:
    """A fingerprint of a box's document that changes with everything but ids and colours."""
    text = json.dumps(_plain(box), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if name not in {"id", "color"}}
    # A browser sends 10.0 back as 10.
    return round(float(value), 2) if isinstance(value, int | float) and not isinstance(value, bool) else value


def boxes_of_people(frame: Mapping[str, Any]) -> list[Any]:
    """The boxes of a frame that people drew or changed.

    Boxes that another system's detector found are not among them, whether or not people changed them. Whatever is no box of a
    detector belongs to somebody. ValueError where the frame's boxes are no list.
    """
    boxes, ours = frame.get("boxes") or [], frame.get(OURS)
    if not isinstance(boxes, list):
        raise ValueError("its boxes are no list")  # noqa: TRY004 - what is wrong is the document
    known = ours.get("found") if isinstance(ours, dict) else None
    return [box for box in boxes if not _is_detected(box) or (known is not None and box_digest(box) not in known)]


def _is_detected(box: Any) -> bool:
    boundaries = box.get("boundaries") if isinstance(box, dict) else None
    return isinstance(boundaries, dict) and "autoLable_confidance" in boundaries


def task_has_work(task: Mapping[str, Any]) -> bool:
    """Whether people have begun with a task, or something refers to it."""
    begun = bool(task.get("completedFrames") or task.get("auditStatus") or task.get("datasetVersions"))
    # A field that no system writes when it makes a task was added by somebody. In tasks of another system taskStatus says
    # nothing.
    added = any(value for name, value in task.items() if name not in _TASK_FIELDS)
    return begun or added or bool(OURS in task and task.get("taskStatus"))


def frame_has_work(frame: Mapping[str, Any]) -> bool:
    """Whether people have begun with a frame, or something refers to it."""
    begun = bool(frame.get("isEmpty") or frame.get("commentBoxes") or frame.get("datasetVersions"))
    added = any(value for name, value in frame.items() if name not in _FRAME_FIELDS)
    try:
        return begun or added or bool(boxes_of_people(frame))
    except ValueError:
        return True


def merge_boxes(frame: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A frame's boxes with those that a detector found in place of earlier ones; boxes of people stay."""
    kept = boxes_of_people(frame)
    ids = [box.get("id") for box in kept if isinstance(box, dict)]
    last = max((id_ for id_ in ids if isinstance(id_, int)), default=0)
    return kept + [box_document(number, box) for number, box in enumerate(found, last + 1)]


def upload_done(request: Request, listed: TaskList, now: datetime) -> dict[str, Any]:
    """The changes of an AnnotationContentUpload that is done."""
    requested = {"request_type": request.kind, "request_annotation_version": request.version}
    done = {"status": DONE, "progress": 100, "finishedAt": now, "errorMessage": None, **requested}
    if request.kind == ONLY_BOXES:
        return done
    return {
        **done,
        "taskCount": len(listed.tasks),
        "frames_per_task": listed.per_task,
        "frame_rate": listed.rate,
    }


def upload_failed(code: int, sentence: str, now: datetime) -> dict[str, Any]:
    """The changes of an AnnotationContentUpload that failed."""
    return {"status": FAILED, "finishedAt": now, "errorMessage": {"error_code": code, "error_message": sentence}}

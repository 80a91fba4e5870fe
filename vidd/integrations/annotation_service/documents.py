"""The documents that an annotation front end reads (facts of the content processor): names, codes and shapes; no I/O.

Of an upload `status` is 0 under way, 1 done, 2 failed; of a task `taskStatus` is 0 not started, `auditStatus` 0 pending.
Frames and pictures are counted from 1.
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
"""The field of a document in which vidd keeps what it needs itself."""

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


def id_of(job: str, *more: object) -> str:
    """Twelve bytes (hex) that are the same whenever this part of this job is written."""
    return hashlib.blake2b(":".join(map(str, (job, *more))).encode(), digest_size=12).hexdigest()


def progress_of(parts: Mapping[str, float], wanted: Sequence[str]) -> int:
    """0 to 99, of how far (0 to 1) each of the steps is that count; 100 is for what is done."""
    if not wanted:
        return 0
    return min(99, int(100 * sum(min(1.0, parts.get(one, 0.0)) for one in wanted) / len(wanted)))


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: the project and upload, the kind of request and the version of automatic annotation."""

    job: str
    project: Any
    upload: Any
    kind: int
    version: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What a pipeline makes of an upload: frames a task, and versions of automatic annotation, None where any may be asked for."""

    per_task: int
    versions: frozenset[int] | None


def offer_of(settings: Mapping[str, Any]) -> Offer:
    """By the settings of its jobs."""
    steps = [(row["kind"], row["options"]) for row in settings.get("steps", ())]
    per_task = next((options.get("per_task", _PER_TASK) for kind, options in steps if kind == "frames"), _PER_TASK)
    detectors = [options for kind, options in steps if kind == "annotate"]
    if not detectors or any(detector.get("version") is not None for detector in detectors):
        return Offer(int(per_task), None)
    return Offer(int(per_task), frozenset(int(version) for detector in detectors for version in detector["versions"]))


def task_document(
    request: Request, listed: TaskList, task: Task, rows: Sequence[Sample], *, url: str | None, now: datetime
) -> dict[str, Any]:
    """An AnnotationTask, without its `_id`; `url` is where its film lies."""
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
    task_id: Any, row: Sample, boxes: Sequence[Mapping[str, Any]], *, image: str | None, small: str | None
) -> dict[str, Any]:
    """An AnnotationFrame, without its `_id`."""
    shown = [box_document(number, box) for number, box in enumerate(boxes, 1)]
    return {
        "frameId": row.index,
        "taskId": task_id,
        "status": DONE if boxes else 0,
        "boxes": shown,
        "commentBoxes": [],
        "isEmpty": False,
        "datasetVersions": [],
        "imageUrl": image,
        "thumbnailUrl": small,
        OURS: {
            "frame": row.frame,
            "pts": row.pts,
            "time": row.time,
            "hash": row.hash,
            "name": row.name,
            "found": [mark_of(one) for one in shown],
        },
    }


def box_document(number: int, box: Mapping[str, Any]) -> dict[str, Any]:
    """A box that a detector found: `x`, `y`, `w`, `h` in pixels from the top left, `label`, `confidence`."""
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


def mark_of(box: Mapping[str, Any]) -> str:
    """What tells a box's document from one in which somebody has changed anything but ids and colours."""
    text = json.dumps(_plain(box), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items() if name not in {"id", "color"}}
    # Through a browser 10.0 comes back as 10.
    return round(float(value), 2) if isinstance(value, int | float) and not isinstance(value, bool) else value


def drawn(frame: Mapping[str, Any]) -> list[Any]:
    """The boxes of a frame that people drew or changed. Of those that another system's detector found that cannot be told.

    ValueError where its boxes are no list; whatever else is none of a detector's boxes is somebody's.
    """
    boxes, ours = frame.get("boxes") or [], frame.get(OURS)
    if not isinstance(boxes, list):
        raise ValueError("its boxes are no list")  # noqa: TRY004 - what is wrong is the document
    known = ours.get("found") if isinstance(ours, dict) else None
    return [box for box in boxes if not _is_found(box) or (known is not None and mark_of(box) not in known)]


def _is_found(box: Any) -> bool:
    boundaries = box.get("boundaries") if isinstance(box, dict) else None
    return isinstance(boundaries, dict) and "autoLable_confidance" in boundaries


def is_touched(task: Mapping[str, Any]) -> bool:
    """Whether a task says that people have begun with it, or that something hangs on it."""
    begun = bool(task.get("completedFrames") or task.get("auditStatus") or task.get("datasetVersions"))
    # Of a task of another system taskStatus says nothing; and what no system writes that makes them, somebody added.
    more = any(value for name, value in task.items() if name not in _TASK_FIELDS)
    return begun or more or bool(OURS in task and task.get("taskStatus"))


def is_worked_on(frame: Mapping[str, Any]) -> bool:
    """Whether people have begun with a frame, or something hangs on it."""
    begun = bool(frame.get("isEmpty") or frame.get("commentBoxes") or frame.get("datasetVersions"))
    try:
        return begun or bool(drawn(frame)) or any(value for name, value in frame.items() if name not in _FRAME_FIELDS)
    except ValueError:
        return True


def with_boxes(frame: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A frame's boxes once a detector found these: in place of those that one found before; what people drew stays."""
    kept = drawn(frame)
    ids = [one.get("id") for one in kept if isinstance(one, dict)]
    last = max((id_ for id_ in ids if isinstance(id_, int)), default=0)
    return kept + [box_document(number, one) for number, one in enumerate(found, last + 1)]


def upload_done(request: Request, listed: TaskList, now: datetime) -> dict[str, Any]:
    """What an AnnotationContentUpload says once all of it is there."""
    asked = {"request_type": request.kind, "request_annotation_version": request.version}
    done = {"status": DONE, "progress": 100, "finishedAt": now, "errorMessage": None, **asked}
    if request.kind == ONLY_BOXES:
        return done
    return {
        **done,
        "taskCount": len(listed.tasks),
        "frames_per_task": listed.per_task,
        "frame_rate": listed.rate,
    }


def upload_failed(code: int, sentence: str, now: datetime) -> dict[str, Any]:
    """What it says when nothing came of it."""
    return {"status": FAILED, "finishedAt": now, "errorMessage": {"error_code": code, "error_message": sentence}}

"""Tells what people did in tasks and frames from what vidd, or the content processor, wrote there; no I/O.

A new frame's `isEmpty` is true. A front end stores false once somebody annotated the frame, or said that nothing is in it.
Documents of vidd's first `shape` are the other way round: false in a new frame, and 1 as the `status` of a new task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.integrations.annotation_service.documents import OURS, as_number, box_digest, box_document, own_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TASK_FIELDS = frozenset(
    [
        "_id", "projectId", "uploadId", "taskName", "videoName", "videoPath", "S3_url", "frameStart", "frameEnd",
        "frameStartTime", "frameCount", "original_frames", "videoDuration", "skipFrameCount", "frameRate",
        "Originalframerate", "videoResolutionWidth", "videoResolutionHeight", "createdAt", "status", "taskStatus",
        "auditStatus", "AutoAnnotationVersion", "datasetVersions", "completedFrames", "vidd", "__v",
        # Of images.
        "padded_width", "padded_height", "paded_width", "paded_height", "Original_resolutions",
        # What a back end adds when somebody looks at a task.
        "videoUrl", "urlCreatedAt", "maxId", "progress",
    ]
)  # fmt: skip
_FRAME_FIELDS = frozenset(
    [
        "_id", "frameId", "taskId", "status", "boxes", "commentBoxes", "isEmpty", "datasetVersions", "imageUrl",
        "thumbnailUrl", "vidd", "__v",
    ]
)  # fmt: skip


def boxes_of_people(frame: Mapping[str, Any]) -> list[Any]:
    """The boxes of a frame that people drew or changed.

    Of boxes that another system's detector found only the frame tells whether people saw them: all are theirs once they saved
    it. Whatever is no box of a detector belongs to somebody. ValueError where the frame's boxes are no list.
    """
    boxes = frame.get("boxes") or []
    if not isinstance(boxes, list):
        raise ValueError("its boxes are no list")  # noqa: TRY004 - what is wrong is the document
    known = own_values(frame).get("found")
    if not isinstance(known, list):
        return [box for box in boxes if _is_marked(frame) or not _is_detected(box)]
    return [box for box in boxes if not _is_detected(box) or box_digest(box) not in known]


def _is_detected(box: Any) -> bool:
    boundaries = box.get("boundaries") if isinstance(box, dict) else None
    return isinstance(boundaries, dict) and "autoLable_confidance" in boundaries


def merge_boxes(frame: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A frame's boxes with those that a detector found in place of earlier ones; boxes of people stay."""
    kept = boxes_of_people(frame)
    ids = [box.get("id") for box in kept if isinstance(box, dict)]
    last = max((id_ for id_ in ids if isinstance(id_, int)), default=0)
    return kept + [box_document(number, box) for number, box in enumerate(found, last + 1)]


def task_has_work(task: Mapping[str, Any]) -> bool:
    """Whether people have begun with a task, or something refers to it."""
    begun = (
        _is_set(task.get("completedFrames")) or _is_set(task.get("auditStatus")) or bool(task.get("datasetVersions"))
    )
    # A field that no system writes when it makes a task was added by somebody.
    added = any(value for name, value in task.items() if name not in _TASK_FIELDS)
    if _is_first_shape(task):
        return begun or added or _is_set(task.get("taskStatus"))
    # A taskStatus of 2 says that the upload has several tasks.
    return begun or added or _is_set(task.get("status")) or as_number(task.get("taskStatus")) == 1


def frame_has_work(frame: Mapping[str, Any]) -> bool:
    """Whether people have begun with a frame, or something refers to it."""
    begun = _is_marked(frame) or bool(frame.get("commentBoxes") or frame.get("datasetVersions"))
    added = any(value for name, value in frame.items() if name not in _FRAME_FIELDS)
    try:
        return begun or added or bool(boxes_of_people(frame))
    except ValueError:
        return True


def is_called_empty(frame: Mapping[str, Any]) -> bool:
    """Whether people said that nothing is in a frame. Its `updatedAt` says that a front end saved it."""
    if frame.get("boxes"):
        return False
    return _is_marked(frame) or (_is_first_shape(frame) and bool(frame.get("updatedAt")))


def _is_marked(frame: Mapping[str, Any]) -> bool:
    """Whether `isEmpty` is no longer what a new frame has."""
    value = frame.get("isEmpty")
    text = str(value).lower()
    if _is_first_shape(frame):
        return bool(value) and text not in {"false", "0"}
    return value is not None and text in {"false", "0", "0.0"}


def _is_first_shape(document: Mapping[str, Any]) -> bool:
    return OURS in document and own_values(document).get("shape") is None


def _is_set(value: Any) -> bool:
    """Whether a number of a document is not 0; whatever is no number says something."""
    number = as_number(value)
    return bool(value) if number is None else number != 0

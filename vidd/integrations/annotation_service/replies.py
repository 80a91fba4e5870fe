"""What the annotation service's callers are answered: vidd's words, or the original's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.integrations.annotation_service.documents import ONLY_BOXES, OURS
from vidd.ports import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.integrations.annotation_service.api import ContentCall
    from vidd.model.job import Job

_HIDDEN = {"_id", "projectId", "uploadId", "taskId", OURS}
_FIELDS = (
    "upload_id", "auth_key", "project_id", "frame_rate", "content_path", "force_write", "auto_anno_version",
    "request_type", "content_type",
)  # fmt: skip

FORM = (
    "<!doctype html><title>processContent</title><form method=post>"
    + "".join(f"<p><label>{name} <input name={name}></label></p>" for name in _FIELDS)
    + "<button>Send</button></form>"
)


def told(job: Job) -> dict[str, Any]:
    """A job, and where more is to be learnt of it."""
    links = {"job": f"/api/jobs/{job.id}", "explain": f"/api/jobs/{job.id}/explain", "events": "/api/events"}
    return {"job": job.id, "state": job.state, "upload": job.facts["upload_id"], "links": links}


def as_original(asked: ContentCall, tasks: Sequence[Mapping[str, Any]]) -> Reply:
    """The original's answer to what is done: the tasks without their ids, or a word where only boxes were wanted."""
    if asked.request_type == ONLY_BOXES:
        return Reply(200, '"success"')
    return Reply(200, [{name: value for name, value in task.items() if name not in _HIDDEN} for task in tasks])

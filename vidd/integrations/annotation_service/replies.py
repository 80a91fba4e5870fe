"""Answers of the annotation service: vidd's own, and those of the original system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.integrations.annotation_service.api import CallDeclined
from vidd.integrations.annotation_service.documents import ONLY_BOXES, OURS
from vidd.ports import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.integrations.annotation_service.api import ContentCall
    from vidd.model.job import Job
    from vidd.ports import Declined

_LONGEST_KEY = 200
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


def job_reply(job: Job) -> dict[str, Any]:
    """A job, and the links to more about it."""
    links = {"job": f"/api/jobs/{job.id}", "explain": f"/api/jobs/{job.id}/explain", "events": "/api/events"}
    return {"job": job.id, "state": job.state, "upload": job.facts["upload_id"], "links": links}


def original_reply(asked: ContentCall, tasks: Sequence[Mapping[str, Any]]) -> Reply:
    """The original system's answer to a finished call: its tasks without ids, or "success" where only boxes were asked for."""
    if asked.request_type == ONLY_BOXES:
        return Reply(200, '"success"')
    return Reply(200, [{name: value for name, value in task.items() if name not in _HIDDEN} for task in tasks])


def original_refusal(fields: Mapping[str, Any], declined: Declined) -> Reply:
    """The original system's answer to a call that it could not carry out: the sentence, by the value that is at fault.

    It answered 400 and 401 to the call alone, and 200 where the call did not fit what was there.
    """
    field = declined.field if isinstance(declined, CallDeclined) else "content_path"
    status = declined.original if isinstance(declined, CallDeclined) else 200
    if status == 401:
        return Reply(status, {"Authentication Error": declined.sentence})
    value = "" if field == "auth_key" else str(fields.get(field, ""))[:_LONGEST_KEY]
    name = value.rpartition("/")[2] if field == "content_path" and status == 200 else value
    return Reply(status, {name or "message": declined.sentence})

"""What YouTube's errors mean: why it rejects or cannot process a video, and what a used-up quota leads to.

The errors of its single calls are those of all Google services (`integrations/google/errors`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused
from vidd.integrations.google.errors import QuotaExceeded, RequestRejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vidd.integrations.youtube.quota import Quota

# developers.google.com/youtube/v3/docs/videos, status.rejectionReason
_REJECTED = {
    "claim": "somebody claims it",
    "copyright": "it infringes a copyright",
    "duplicate": "the channel has the same video already",
    "inappropriate": "its contents are inappropriate",
    "legal": "of the law",
    "length": "it is longer than this channel may upload; verify the channel",
    "termsOfUse": "it breaks the terms of use",
    "trademark": "it infringes a trademark",
    "uploaderAccountClosed": "the account was closed",
    "uploaderAccountSuspended": "the account was suspended",
}
# status.failureReason
_FAILED = {
    "codec": "it cannot read the codec",
    "conversion": "it could not convert it",
    "emptyFile": "the file is empty",
    "invalidFile": "the file is no video it can read",
    "tooSmall": "the file is too small",
    "uploadAborted": "the upload was aborted",
}


def processing_fault(video: str, status: Mapping[str, Any]) -> Refused | None:
    """Why YouTube will never finish processing a video; None where it may. `status` is that part of its resource."""
    state = status.get("uploadStatus")
    if state == "rejected":
        reason = str(status.get("rejectionReason", "unknown"))
        text = _REJECTED.get(reason, "of a reason that vidd does not know")
        return Refused(
            f"YouTube rejected the video {video} because {text} ({reason}): look at the video in YouTube Studio; "
            "vidd resolve JOB --again sends it anew.",
            code=FaultCode.REJECTED,
        )
    if state == "failed":
        reason = str(status.get("failureReason", "unknown"))
        text = _FAILED.get(reason, "processing failed")
        return Refused(
            f"YouTube could not process the video {video}, {text} ({reason}): look at the file; "
            "vidd resolve JOB --again sends it anew."
        )
    return video_deleted(video) if state == "deleted" else None


def video_deleted(video: str) -> Refused:
    """Somebody deleted the video at YouTube."""
    return Refused(
        f"The video {video} was deleted at YouTube: vidd resolve JOB --again publishes it anew; else leave it so.",
        code=FaultCode.NOT_FOUND,
    )


@contextmanager
def quota_errors(quota: Quota) -> Iterator[None]:
    """Let a fault about the used-up quota say when the next quota begins."""
    try:
        yield
    except QuotaExceeded:
        raise quota.exceeded("the quota of the day") from None


@contextmanager
def ignore_missing() -> Iterator[None]:
    """Take an answer of 404 for success: what is to be deleted is already gone."""
    try:
        yield
    except RequestRejected as rejection:
        if rejection.status != 404:
            raise

"""What YouTube says of a video: whether it is ours, how far processing is, and why it would not have it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.youtube.api import Channel

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
_FAILED = {
    "codec": "it cannot read the codec",
    "conversion": "it could not convert it",
    "emptyFile": "the file is empty",
    "invalidFile": "the file is no video it can read",
    "tooSmall": "the file is too small",
    "uploadAborted": "the upload was aborted",
}


def is_processed(video: str, resource: Mapping[str, Any]) -> bool:
    """Whether YouTube is done with it; Refused where it will never be."""
    status = resource.get("status", {})
    state = status.get("uploadStatus")
    if state == "rejected":
        why = str(status.get("rejectionReason", "unknown"))
        words = _REJECTED.get(why, "of a reason unknown here")
        raise Refused(
            f"YouTube rejected the video {video} because {words} ({why}): look at it in YouTube Studio; vidd resolve JOB --again sends it anew."
        )
    if state == "failed":
        why = str(status.get("failureReason", "unknown"))
        words = _FAILED.get(why, "processing failed")
        raise Refused(
            f"YouTube could not process the video {video}, {words} ({why}): look at the file; vidd resolve JOB --again sends it anew."
        )
    if state == "deleted":
        raise gone(video)
    return bool(state == "processed")


def gone(video: str) -> Refused:
    """Somebody deleted it."""
    return Refused(
        f"The video {video} was deleted at YouTube: vidd resolve JOB --again publishes it anew; else leave it so."
    )


async def find_marked(channel: Channel, marker: str, since: datetime) -> str | None:
    """The video with this tag, or this word in its description, among the channel's uploads since then."""
    uploads = (await channel.mine())["contentDetails"]["relatedPlaylists"]["uploads"]
    ids: list[str] = []
    async for item in channel.items(uploads):
        published = item.get("snippet", {}).get("publishedAt")
        if isinstance(published, str) and datetime.fromisoformat(published) < since - timedelta(days=1):
            break
        ids.append(str(item["contentDetails"]["videoId"]))
    found = [
        str(video["id"])
        for start in range(0, len(ids), 50)
        for video in await channel.videos(ids[start : start + 50], "snippet,status")
        if _marked(video, marker) and video.get("status", {}).get("failureReason") != "uploadAborted"
    ]
    return found[-1] if found else None


def _marked(video: Mapping[str, Any], marker: str) -> bool:
    snippet = video.get("snippet", {})
    tags = [str(tag).casefold() for tag in snippet.get("tags", [])]
    return marker.casefold() in tags or marker in str(snippet.get("description", "")).split()

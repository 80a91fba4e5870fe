"""Whether YouTube has processed a video, and which of a channel's videos bears a marker."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from vidd.integrations.youtube.errors import processing_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.youtube.api import Channel


def is_processed(video: str, resource: Mapping[str, Any]) -> bool:
    """Whether YouTube has processed a video. Raises Refused where it never will."""
    status = resource.get("status", {})
    fault = processing_fault(video, status)
    if fault is not None:
        raise fault
    return bool(status.get("uploadStatus") == "processed")


async def find_marked(channel: Channel, marker: str, since: datetime) -> str | None:
    """The id of the channel's video since then that has this tag, or this word in its description; None if there is none."""
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
        if _has_marker(video, marker) and video.get("status", {}).get("failureReason") != "uploadAborted"
    ]
    return found[-1] if found else None


def _has_marker(video: Mapping[str, Any], marker: str) -> bool:
    snippet = video.get("snippet", {})
    tags = [str(tag).casefold() for tag in snippet.get("tags", [])]
    return marker.casefold() in tags or marker in str(snippet.get("description", "")).split()

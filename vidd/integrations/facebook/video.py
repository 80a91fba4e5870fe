"""A video on a page: read, found by its marker, changed, deleted (developers.facebook.com/docs/graph-api/reference/video)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from vidd.display_text import printable
from vidd.errors import FaultCode, OutcomeUnknown, Refused
from vidd.integrations.facebook.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.facebook.api import Graph
    from vidd.integrations.facebook.text import VideoText

_SITE = "https://www.facebook.com"
_FIELDS = "title,description,published,permalink_url,status"
_BEGUN = frozenset({"in_progress", "complete"})


@dataclass(frozen=True, slots=True)
class Video:
    """A video as the API shows it. `labels` are visible to its page only."""

    id: str
    title: str
    description: str
    published: bool
    link: str | None
    status: Mapping[str, Any]
    labels: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether Facebook has processed it."""
        return self.status.get("video_status") == "ready"

    @property
    def failed(self) -> str | None:
        """Why it will never be ready; None where it may. A video whose upload expired was never finished."""
        if self.status.get("video_status") != "error":
            return None
        errors = [
            str(error.get("message", ""))
            for phase in ("uploading_phase", "processing_phase", "publishing_phase")
            for error in self._phase(phase).get("errors") or ()
            if isinstance(error, dict)
        ]
        return printable(" ".join(filter(None, errors)), 300).rstrip(".") or "no reason given"

    @property
    def is_finished(self) -> bool:
        """Whether the video itself shows that its upload was finished: it is published, or Facebook processes it."""
        phases = ("processing_phase", "publishing_phase")
        return self.ready or self.published or any(self._phase(phase).get("status") in _BEGUN for phase in phases)

    def _phase(self, name: str) -> Mapping[str, Any]:
        phase = self.status.get(name)
        return phase if isinstance(phase, dict) else {}

    def url(self, page: str) -> str:
        """Its address; the API names it without the host."""
        return urljoin(_SITE, self.link or f"/{page}/videos/{self.id}/")


def _parse(row: Mapping[str, Any]) -> Video:
    return Video(
        str(row["id"]),
        str(row.get("title") or ""),
        str(row.get("description") or ""),
        row.get("published") is True,
        row.get("permalink_url"),
        row.get("status") or {},
        tuple(row.get("custom_labels") or ()),
    )


async def get_video(graph: Graph, video: str, *, labels: bool) -> Video | None:
    """A video by its id; None where there is none that this account may see."""
    doing = f"reading the video {video}"
    try:
        return _parse(await graph.get(video, doing=doing, fields=_FIELDS + (",custom_labels" if labels else "")))
    except GraphError as error:
        if error.absent:
            return None
        raise graph.fault(error, doing) from error


async def find_marked(graph: Graph, page: str, marker: str, *, labels: bool, most: int) -> Video | None:
    """The newest of a page's `most` last videos that has the marker as a label or in its description."""
    doing = f"looking through the videos of the page {page}"
    fields = _FIELDS + (",custom_labels" if labels else "")
    try:
        async for row in graph.listed(f"{page}/videos", doing=doing, fields=fields, most=most):
            video = _parse(row)
            if marker in video.labels or marker in video.description:
                return video
    except GraphError as error:
        if error.absent or error.code == 100:
            raise OutcomeUnknown(
                f"The videos of the page {page} cannot be listed, so vidd does not know whether the video marked {marker} "
                "arrived: look at the page, and say what you found."
            ) from error
        raise graph.fault(error, doing) from error
    return None


async def update_video(graph: Graph, video: Video, text: VideoText) -> None:
    """Write what differs. Raises Refused where Facebook does not hide or show a video by its API."""
    changes = {
        # The API reads a title and writes a name.
        name: wanted
        for name, wanted, current in (
            ("name", text.title, video.title),
            ("description", text.description, video.description),
        )
        if wanted != current.replace("\r\n", "\n").strip()
    }
    doing = f"changing the video {video.id}"
    try:
        if changes:
            await graph.change("POST", video.id, doing=doing, **changes)
    except GraphError as error:
        raise graph.fault(error, doing) from error
    if text.published is not video.published:
        await _set_published(graph, video.id, published=text.published)


async def _set_published(graph: Graph, video: str, *, published: bool) -> None:
    doing = f"{'showing' if published else 'hiding'} the video {video}"
    try:
        await graph.change("POST", video, doing=doing, published=json.dumps(published))
    except GraphError as error:
        if error.code != 100 or error.absent:
            raise graph.fault(error, doing) from error
        wanted = "show the video to everybody" if published else "hide a video that was shown to everybody"
        raise Refused(
            f"Facebook does not {wanted} ({video}) by its API: do it at the page, or `vidd retract` it.",
            code=FaultCode.REJECTED,
        ) from error


async def delete_video(graph: Graph, video: str) -> bool:
    """Delete a video; False where there was none."""
    doing = f"deleting the video {video}"
    try:
        await graph.change("DELETE", video, doing=doing)
    except GraphError as error:
        if not error.absent:
            raise graph.fault(error, doing) from error
        return False
    return True

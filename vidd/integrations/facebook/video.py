"""A video on a page: how it stands, and where it can be seen (developers.facebook.com/docs/graph-api/reference/video)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from vidd.display_text import printable
from vidd.errors import OutcomeUnknown, Refused
from vidd.integrations.facebook.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.facebook.api import Graph
    from vidd.integrations.facebook.text import Words

_SITE = "https://www.facebook.com"
_FIELDS = "title,description,published,permalink_url,status"
_BEGUN = frozenset({"in_progress", "complete"})


@dataclass(frozen=True, slots=True)
class Film:
    """A video as the API shows it. `labels` are words that only its page sees."""

    id: str
    title: str
    description: str
    published: bool
    link: str | None
    status: Mapping[str, Any]
    labels: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether it is processed."""
        return self.status.get("video_status") == "ready"

    @property
    def failed(self) -> str | None:
        """Why it will never be ready, where that is so. One whose upload expired was never finished."""
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
    def taken_up(self) -> bool:
        """Whether it shows by itself that its upload was finished: it is out, or it is being worked on."""
        worked_on = any(self._phase(one).get("status") in _BEGUN for one in ("processing_phase", "publishing_phase"))
        return self.ready or self.published or worked_on

    def _phase(self, name: str) -> Mapping[str, Any]:
        phase = self.status.get(name)
        return phase if isinstance(phase, dict) else {}

    def url(self, page: str) -> str:
        """Its address; Graph gives it without the host."""
        return urljoin(_SITE, self.link or f"/{page}/videos/{self.id}/")


def _film(row: Mapping[str, Any]) -> Film:
    return Film(
        str(row["id"]),
        str(row.get("title") or ""),
        str(row.get("description") or ""),
        row.get("published") is True,
        row.get("permalink_url"),
        row.get("status") or {},
        tuple(row.get("custom_labels") or ()),
    )


async def look(graph: Graph, video: str, *, labels: bool) -> Film | None:
    """A video by its id; None where there is none that this account may see."""
    doing = f"looking at the video {video}"
    try:
        return _film(await graph.get(video, doing=doing, fields=_FIELDS + (",custom_labels" if labels else "")))
    except GraphError as error:
        if error.absent:
            return None
        raise graph.fate(error, doing) from error


async def marked(graph: Graph, page: str, marker: str, *, labels: bool, most: int) -> Film | None:
    """The newest of a page's `most` last videos that bears the marker, as a label or in its description."""
    doing = f"looking through the videos of the page {page}"
    fields = _FIELDS + (",custom_labels" if labels else "")
    try:
        async for row in graph.listed(f"{page}/videos", doing=doing, fields=fields, most=most):
            film = _film(row)
            if marker in film.labels or marker in film.description:
                return film
    except GraphError as error:
        if error.absent or error.code == 100:
            raise OutcomeUnknown(
                f"The videos of the page {page} cannot be listed, so nobody knows whether the one marked {marker} "
                "arrived: look at the page, and say what you found."
            ) from error
        raise graph.fate(error, doing) from error
    return None


async def correct(graph: Graph, film: Film, words: Words) -> None:
    """Write what differs. Refused where Facebook does not hide or show a video by its API."""
    wanted = {
        # Graph reads a title and writes a name.
        name: said
        for name, said, there in (
            ("name", words.title, film.title),
            ("description", words.description, film.description),
        )
        if said != there.replace("\r\n", "\n").strip()
    }
    doing = f"correcting the video {film.id}"
    try:
        if wanted:
            await graph.change("POST", film.id, doing=doing, **wanted)
    except GraphError as error:
        raise graph.fate(error, doing) from error
    if words.published is not film.published:
        await _show(graph, film.id, published=words.published)


async def _show(graph: Graph, video: str, *, published: bool) -> None:
    doing = f"{'showing' if published else 'hiding'} the video {video}"
    try:
        await graph.change("POST", video, doing=doing, published=json.dumps(published))
    except GraphError as error:
        if error.code != 100 or error.absent:
            raise graph.fate(error, doing) from error
        wanted = "show the video to everybody" if published else "hide a video that was shown to everybody"
        raise Refused(
            f"Facebook does not {wanted} ({video}) by its API: do it at the page, or `vidd retract` it."
        ) from error


async def delete(graph: Graph, video: str) -> bool:
    """Delete a video; False where there was none."""
    doing = f"deleting the video {video}"
    try:
        await graph.change("DELETE", video, doing=doing)
    except GraphError as error:
        if not error.absent:
            raise graph.fate(error, doing) from error
        return False
    return True

"""The title, description, tags, privacy and playlists of a video at YouTube: made for a job, and merged with what is there.

An update replaces a part of the resource as a whole, so vidd sends along what is there. vidd writes a field only where
its own value changed since it last wrote it; a tag that vidd did not write stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused
from vidd.integrations.youtube.text import PLAYLIST, TextFitter
from vidd.settings.templates import fields_of, render, title_among

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.ports import PublishContext

_SNIPPET = ("title", "description", "tags", "categoryId", "defaultLanguage", "defaultAudioLanguage")
_STATUS = ("privacyStatus", "license", "embeddable", "publicStatsViewable", "selfDeclaredMadeForKids")


@dataclass(frozen=True)
class Metadata:
    """`text` has title, description, tags and privacy; `publish_at` is ISO 8601 with its zone; `notes` say what was changed."""

    text: Mapping[str, Any]
    publish_at: str | None
    notes: tuple[str, ...]

    def body(
        self, *, category: str, languages: tuple[str | None, str | None], licence: str | None, for_kids: bool
    ) -> dict[str, Any]:
        """The resource for videos.insert; `languages` are those of the text and of the audio."""
        snippet = {
            "title": self.text["title"],
            "description": self.text["description"],
            "tags": self.text["tags"],
            "categoryId": category,
            "defaultLanguage": languages[0],
            "defaultAudioLanguage": languages[1],
        }
        status = {
            "privacyStatus": self.text["privacy"],
            "publishAt": self.publish_at,
            "license": licence,
            "selfDeclaredMadeForKids": for_kids,
        }
        return {
            "snippet": {name: value for name, value in snippet.items() if value is not None},
            "status": {name: value for name, value in status.items() if value is not None},
        }


def marker_of(context: PublishContext) -> str:
    """The word in a video's tags or description by which vidd finds the video of a job and revision."""
    revision = context.publication.edition
    return f"vidd-{context.job.id}" + (f"-{revision}" if revision > 1 else "")


def make_metadata(
    context: PublishContext, *, privacy: str, publish_at: str | None, in_tags: bool, refuse: bool
) -> Metadata:
    """The metadata from the facts of the step `describe` or else from the talk.

    `in_tags` puts the marker into the tags instead of the description; `refuse` raises instead of changing texts.
    """
    facts, talk = context.facts, context.talk
    fields = fields_of(context.job, talk, facts)
    marker, fitter = marker_of(context), TextFitter(refuse=refuse)
    description = str(facts.get("description") or (talk.description if talk else ""))
    tags = [*map(str, facts.get("tags", ())), *(talk.keywords if talk else ())]
    hidden = talk is not None and talk.private
    text = {
        "title": fitter.title(title_among(fields)),
        "description": fitter.description(description, "" if in_tags else f"\n\n{marker}"),
        "tags": fitter.tags([marker] if in_tags else [], tags),
        "privacy": "private" if hidden else privacy,
    }
    at = render(publish_at, fields).strip() if publish_at and not hidden else ""
    return Metadata(text, _parse_time(at) if at else None, tuple(fitter.notes))


def playlist_titles(context: PublishContext, templates: Sequence[str]) -> list[str]:
    """The titles of the playlists that the video belongs to, without duplicates."""
    fields = fields_of(context.job, context.talk, context.facts)
    titles = [" ".join(render(template, fields).split()) for template in templates]
    return list(dict.fromkeys(TextFitter().title(title, PLAYLIST) for title in titles if title))


def _parse_time(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Refused(
            f"publish_at is no time with its zone ({text[:40]!a}): write it like 2026-05-01T12:00:00+02:00.",
            code=FaultCode.BAD_SETTINGS,
        )
    return at.isoformat(timespec="seconds")


def merge_snippet(
    current: Mapping[str, Any], written: Mapping[str, Any], wanted: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The snippet to write; None where nothing differs. `written` and `wanted` have title, description and tags."""
    unchanged = {name: current[name] for name in _SNIPPET if name in current}
    merged = dict(unchanged)
    for name in ("title", "description"):
        if wanted[name] != written.get(name):
            merged[name] = wanted[name]
    if wanted["tags"] != written.get("tags"):
        ours = {str(tag).casefold() for tag in written.get("tags", [])}
        foreign = [tag for tag in current.get("tags", []) if str(tag).casefold() not in ours]
        merged["tags"] = TextFitter().tags(wanted["tags"], foreign)
    return None if merged == unchanged else merged


def set_privacy(current: Mapping[str, Any], privacy: str, publish_at: str | None = None) -> dict[str, Any]:
    """The status to write for this privacy."""
    unchanged = {name: current[name] for name in _STATUS if name in current}
    return {**unchanged, "privacyStatus": privacy, **({"publishAt": publish_at} if publish_at else {})}

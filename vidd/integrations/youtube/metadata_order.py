"""What is to be on YouTube for a job: the words as YouTube takes them, the time, the playlists, and what was mended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.integrations.youtube.text import PLAYLIST, Mending
from vidd.settings.templates import fields_of, render, title_among

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.ports import PublishContext


@dataclass(frozen=True)
class Order:
    """`words` are title, description, tags and privacy; `publish_at` is ISO 8601 with its zone."""

    words: Mapping[str, Any]
    publish_at: str | None
    notes: tuple[str, ...]

    def body(
        self, *, category: str, languages: tuple[str | None, str | None], licence: str | None, for_kids: bool
    ) -> dict[str, Any]:
        """The resource for videos.insert; `languages` are those of the words and of the sound."""
        snippet = {
            "title": self.words["title"],
            "description": self.words["description"],
            "tags": self.words["tags"],
            "categoryId": category,
            "defaultLanguage": languages[0],
            "defaultAudioLanguage": languages[1],
        }
        status = {
            "privacyStatus": self.words["privacy"],
            "publishAt": self.publish_at,
            "license": licence,
            "selfDeclaredMadeForKids": for_kids,
        }
        return {
            "snippet": {name: value for name, value in snippet.items() if value is not None},
            "status": {name: value for name, value in status.items() if value is not None},
        }


def marker_of(context: PublishContext) -> str:
    """The word by which the video of a job, and of its edition, is known again."""
    edition = context.publication.edition
    return f"vidd-{context.job.id}" + (f"-{edition}" if edition > 1 else "")


def order_of(context: PublishContext, *, privacy: str, publish_at: str | None, in_tags: bool, refuse: bool) -> Order:
    """The order, from the facts of the step `describe` or else from the talk. `refuse` raises instead of mending."""
    facts, talk = context.facts, context.talk
    fields = fields_of(context.job, talk, facts)
    marker, mending = marker_of(context), Mending(refuse=refuse)
    description = str(facts.get("description") or (talk.description if talk else ""))
    tags = [*map(str, facts.get("tags", ())), *(talk.keywords if talk else ())]
    hidden = talk is not None and talk.private
    words = {
        "title": mending.title(title_among(fields)),
        "description": mending.description(description, "" if in_tags else f"\n\n{marker}"),
        "tags": mending.tags([marker] if in_tags else [], tags),
        "privacy": "private" if hidden else privacy,
    }
    at = render(publish_at, fields).strip() if publish_at and not hidden else ""
    return Order(words, _time(at) if at else None, tuple(mending.notes))


def playlists_of(context: PublishContext, templates: Sequence[str]) -> list[str]:
    """The titles of the playlists it belongs into, each once."""
    fields = fields_of(context.job, context.talk, context.facts)
    titles = [" ".join(render(template, fields).split()) for template in templates]
    return list(dict.fromkeys(Mending().title(title, PLAYLIST) for title in titles if title))


def _time(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Refused(f"publish_at is no time with its zone ({text[:40]!a}): write it like 2026-05-01T12:00:00+02:00.")
    return at.isoformat(timespec="seconds")

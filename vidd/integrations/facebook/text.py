"""What a video on a page is called, what is said of it, and the marker that says which job's it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.model.talk import names_in_words
from vidd.settings.templates import fields_of, render, title_among

if TYPE_CHECKING:
    from vidd.ports import PublishContext

_LONGEST_TITLE = 255


@dataclass(frozen=True, slots=True)
class Words:
    """`published` says whether everybody sees the video; `label` is one that only the page's people see."""

    title: str
    description: str
    published: bool
    label: str | None

    @property
    def form(self) -> dict[str, str]:
        """What a finished upload is given (…/docs/graph-api/reference/page/videos, custom_labels are not published)."""
        given = {"title": self.title, "description": self.description, "published": json.dumps(self.published)}
        return given | ({"custom_labels": json.dumps([self.label])} if self.label else {})


def marker_of(context: PublishContext) -> str:
    """A word for this job, publisher and edition; a label may have no more than 25 characters."""
    about = f"{context.job.id}/{context.publication.name}/{context.publication.edition}"
    return f"#vidd{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def words_of(
    context: PublishContext, *, title: str, description: str, published: bool, marker: str, label: bool
) -> Words:
    """Title and description by their templates, from the facts of the steps or else from the talk.

    Without `label` the marker is the description's last line. Refused where a template names an unknown field.
    """
    talk = context.talk
    speakers = names_in_words(
        [" ".join(speaker.name.split()) for speaker in talk.speakers if speaker.name] if talk else []
    )
    told = "\n\n".join(part for part in (speakers, talk.description.strip() if talk else "") if part)
    fields = fields_of(context.job, talk, {"speakers": speakers, "description": told, **context.facts})
    fields["title"] = title_among(fields)
    named = " ".join(render(title, fields).split()) or fields["name"]
    if len(named) > _LONGEST_TITLE:
        named = f"{named[: _LONGEST_TITLE - 1]}…"
    said = render(description, fields).replace("\r\n", "\n").strip()
    if not label:
        said = f"{said}\n\n{marker}".strip()
    return Words(named, said, published and not (talk and talk.private), marker if label else None)

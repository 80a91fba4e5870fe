"""Title, description and marker of a video on a page."""

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
class VideoText:
    """`published` says whether everybody sees the video; `label` is a label that only the page's people see."""

    title: str
    description: str
    published: bool
    label: str | None

    @property
    def form(self) -> dict[str, str]:
        """The form fields that finish an upload (…/docs/graph-api/reference/page/videos; custom_labels are not public)."""
        fields = {"title": self.title, "description": self.description, "published": json.dumps(self.published)}
        return fields | ({"custom_labels": json.dumps([self.label])} if self.label else {})


def marker_of(context: PublishContext) -> str:
    """The word by which vidd finds the video of a job, publisher and revision; a label has at most 25 characters."""
    about = f"{context.job.id}/{context.publication.name}/{context.publication.edition}"
    return f"#vidd{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def make_text(
    context: PublishContext, *, title: str, description: str, published: bool, marker: str, label: bool
) -> VideoText:
    """Title and description from their templates, with the facts of the steps or else those of the talk.

    Without `label` the marker is the description's last line. Raises Refused where a template names an unknown field.
    """
    talk = context.talk
    speakers = names_in_words(
        [" ".join(speaker.name.split()) for speaker in talk.speakers if speaker.name] if talk else []
    )
    default = "\n\n".join(part for part in (speakers, talk.description.strip() if talk else "") if part)
    fields = fields_of(context.job, talk, {"speakers": speakers, "description": default, **context.facts})
    fields["title"] = title_among(fields)
    shown = " ".join(render(title, fields).split()) or fields["name"]
    if len(shown) > _LONGEST_TITLE:
        shown = f"{shown[: _LONGEST_TITLE - 1]}…"
    body = render(description, fields).replace("\r\n", "\n").strip()
    if not label:
        body = f"{body}\n\n{marker}".strip()
    return VideoText(shown, body, published and not (talk and talk.private), marker if label else None)

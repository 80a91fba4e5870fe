"""Renders a talk's title, description and tags from the programme, through templates.

Publishers and notices use the facts that it leaves: `title`, `description`, `tags`, `speakers`.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from vidd.errors import Refused
from vidd.model.media import Outcome
from vidd.model.talk import parse_recording_name, speakers_in_words
from vidd.ports import StepContext
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of, render
from vidd.settings.types import Options as Base

_Template = Annotated[str, AfterValidator(check_template), MayName("speakers", "title")]
_DESCRIPTION = "{{ speakers }}\n\n{{ talk.description }}"
_TAGS = (
    "{{ talk.speakers | map(attribute='name') | join('\n') }}",
    "{{ talk.keywords | join('\n') }}",
    "{{ talk.stage }}",
    "{{ talk.channel }}",
)


class Options(Base):
    """Settings of a step of kind `describe`. Templates may name talk, job, name, speakers and the facts of earlier steps."""

    title: _Template = Field("{{ talk.title }}", description="The title; where it is empty, the file's name.")
    description: _Template = Field(
        _DESCRIPTION, description="The description: by default the speakers and the talk's description."
    )
    tags: tuple[_Template, ...] = Field(_TAGS, description="Tags: each line of the rendered text is one.")


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset()


async def run(options: Options, context: StepContext) -> Outcome:
    """The facts `title` (one line), `description`, `tags` (a list) and `speakers` ("A, B and C").

    Refused where a template names an unknown field.
    """
    speakers = speakers_in_words(context.talk)
    fields = fields_of(context.job, context.talk, context.facts, speakers=speakers)
    title = " ".join(render(options.title, fields).split()) or title_of(context.job.name)
    description = re.sub(r"\n{3,}", "\n\n", render(options.description, fields | {"title": title})).strip()
    rendered = (render(template, fields | {"title": title}) for template in options.tags)
    tags = list(dict.fromkeys(" ".join(line.split()) for text in rendered for line in text.splitlines()))
    facts = {"title": title, "description": description, "tags": [tag for tag in tags if tag], "speakers": speakers}
    return Outcome(facts=facts)


def title_of(name: str) -> str:
    """A title from a file name: without suffix, talk and times, with spaces for underscores; else the talk's id."""
    stem = PurePosixPath(name).stem
    try:
        talk = parse_recording_name(name).talk
    except Refused:
        words = stem
    else:
        words = "_".join(stem.split("_")[:-3]) or talk
    return " ".join(words.replace("_", " ").split()) or " ".join(stem.split()) or "Untitled"

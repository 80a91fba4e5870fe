"""Words for the talk: its title, description and tags, from the programme through templates.

The facts it leaves (`title`, `description`, `tags`, `speakers`) are what publishers and notices speak of.
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
    """Settings of a step of kind `describe`. Templates may name talk, job, name, speakers and the facts so far."""

    title: _Template = Field("{{ talk.title }}", description="The title; the file's name where it comes out empty.")
    description: _Template = Field(_DESCRIPTION, description="The description: the speakers, and what they say.")
    tags: tuple[_Template, ...] = Field(_TAGS, description="Tags; each line that comes out is one.")


async def run(options: Options, context: StepContext) -> Outcome:
    """The facts `title` (one line), `description`, `tags` (a list) and `speakers` ("A, B and C").

    Refused where a template names what there is not.
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
    """A title from a file name: without its end and the times, words parted by spaces; the talk's id if need be."""
    stem = PurePosixPath(name).stem
    try:
        talk = parse_recording_name(name).talk
    except Refused:
        words = stem
    else:
        words = "_".join(stem.split("_")[:-3]) or talk
    return " ".join(words.replace("_", " ").split()) or " ".join(stem.split()) or "Untitled"

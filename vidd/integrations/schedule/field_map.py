"""Reads talks from any JSON by a map: for each thing the path at which it is.

A path is names joined by dots; `name[]` means each member of a list, `name[0]` one of them. A text with braces puts
several values together: `{first_name} {last_name}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from functools import partial
from typing import Any

from pydantic import Field, field_validator

from vidd.errors import FaultCode, Refused
from vidd.integrations.programme.schedule_json import text_of
from vidd.integrations.programme.scheduled_talk import ScheduledTalk
from vidd.integrations.programme.times import parse_duration, parse_time
from vidd.model.email_address import parse_address
from vidd.model.talk import Speaker
from vidd.settings.types import Options

_STEP = re.compile(r"([^.\[\]{}]+)((?:\[\d*\])*)")
_INDEX = re.compile(r"\[(\d*)\]")
_BRACES = re.compile(r"\{([^{}]+)\}")
_MOST = 20_000


def _is_path(path: str) -> bool:
    return all(_STEP.fullmatch(step) for step in path.split("."))


class FieldMap(Options):
    """Where each thing is in the JSON; all paths but `items` begin at a talk."""

    items: str = Field(
        "", description="The list of talks, such as `data.days[].timeslots[]`; empty: the document is it."
    )
    id: str = Field("id", description="The talk's id.")
    title: str = Field("title", description="The title.")
    abstract: str = Field("", description="A short text.")
    description: str = Field("description", description="The description.")
    speakers: str = Field("", description="The speakers, such as `participants[].attendee`.")
    speaker_name: str = Field("", description="Within a speaker, the name; empty: the speaker is a text.")
    speaker_email: str = Field("", description="Within a speaker, the e-mail address.")
    stage: str = Field("", description="The stage or room.")
    stage_name: str = Field("", description="Within the stage, its name; empty: the stage is a text.")
    start: str = Field("", description="When it begins, in ISO 8601.")
    end: str = Field("", description="When it ends.")
    duration: str = Field("", description="Instead of the end: H:MM, minutes, or PT30M.")
    language: str = Field("", description="The language.")
    track: str = Field("", description="The track.")
    keywords: str = Field("", description="Keywords, such as `tags[].name`.")
    url: str = Field("", description="The talk's page.")
    do_not_record: str = Field("", description="True where the talk must not be recorded.")

    @field_validator("*")
    @classmethod
    def _can_be_read(cls, path: str) -> str:
        paths = _BRACES.findall(path) if "{" in path else [path] if path else []
        for part in paths:
            if not _is_path(part):
                raise ValueError(f"{part!r} is no path; write it like speakers[].name")
        return path


class Lookups(Options):
    """Addresses at which something has a document of its own; `{id}` is the id that the talk has in its place."""

    speakers: str | None = Field(None, pattern=r"^https?://[^\s@]*\{id\}[^\s@]*$", description="A speaker's.")
    stage: str | None = Field(None, pattern=r"^https?://[^\s@]*\{id\}[^\s@]*$", description="A stage's.")


Found = Mapping[tuple[str, str], Any]
"""The documents that were looked up, by what they are (`speakers`, `stage`) and id; None where there is none."""


def items_of(document: Any, fields: FieldMap, name: str) -> list[dict[str, Any]]:
    """The talks of a document. Raises Refused where there is no such list."""
    lists = list(values(document, fields.items)) if fields.items else [document]
    found = [item for value in lists for item in (value if isinstance(value, list) else [value])]
    is_list = isinstance(document, list) if not fields.items else bool(lists) or _is_there(document, fields.items)
    if not is_list:
        raise Refused(
            f"{name} has no list of talks at {fields.items or 'its root'!r}: correct `items` of the fields.",
            code=FaultCode.BAD_SETTINGS,
        )
    if len(found) > _MOST:
        raise Refused(f"{name} has {len(found)} talks, and no schedule is that large: look at what is there.")
    return [item for item in found if isinstance(item, dict)]


def names_by_id(items: list[dict[str, Any]], fields: FieldMap, lookups: Lookups) -> set[tuple[str, str]]:
    """What must be looked up, as in `Found`."""
    return {
        (what, text_of(value))
        for what in ("speakers", "stage")
        if getattr(lookups, what) is not None
        for item in items
        for value in values(item, getattr(fields, what))
        if text_of(value)
    }


def read_by_map(
    items: list[dict[str, Any]], fields: FieldMap, found: Found, lookups: Lookups, zone: tzinfo | None
) -> list[ScheduledTalk]:
    """The talks of these items. `zone` is that of times that have none."""
    return [_talk(item, fields, found, lookups, zone) for item in items]


def _talk(item: dict[str, Any], fields: FieldMap, found: Found, lookups: Lookups, zone: tzinfo | None) -> ScheduledTalk:
    text = partial(text_at, item)
    talk = ScheduledTalk(
        id=text(fields.id),
        title=text(fields.title),
        abstract=text(fields.abstract),
        description=text(fields.description),
        language=text(fields.language),
        track=text(fields.track),
        url=text(fields.url),
        keywords=[text_of(value) for value in values(item, fields.keywords) if text_of(value)],
    )
    stages = _looked_up(item, "stage", fields, found, lookups, talk)
    talk.stage = next((name for value in stages if (name := _name(value, fields.stage_name))), "")
    speakers = _looked_up(item, "speakers", fields, found, lookups, talk)
    talk.speakers = [speaker for value in speakers if (speaker := _speaker(value, fields, talk)).name]
    talk.set_opt_out(text(fields.do_not_record))
    start, end, length = text(fields.start), text(fields.end), text(fields.duration)
    begin = partial(parse_time, start, zone) if start else lambda: None
    talk.set_times(begin, partial(parse_duration, length) if length else lambda: None)
    if end and talk.starts:
        try:
            talk.ends = parse_time(end, zone)
        except ValueError as error:
            talk.notes.append(f"{error}, so vidd does not know when the talk ends")
    return talk


def _looked_up(
    item: dict[str, Any], what: str, fields: FieldMap, found: Found, lookups: Lookups, talk: ScheduledTalk
) -> Iterator[Any]:
    for value in values(item, getattr(fields, what)):
        key = (what, text_of(value))
        if getattr(lookups, what) is None:
            yield value
        elif found.get(key) is not None:
            yield found[key]
        elif key[1]:
            talk.notes.append(f"there is nothing with the id {key[1][:40]!r} where the {what} are looked up")


def _speaker(value: Any, fields: FieldMap, talk: ScheduledTalk) -> Speaker:
    written = text_at(value, fields.speaker_email)
    address = parse_address(written)
    if written and address is None:
        talk.notes.append(f"{written[:80]!r} is no e-mail address, so this speaker gets no mail")
    return Speaker(_name(value, fields.speaker_name), address[1] if address else None)


def _name(value: Any, path: str) -> str:
    return " ".join((text_at(value, path) if path else text_of(value)).split())


def text_at(value: Any, path: str) -> str:
    """The text at a path, or the text with braces filled in; "" where there is none."""
    if "{" in path:
        return " ".join(_BRACES.sub(lambda match: text_at(value, match[1]), path).split())
    return next((text for found in values(value, path) if (text := text_of(found))), "")


def values(value: Any, path: str) -> Iterator[Any]:
    """All values at a path; none where it leads nowhere, or is empty."""
    if not path:
        return
    step, _, rest = path.partition(".")
    match = _STEP.fullmatch(step)
    found = [value.get(match[1])] if match and isinstance(value, dict) else []
    for index in _INDEX.findall(match[2]) if match else []:
        found = [member for many in found for member in _members(many, index)]
    for member in found:
        if member is not None:
            yield from values(member, rest) if rest else (member,)


def _members(many: Any, index: str) -> list[Any]:
    if isinstance(many, dict) and not index:
        return list(many.values())
    if not isinstance(many, list):
        return []
    return many if not index else many[int(index) : int(index) + 1]


def _is_there(document: Any, path: str) -> bool:
    """Whether the list itself is there, though empty."""
    return any(True for _ in values(document, path.split("[", 1)[0]))

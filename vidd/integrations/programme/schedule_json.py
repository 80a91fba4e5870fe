"""Reads `schedule.json`, the schedule of frab, pretalx and the CCC (c3voc.de/schedule/schema.json)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import tzinfo
from functools import partial
from typing import Any

from vidd.errors import FaultCode, Refused
from vidd.integrations.programme.scheduled_talk import ScheduledTalk
from vidd.integrations.programme.times import parse_duration, parse_time, parse_zone
from vidd.model.talk import Speaker

_CODE_IN_URL = re.compile(r"/talk/([^/?#]+)/?$")


def parse_json(content: bytes, name: str) -> Any:
    """What a JSON document holds. Raises Refused where it is none."""
    try:
        return json.loads(content)
    except UnicodeDecodeError:
        raise Refused(f"{name} is not UTF-8: correct its encoding.") from None
    except (ValueError, RecursionError) as error:
        said = str(error)[:80] if isinstance(error, ValueError) else "it is nested too deeply"
        raise Refused(f"{name} is no JSON ({said}): correct the address, or wait until it is whole.") from None


def read_schedule_json(content: bytes, name: str, *, id_field: str, zone: tzinfo | None) -> list[ScheduledTalk]:
    """The talks of such a document. `zone` is that of times that have none, if the document names none.

    Raises Refused where it is no schedule.
    """
    schedule = _member(parse_json(content, name), "schedule")
    conference = _member(schedule, "conference")
    days = conference.get("days")
    if not isinstance(days, list):
        raise Refused(
            f"{name} is no schedule.json, since it has no schedule.conference.days: correct the address or `format`.",
            code=FaultCode.BAD_INPUT,
        )
    own = text_of(conference.get("time_zone_name"))
    try:
        zone = zone or (parse_zone(own) if own else None)
    except ValueError:
        zone = None
    return [_talk(event, room, id_field, zone) for room, event in _events(days)]


def _events(days: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for day in days:
        rooms = _member(day, "rooms")
        for room, events in rooms.items():
            yield from ((room, event) for event in dicts(events))


def _talk(event: dict[str, Any], room: str, id_field: str, zone: tzinfo | None) -> ScheduledTalk:
    talk = ScheduledTalk(
        id=_id(event, id_field),
        title=text_of(event.get("title")),
        subtitle=text_of(event.get("subtitle")),
        abstract=text_of(event.get("abstract")),
        description=text_of(event.get("description")),
        speakers=[Speaker(name) for name in _names(event.get("persons"))],
        stage=text_of(event.get("room")) or room,
        language=text_of(event.get("language")),
        track=text_of(event.get("track")),
        url=text_of(event.get("url")),
        links=[
            {"title": text_of(link.get("title")), "url": text_of(link.get("url"))}
            for link in dicts(event.get("links"))
            if link.get("url")
        ],
    )
    talk.set_opt_out(event.get("do_not_record"))
    start, length = text_of(event.get("date")), text_of(event.get("duration"))
    talk.set_times(
        partial(parse_time, start, zone) if start else lambda: None,
        partial(parse_duration, length) if length else lambda: None,
    )
    return talk


def _id(event: dict[str, Any], field: str) -> str:
    found = text_of(event.get(field))
    if not found and field == "code" and (match := _CODE_IN_URL.search(text_of(event.get("url")))):
        # pretalx has the code as a field of its own since 2024; before, only in the address of the talk's page.
        return match[1]
    return found


def _names(persons: Any) -> Iterator[str]:
    for person in dicts(persons):
        names = (text_of(person.get(field)) for field in ("public_name", "name", "full_public_name"))
        if name := next((" ".join(name.split()) for name in names if name), None):
            yield name


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list of JSON; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """A value as text: of a text in several languages, the English one or else the first; "" for none."""
    if isinstance(value, dict):
        texts = [text for text in (value.get("en"), *value.values()) if isinstance(text, str) and text.strip()]
        return texts[0].strip() if texts else ""
    if value is None or isinstance(value, list):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def _member(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}

"""Reads `schedule.xml`, the schedule of Pentabarf, frab and pretalx.

A talk's own <date> says when it begins. Pentabarf has none: the day's date and the talk's <start> do, and a start before
the day's change (4 in the morning, unless <day_change> says otherwise) is after midnight.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time, tzinfo
from functools import partial
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, ParseError

from vidd.errors import FaultCode, Refused
from vidd.integrations.programme.scheduled_talk import ScheduledTalk, id_by
from vidd.integrations.programme.times import on_day, parse_duration, parse_time, parse_zone
from vidd.model.talk import Speaker

if TYPE_CHECKING:
    from vidd.integrations.schedule.options import IdOptions

_MOST_ELEMENTS = 500_000
_DAY_CHANGE = time(4)


def read_schedule_xml(content: bytes, name: str, *, ids: IdOptions, zone: tzinfo | None) -> list[ScheduledTalk]:
    """The talks of such a document. `zone` is that of times that have none, if the document names none.

    Raises Refused where it is no schedule, is broken, or declares entities, by which a small file could fill the memory.
    """
    root = _parse(content, name)
    if root.tag != "schedule":
        raise Refused(
            f"{name} is no schedule.xml, since its root is <{root.tag[:40]}>: correct the address or `format`.",
            code=FaultCode.BAD_INPUT,
        )
    own = _text(root, "conference/time_zone_name")
    try:
        zone = zone or (parse_zone(own) if own else None)
    except ValueError:
        zone = None
    change = _clock(_text(root, "conference/day_change")) or _DAY_CHANGE
    return [_talk(event, room, _Day(day, change, zone), ids) for day, room, event in _events(root)]


def _parse(content: bytes, name: str) -> Element:
    # Only settings that name such a schedule pay for the library.
    from defusedxml import DefusedXmlException, ElementTree  # noqa: PLC0415

    root: Element | None = None
    try:
        for number, (_, element) in enumerate(ElementTree.iterparse(io.BytesIO(content), events=("start",))):
            root = element if root is None else root
            if number >= _MOST_ELEMENTS:
                raise Refused(f"{name} has more than {_MOST_ELEMENTS} elements, and no schedule is that large.")
    except DefusedXmlException:
        raise Refused(
            f"{name} declares entities of its own, by which a small file can fill the memory: remove its DOCTYPE."
        ) from None
    except ParseError as error:
        line, column = error.position
        raise Refused(
            f"{name} is no XML in the encoding that it declares (line {line}, column {column}): correct it, or wait until it is "
            "whole."
        ) from None
    except (ValueError, LookupError):
        raise Refused(f"{name} is in an encoding that vidd does not know: save it as UTF-8.") from None
    if root is None:
        raise Refused(f"{name} is empty: correct the address.")
    return root


def _events(root: Element) -> Iterator[tuple[Element, str, Element]]:
    for day in root.iterfind("day"):
        for room in day.iterfind("room"):
            for event in room.iterfind("event"):
                yield day, room.get("name", ""), event


class _Day:
    """A day of the conference; `at` is the time of a talk's clock on it."""

    def __init__(self, day: Element, change: time, zone: tzinfo | None) -> None:
        self.zone = zone
        self._date, self._change = day.get("date", ""), change
        start = day.get("start", "")
        # frab gives the day's bounds with the offset of the conference.
        if start:
            try:
                begin = datetime.fromisoformat(start)
            except ValueError:
                return
            self.zone = zone or begin.tzinfo

    def at(self, text: str) -> datetime:
        """Raises ValueError where the clock or the day is none, NoZone where there is no zone."""
        clock = _clock(text)
        try:
            day = date.fromisoformat(self._date[:10])
        except ValueError:
            raise ValueError(f"{self._date[:40]!r} is no day") from None
        if clock is None:
            raise ValueError(f"{text[:40]!r} is no time")
        return on_day(day, clock, self._change, self.zone)


def _talk(event: Element, room: str, day: _Day, ids: IdOptions) -> ScheduledTalk:
    talk = ScheduledTalk(
        id=id_by(ids.pattern, event.get(ids.id or "id", "") or _text(event, ids.id or "id")),
        title=_text(event, "title"),
        subtitle=_text(event, "subtitle"),
        abstract=_text(event, "abstract"),
        description=_text(event, "description"),
        speakers=[Speaker(name) for person in event.iterfind("persons/person") if (name := _name(person))],
        stage=_text(event, "room") or room,
        language=_text(event, "language"),
        track=_text(event, "track"),
        url=_text(event, "url"),
        links=[
            {"title": _words(link), "url": link.get("href", "")}
            for link in event.iterfind("links/link")
            if link.get("href")
        ],
    )
    talk.set_opt_out(_text(event, "recording/optout"))
    written, clock, length = (_text(event, field) for field in ("date", "start", "duration"))
    start = partial(parse_time, written, day.zone) if "T" in written else partial(day.at, clock)
    talk.set_times(
        start if written or clock else lambda: None,
        partial(parse_duration, length) if length else lambda: None,
    )
    return talk


def _name(person: Element) -> str:
    return _words(person) or " ".join((person.get("public_name") or person.get("name") or "").split())


def _words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _text(element: Element, path: str) -> str:
    """The text of the first element at a path; "" where there is none."""
    found = element.find(path)
    return "" if found is None else "".join(found.itertext()).strip()


def _clock(text: str) -> time | None:
    match = re.fullmatch(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?", text.strip(), re.ASCII)
    if match is None or int(match[1]) > 23:
        return None
    return time(int(match[1]), int(match[2]), int(match[3] or 0))

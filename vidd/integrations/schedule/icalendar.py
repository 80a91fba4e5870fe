"""Reads an iCalendar (RFC 5545) as a schedule: each VEVENT is a talk.

An event that repeats is one talk, since all its occurrences have one UID; its time is that of the first one.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.integrations.programme.scheduled_talk import ScheduledTalk, id_by
from vidd.integrations.programme.times import in_zone, parse_zone
from vidd.model.talk import Speaker

if TYPE_CHECKING:
    from vidd.integrations.schedule.options import IdOptions


def read_icalendar(
    content: bytes, name: str, *, ids: IdOptions, zone: tzinfo | None, speakers_after: str | None
) -> list[ScheduledTalk]:
    """The talks of a calendar. `zone` is that of times that have none, if the calendar names none (X-WR-TIMEZONE).

    Raises Refused where it is no calendar.
    """
    # Only settings that name a calendar pay for the library.
    from icalendar import Calendar  # noqa: PLC0415

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(f"{name} is not UTF-8, as a calendar must be: correct its encoding.") from None
    try:
        calendar = Calendar.from_ical(text)
    except (ValueError, KeyError, IndexError, RecursionError) as error:
        raise Refused(
            f"{name} is no iCalendar ({str(error)[:80]!r}): correct the address, or wait until it is whole."
        ) from None
    own = str(calendar.get("X-WR-TIMEZONE", ""))
    try:
        zone = zone or (parse_zone(own) if own else None)
    except ValueError:
        zone = None
    return [
        _talk(event, ids, zone, speakers_after) for event in calendar.walk("VEVENT") if "RECURRENCE-ID" not in event
    ]


def _talk(event: Any, ids: IdOptions, zone: tzinfo | None, speakers_after: str | None) -> ScheduledTalk:
    title, names = _text(event, "SUMMARY"), [_common_name(person) for person in _list(event, "ATTENDEE")]
    if speakers_after and speakers_after in title:
        title, _, after = title.rpartition(speakers_after)
        names = after.split(",")
    talk = ScheduledTalk(
        id=id_by(ids.pattern, _text(event, (ids.id or "uid").upper())),
        title=title.strip(),
        description=_text(event, "DESCRIPTION"),
        speakers=[Speaker(" ".join(name.split())) for name in names if name.strip()],
        stage=_text(event, "LOCATION"),
        keywords=[str(word).strip() for group in _list(event, "CATEGORIES") for word in getattr(group, "cats", ())],
        url=_text(event, "URL"),
    )
    if _text(event, "STATUS").upper() == "CANCELLED":
        talk.excluded = "the calendar says that it was cancelled"
    if "RRULE" in event or "RDATE" in event:
        talk.notes.append("the event repeats, and vidd takes the time of the first one for all its recordings")
    talk.set_times(lambda: _start(event, zone), lambda: _length(event))
    return talk


def _start(event: Any, zone: tzinfo | None) -> datetime | None:
    start = _date(event, "DTSTART")
    return in_zone(start, zone) if isinstance(start, datetime) else None


def _length(event: Any) -> timedelta | None:
    start, end, length = _date(event, "DTSTART"), _date(event, "DTEND"), event.get("DURATION")
    if isinstance(start, datetime) and isinstance(end, datetime):
        return end - start if (start.tzinfo is None) is (end.tzinfo is None) else None
    found = getattr(length, "dt", None)
    return found if isinstance(found, timedelta) else None


def _date(event: Any, name: str) -> date | None:
    found = getattr(event.get(name), "dt", None)
    return found if isinstance(found, date) else None


def _common_name(person: Any) -> str:
    return str(getattr(person, "params", {}).get("CN", ""))


def _list(event: Any, name: str) -> list[Any]:
    found = event.get(name)
    return found if isinstance(found, list) else [] if found is None else [found]


def _text(event: Any, name: str) -> str:
    found = event.get(name)
    found = found[0] if isinstance(found, list) and found else found
    return str(found).strip() if found is not None else ""

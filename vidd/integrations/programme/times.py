"""Times and durations as schedules write them: with a zone, in the conference's zone, or without one."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

_HOURS = re.compile(r"(\d{1,3}):([0-5]\d)", re.ASCII)
_SECONDS = re.compile(r"(\d{2,3}):([0-5]\d):([0-5]\d)", re.ASCII)
_DAYS = re.compile(r"(\d):([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_ISO = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?", re.ASCII)
_MINUTES = re.compile(r"\d{1,5}", re.ASCII)
_LONGEST = timedelta(days=31)


class NoZone(ValueError):
    """A time has no zone, and nothing says which one is meant."""


def parse_zone(name: str) -> ZoneInfo:
    """The zone of a name such as Europe/Berlin. Raises ValueError where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError):
        raise ValueError(f"there is no time zone {name[:60]!r}; write it like Europe/Berlin") from None


def parse_time(text: str, zone: tzinfo | None) -> datetime:
    """A time in ISO 8601 with its zone; `zone` is that of a time without one.

    Raises NoZone where both lack it, ValueError where the text is no time.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no time") from None
    return in_zone(at, zone)


def in_zone(at: datetime, zone: tzinfo | None) -> datetime:
    """The time with a zone: its own, else this one. Raises NoZone where both lack it."""
    if at.tzinfo is None and zone is None:
        raise NoZone(f"the time {at:%Y-%m-%d %H:%M} has no zone: set `time_zone`")
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


def parse_duration(text: str) -> timedelta:
    """A duration as H:MM, HH:MM:SS, D:HH:MM (pretalx), PT30M (ISO 8601), or minutes.

    Raises ValueError where it is none, or longer than a month.
    """
    found = text.strip()
    days = hours = minutes = seconds = 0
    if match := _HOURS.fullmatch(found):
        hours, minutes = (int(part) for part in match.groups())
    elif match := _SECONDS.fullmatch(found):
        hours, minutes, seconds = (int(part) for part in match.groups())
    elif match := _DAYS.fullmatch(found):
        days, hours, minutes = (int(part) for part in match.groups())
    elif (match := _ISO.fullmatch(found)) and any(match.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    elif _MINUTES.fullmatch(found):
        minutes = int(found)
    else:
        raise ValueError(f"{text[:40]!r} is no duration; write it like 00:30")
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length > _LONGEST:
        raise ValueError(f"{text[:40]!r} is longer than a month")
    return length


def on_day(day: date, clock: time, change: time, zone: tzinfo | None) -> datetime:
    """The time of a clock on a conference day, which lasts until `change` of the next morning.

    Raises NoZone where there is no zone.
    """
    after_midnight = clock < change
    return in_zone(datetime.combine(day + timedelta(days=after_midnight), clock), zone)

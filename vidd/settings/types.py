"""The base of all options models, and the types of durations and sizes as people write them (90s, 64MiB)."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, PlainSerializer

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_CLOCK = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?((?<=:)[0-5]?\d(?:\.\d+)?|(?<!:)\d+(?:\.\d+)?)", re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def parse_duration(value: Any) -> Any:
    """Seconds, from "90s", "1h30m" or a number of seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise ValueError(f"{value!r} is not a duration; write it like 90s, 15m, 6h or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def time_in_file(text: str) -> float:
    """Seconds from a file's start, from a time as players show it (1:02:30.5, 2:30), a number of seconds, or a duration."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return float(parse_duration(text))
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(float)]
Size = Annotated[ByteSize, PlainSerializer(int)]


class Options(BaseModel):
    """A table of the settings. A key that it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

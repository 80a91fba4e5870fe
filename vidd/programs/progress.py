"""How far a program says it is: by a pattern in its lines, or by the fields of lines that are JSON."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from vidd.settings.types import Options

_LONGEST = 4096
_OFTEN = 0.25

Number = Literal["percent", "done", "total"]


class Progress(Options):
    """Where a program's lines say how far it is."""

    pattern: str | None = Field(
        None, description="A regular expression with a group named percent, or two named done and total."
    )
    fields: dict[Number, str] = Field(
        {},
        description="For lines that are JSON objects: the member that has percent, or done and total; dots lead down.",
    )
    unit: str = Field("", max_length=20, description="What done and total count, such as frames.")

    @field_validator("pattern")
    @classmethod
    def _names_what_it_finds(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = set(re.compile(pattern).groupindex)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression ({error})") from None
        if not ({"percent"} <= groups or {"done", "total"} <= groups):
            raise ValueError(f"{pattern!r} names neither (?P<percent>…) nor (?P<done>…) and (?P<total>…)")
        return pattern

    @model_validator(mode="after")
    def _finds_something(self) -> Progress:
        if self.fields and not ({"percent"} <= self.fields.keys() or {"done", "total"} <= self.fields.keys()):
            raise ValueError("fields must say where percent is, or both done and total")
        return self


class Advance:
    """Reads lines and tells how far the program is, four times a second at most."""

    def __init__(self, options: Progress, tell: Callable[[float, float | None, str, float | None], None]) -> None:
        self._options, self._tell = options, tell
        self._pattern = re.compile(options.pattern) if options.pattern else None
        self._told = 0.0

    def hear(self, line: str) -> None:
        """One line of the program's."""
        found = self._found(line[:_LONGEST])
        if found is None:
            return
        done, total, unit = found
        now = time.monotonic()
        if done >= total or now - self._told >= _OFTEN:
            self._told = now
            self._tell(min(done, total), total, unit, None)

    def _found(self, line: str) -> tuple[float, float, str] | None:
        if self._pattern is not None and (match := self._pattern.search(line)):
            return self._read(match.groupdict())
        if self._options.fields and line.lstrip().startswith("{"):
            try:
                data = json.loads(line)
            except ValueError:
                return None
            return self._read({name: _dig(data, path) for name, path in self._options.fields.items()})
        return None

    def _read(self, found: Mapping[str, Any]) -> tuple[float, float, str] | None:
        percent, done, total = (_number(found.get(name)) for name in ("percent", "done", "total"))
        if percent is not None:
            return percent, 100.0, "%"
        if done is not None and total is not None and total > 0:
            return done, total, self._options.unit
        return None


def _dig(data: Any, path: str) -> Any:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < float("inf") else None

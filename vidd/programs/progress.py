"""Reads progress from a program's lines: by a pattern, or by the fields of lines that are JSON."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from vidd.settings.types import Options

_MAX_LINE = 4096
_REPORT_EVERY = 0.25

Number = Literal["percent", "done", "total"]


class Progress(Options):
    """Where a program's lines say how far it is."""

    pattern: str | None = Field(
        None, description="A regular expression with a group named percent, or two named done and total."
    )
    fields: dict[Number, str] = Field(
        {},
        description="For lines that are JSON objects: the paths (with dots) of percent, or of done and total.",
    )
    unit: str = Field("", max_length=20, description="The unit of done and total, such as frames.")

    @field_validator("pattern")
    @classmethod
    def _check_groups(cls, pattern: str | None) -> str | None:
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
    def _check_fields(self) -> Progress:
        if self.fields and not ({"percent"} <= self.fields.keys() or {"done", "total"} <= self.fields.keys()):
            raise ValueError("fields must say where percent is, or both done and total")
        return self


class ProgressParser:
    """Reports the progress that lines show, four times a second at most."""

    def __init__(self, options: Progress, report: Callable[[float, float | None, str, float | None], None]) -> None:
        self._options, self._report = options, report
        self._pattern = re.compile(options.pattern) if options.pattern else None
        self._reported_at = 0.0

    def parse(self, line: str) -> None:
        """Read one line of the program."""
        progress = self._match(line[:_MAX_LINE])
        if progress is None:
            return
        done, total, unit = progress
        now = time.monotonic()
        if done >= total or now - self._reported_at >= _REPORT_EVERY:
            self._reported_at = now
            self._report(min(done, total), total, unit, None)

    def _match(self, line: str) -> tuple[float, float, str] | None:
        if self._pattern is not None and (match := self._pattern.search(line)):
            return self._read(match.groupdict())
        if self._options.fields and line.lstrip().startswith("{"):
            try:
                data = json.loads(line)
            except ValueError:
                return None
            return self._read({name: _dig(data, path) for name, path in self._options.fields.items()})
        return None

    def _read(self, progress: Mapping[str, Any]) -> tuple[float, float, str] | None:
        percent, done, total = (_number(progress.get(name)) for name in ("percent", "done", "total"))
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

"""The options of a schedule: where it is, its format, and what is a talk's id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from vidd.integrations.programme.times import parse_zone
from vidd.integrations.schedule.field_map import FieldMap, Lookups
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

Format = Literal["schedule_xml", "schedule_json", "icalendar", "json"]

_BY_ENDING: dict[str, Format] = {
    "schedule.json": "schedule_json", ".xml": "schedule_xml", ".ics": "icalendar", ".ical": "icalendar"
}  # fmt: skip
_HEADER = re.compile(r"[A-Za-z0-9-]+")


class IdOptions(Base):
    """What the talk's id is, by which a recording's file names it."""

    id: str | None = Field(
        None,
        description="The field that has it: `id`, `guid`, `code` or `slug` of schedule.xml and schedule.json (default "
        "`id`), a property of iCalendar (default `UID`).",
    )
    id_pattern: str | None = Field(
        None, description="A regular expression; what its group matches in that field is the id."
    )

    @field_validator("id_pattern")
    @classmethod
    def _can_be_read(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        return pattern

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """The compiled pattern."""
        return None if self.id_pattern is None else re.compile(self.id_pattern)


class ScheduleOptions(IdOptions):
    """Where the schedule is, and how to read it."""

    url: str | None = Field(None, pattern=r"^https?://[^\s@]+$", description="Its address.")
    path: Path | None = Field(
        None, description="Instead of url: a file; from the state directory where it is relative."
    )
    format: Format | None = Field(
        None, description="Its format, where the name does not end in .xml, .ics or schedule.json."
    )
    refresh: Duration = Field(300.0, gt=0, description="How often vidd reads it.")
    time_zone: str | None = Field(
        None, description="The zone of times that have none, such as Europe/Berlin; else what the schedule names."
    )
    headers: dict[str, str] = Field({}, description="Headers to send, such as `x-event-id`.")
    secret_headers: dict[str, str] = Field(
        {}, description="Headers whose whole value is a secret, as account.key, such as `avenger.value`."
    )
    query: str | None = Field(None, description="A GraphQL query, which vidd posts to the url.")
    variables: dict[str, Any] = Field({}, description="The variables of the query.")
    fields: FieldMap | None = Field(None, description="For the format json: where each thing is.")
    lookups: Lookups = Field(
        Lookups(), description="For the format json: addresses of what the document only names by id."
    )
    speakers_after: str | None = Field(
        None, min_length=1, description="For iCalendar: the last of these in a title parts it from the speakers."
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    timeout: Duration = Field(60.0, gt=0, description="Longest wait for the next bytes of an answer.")

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None:
            parse_zone(name)
        return name

    @field_validator("headers", "secret_headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name) or not (value.isascii() and value.isprintable()):
                raise ValueError(f"{name!r} is no header with a value of one line of ASCII")
        return headers

    @model_validator(mode="after")
    def _one_place(self) -> ScheduleOptions:
        if (self.url is None) is (self.path is None):
            raise ValueError("give either url or path")
        if self.kind_of_document is None:
            raise ValueError("set format: the name does not say which it is")
        if (self.fields is not None) is not (self.kind_of_document == "json"):
            raise ValueError("fields and the format json come together: give both or neither")
        if self.url is None and (self.query or self.headers or self.secret_headers):
            raise ValueError("query and headers belong to a url, not to a file")
        if self.query and self.kind_of_document != "json":
            raise ValueError("the answer to a query is read by fields: set the format json")
        return self

    @property
    def kind_of_document(self) -> Format | None:
        """The format, by the name where it is not given."""
        name = (urlsplit(self.url).path if self.url is not None else str(self.path)).lower()
        return self.format or next((known for ending, known in _BY_ENDING.items() if name.endswith(ending)), None)

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of times that have none."""
        return None if self.time_zone is None else parse_zone(self.time_zone)

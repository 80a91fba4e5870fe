"""Parses a CMS's objects as uploads: their fields, whether they are complete, and the key of their arrival. Pure.

A path is names with dots; it leads into each element of a list on the way (`videos.edges.node`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from vidd.display_text import printable
from vidd.settings.types import Options

_PATH = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
_MAX_LENGTH = 500
_FIRST_MILLISECONDS = 1e11
"""In seconds this would be beyond the year 5000, so such numbers are milliseconds."""


class Fields(Options):
    """The paths of the fields that vidd needs of an object."""

    id: str = Field("id", pattern=_PATH, description="The object's id.")
    file_id: str = Field("pCloudFileId", pattern=_PATH, description="The id of its file; an upload without it waits.")
    folder_id: str | None = Field(
        "pCloudAnnotationsFolderId",
        pattern=_PATH,
        description="The id of the folder for its results; it may be missing.",
    )
    folder_needed: bool = Field(False, description="Whether an upload without its folder waits, too.")
    uploaded_at: str = Field("uploadedAt", pattern=_PATH, description="The time of upload; an upload without it waits.")


class NotAnUpload(Exception):
    """A value is not an object as the settings describe it; the message says why."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An object of the CMS. `at` is its time if that can be parsed, `timestamp` the same as a text, always written alike.

    `missing` says what it waits for, for a sentence; None if it is complete.
    """

    id: str
    file_id: str | None
    folder_id: str | None
    timestamp: str | None
    at: datetime | None
    missing: str | None
    fields: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """A key that is the same whenever this upload is seen, and another once the object is uploaded anew."""
        return f"{self.id}@{self.timestamp}"


def dig(value: Any, path: str) -> Any:
    """The value at a path; None if there is none."""
    for position, name in enumerate(names := path.split(".")):
        if isinstance(value, list):
            rest = ".".join(names[position:])
            found = [dig(element, rest) for element in value]
            return [item for result in found for item in (result if isinstance(result, list) else [result])]
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def read_upload(value: Any, fields: Fields) -> Upload:
    """The upload that an object of an event or a list describes; NotAnUpload if it is no object, or its ids are no ids."""
    if not isinstance(value, Mapping):
        raise NotAnUpload(f"it is no object but {_kind(value)}")
    identity = _id(dig(value, fields.id), fields.id)
    if identity is None:
        raise NotAnUpload(f"it has no {fields.id!r}")
    timestamp, at = _time(dig(value, fields.uploaded_at), fields.uploaded_at)
    file_id = _id(dig(value, fields.file_id), fields.file_id)
    folder_id = _id(dig(value, fields.folder_id), fields.folder_id) if fields.folder_id else None
    needed = [("file id", file_id), ("time", timestamp)] + [("folder id", folder_id)] * fields.folder_needed
    missing = " and its ".join(words for words, found in needed if found is None)
    return Upload(identity, file_id, folder_id, timestamp, at, missing or None, value)


def _id(value: Any, path: str) -> str | None:
    """An id as a text; a number is an id, too."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise NotAnUpload(f"its {path!r} is no id but {_kind(value)}")
    text = str(value)
    if len(text) > _MAX_LENGTH or not text.isprintable() or text != text.strip():
        raise NotAnUpload(f"its {path!r} is no id but {printable(text, 80)!r}")
    return text


def _time(value: Any, path: str) -> tuple[str | None, datetime | None]:
    if value is None or value == "":
        return None, None
    at = read_time(value)
    if at is not None:
        return at.isoformat().replace("+00:00", "Z"), at
    if isinstance(value, str) and len(value) <= _MAX_LENGTH and value.isprintable():
        # A time that cannot be parsed still tells one upload from the next.
        return value, None
    raise NotAnUpload(f"its {path!r} is no time but {_kind(value)}")


def read_time(value: Any) -> datetime | None:
    """ISO 8601 (without a zone: UTC), or seconds or milliseconds since 1970; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if abs(value) > _FIRST_MILLISECONDS else value
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        except (OverflowError, ValueError):
            return None
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\d{9,13}", value, re.ASCII):
        return read_time(int(value))
    try:
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def stable_json(value: Any) -> str:
    """A foreign value as JSON, with sorted keys: the same text for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _kind(value: Any) -> str:
    kinds = (
        (type(None), "nothing"),
        (bool, "true or false"),
        (int | float, "a number"),
        (str, "a text"),
        (list, "a list"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), "an object")

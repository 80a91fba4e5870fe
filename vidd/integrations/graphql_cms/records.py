"""A CMS's objects as uploads: where their fields are, what makes one whole, and the key it is known by.

Pure. A path is names with dots; where a list lies on the way, it is followed into each element (`videos.edges.node`).
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
_LONGEST = 500
_MILLIS = 1e11
"""A number of seconds beyond the year 5000: it counts milliseconds."""


class Fields(Options):
    """Where an object has what is needed of it."""

    id: str = Field("id", pattern=_PATH, description="The object's id.")
    file_id: str = Field("pCloudFileId", pattern=_PATH, description="The id of its file; one without waits for it.")
    folder_id: str | None = Field(
        "pCloudAnnotationsFolderId",
        pattern=_PATH,
        description="The id of the folder for its results; it may be missing.",
    )
    folder_needed: bool = Field(False, description="Whether one without its folder waits for it too.")
    uploaded_at: str = Field("uploadedAt", pattern=_PATH, description="When it was uploaded; one without waits for it.")


class Improper(Exception):
    """What came is no object as the settings describe it; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An object of the CMS. `at` is its time where that can be read, `stamp` the same time written in one way.

    `lacks` says what it waits for, in words; None where it is whole.
    """

    id: str
    file_id: str | None
    folder_id: str | None
    stamp: str | None
    at: datetime | None
    lacks: str | None
    fields: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """The same whenever the same upload is seen again; another where the object was uploaded anew."""
        return f"{self.id}@{self.stamp}"


def dig(value: Any, path: str) -> Any:
    """What lies at a path; None where nothing does."""
    for at, name in enumerate(names := path.split(".")):
        if isinstance(value, list):
            rest = ".".join(names[at:])
            found = [dig(item, rest) for item in value]
            return [one for each in found for one in (each if isinstance(each, list) else [each])]
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def read_upload(value: Any, fields: Fields) -> Upload:
    """An object of an event or a list. Improper where it is none, or has no id, or what should be an id is none."""
    if not isinstance(value, Mapping):
        raise Improper(f"it is no object but {_kind(value)}")
    identity = _id(dig(value, fields.id), fields.id)
    if identity is None:
        raise Improper(f"it has no {fields.id!r}")
    stamp, at = _time(dig(value, fields.uploaded_at), fields.uploaded_at)
    file_id = _id(dig(value, fields.file_id), fields.file_id)
    folder_id = _id(dig(value, fields.folder_id), fields.folder_id) if fields.folder_id else None
    needed = [("file id", file_id), ("time", stamp)] + [("folder id", folder_id)] * fields.folder_needed
    lacks = " and its ".join(words for words, found in needed if found is None)
    return Upload(identity, file_id, folder_id, stamp, at, lacks or None, value)


def _id(value: Any, path: str) -> str | None:
    """An id as text; numbers are ids too."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Improper(f"its {path!r} is no id but {_kind(value)}")
    text = str(value)
    if len(text) > _LONGEST or not text.isprintable() or text != text.strip():
        raise Improper(f"its {path!r} is no id but {printable(text, 80)!r}")
    return text


def _time(value: Any, path: str) -> tuple[str | None, datetime | None]:
    if value is None or value == "":
        return None, None
    at = read_time(value)
    if at is not None:
        return at.isoformat().replace("+00:00", "Z"), at
    if isinstance(value, str) and len(value) <= _LONGEST and value.isprintable():
        # A time that cannot be read still tells one upload from the next.
        return value, None
    raise Improper(f"its {path!r} is no time but {_kind(value)}")


def read_time(value: Any) -> datetime | None:
    """ISO 8601 (without a zone: UTC), or seconds or milliseconds since 1970; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if abs(value) > _MILLIS else value
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


def written(value: Any) -> str:
    """A foreign value as a dead letter keeps it: the same text for the same value."""
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

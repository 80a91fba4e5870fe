"""Where a file goes in S3, and how an object is known as the one that was put there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.files.digest import digest_of
from vidd.integrations.aws.account import shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JOB, SUM = "vidd-job", "vidd-etag"
"""Metadata: whose object it is, and the ETag its parts make (which foreign servers do not always show)."""

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file goes. `extra` are request parameters such as ContentType.

    `overwrite` replaces anybody's object; that of the job `replaces` is replaced in any case.
    """

    bucket: str
    key: str
    job: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    replaces: str | None = None

    @property
    def where(self) -> dict[str, str]:
        """The request parameters that name the object."""
        return {"Bucket": self.bucket, "Key": self.key}

    def may_replace(self, marks: Mapping[str, str]) -> bool:
        """Whether an object with this metadata may give way."""
        return self.overwrite or marks.get(JOB) in {self.job, self.replaces or self.job}

    @property
    def shown(self) -> str:
        """The address for a sentence."""
        return shown(self.bucket, self.key)


async def is_this(found: Mapping[str, Any], job: str, path: Path, *, size: int, etag: str) -> bool:
    """Whether what HEAD found is this job's file: by marker, size and sum.

    Servers that keep no marker, or show another ETag than the one a multipart upload makes, are asked by the MD5
    of the whole file, where that is what their ETag is.
    """
    marks = found.get("Metadata") or {}
    if int(found.get("ContentLength", -1)) != size or marks.get(JOB, job) != job:
        return False
    shown_etag = str(found.get("ETag", "")).strip('"')
    if etag in {shown_etag, marks.get(SUM)}:
        return True
    return bool(SUM not in marks and _MD5.fullmatch(shown_etag)) and await digest_of(path, "md5") == shown_etag


def safe_key(key: str) -> str:
    """A key as it is; Refused where some server would make a path outside the bucket, or nothing, of it."""
    wrong = None
    if not key or len(key.encode(errors="replace")) > 1024:
        wrong = "is empty or longer than 1024 bytes"
    elif key.startswith("/") or key.endswith("/") or any(part in {"", ".", ".."} for part in key.split("/")):
        wrong = "has an empty part, or one of dots only"
    elif not key.isprintable():
        wrong = "has characters that cannot be printed"
    if wrong:
        raise Refused(f"The key {key[:80]!a} {wrong}: use the file_name filter in the template of the key.")
    return key


def header_text(text: str) -> str:
    """A text as a header may carry it: one line of ASCII, the rest percent-encoded."""
    flat = " ".join(text.split())
    return "".join(
        character if character.isascii() and character.isprintable() and character != "%" else _percent(character)
        for character in flat
    )


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))

"""Where a file goes in S3, and how vidd recognises an object as the one it put there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidd.errors import FaultCode, Refused
from vidd.files.digest import digest_of
from vidd.integrations.aws.account import object_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JOB, SUM = "vidd-job", "vidd-etag"
"""Metadata names: the job whose object it is, and the ETag of its parts (which not every server shows)."""

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file goes. `extra` are request parameters such as ContentType.

    `overwrite` replaces any object; an object of the job `replaces` is replaced in any case.
    """

    bucket: str
    key: str
    job: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    replaces: str | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """The request parameters that name the object."""
        return {"Bucket": self.bucket, "Key": self.key}

    def may_replace(self, metadata: Mapping[str, str]) -> bool:
        """Whether an object with this metadata may be replaced."""
        return self.overwrite or metadata.get(JOB) in {self.job, self.replaces or self.job}

    @property
    def name(self) -> str:
        """The object's address for a sentence."""
        return object_name(self.bucket, self.key)


def md5_of(answer: Mapping[str, Any]) -> str | None:
    """The MD5 of an object or a part by the ETag of an answer (hex); None if its ETag is something else.

    Of an object encrypted with a key of KMS or of the customer, an ETag of 32 digits is no MD5.
    """
    etag = str(answer.get("ETag", "")).strip('"')
    encrypted = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms") or "SSECustomerAlgorithm" in answer
    return etag if _MD5.fullmatch(etag) and not encrypted else None


async def is_job_file(found: Mapping[str, Any], job: str, path: Path, *, size: int, etag: str) -> bool:
    """Whether the answer to HEAD describes this job's file: by the metadata, the size and the ETag.

    If a server keeps no metadata, or shows another ETag than S3 computes for a multipart upload, the MD5 of the whole
    file decides, provided that the server's ETag is one.
    """
    metadata = found.get("Metadata") or {}
    if int(found.get("ContentLength", -1)) != size or metadata.get(JOB, job) != job:
        return False
    shown_etag = str(found.get("ETag", "")).strip('"')
    if etag in {shown_etag, metadata.get(SUM)}:
        return True
    return bool(SUM not in metadata and _MD5.fullmatch(shown_etag)) and await digest_of(path, "md5") == shown_etag


def safe_key(key: str) -> str:
    """The key, unchanged; Refused if a server might take it for a path outside the bucket, or for none."""
    problem = None
    if not key or len(key.encode(errors="replace")) > 1024:
        problem = "is empty or longer than 1024 bytes"
    elif key.startswith("/") or key.endswith("/") or any(part in {"", ".", ".."} for part in key.split("/")):
        problem = "has an empty part, or one of dots only"
    elif not key.isprintable():
        problem = "has characters that cannot be printed"
    if problem:
        raise Refused(
            f"The key {key[:80]!a} {problem}: use the file_name filter in the template of the key.",
            code=FaultCode.BAD_SETTINGS,
        )
    return key


def header_text(text: str) -> str:
    """A text as an HTTP header may have it: one line of ASCII, every other character percent-encoded."""
    flat = " ".join(text.split())
    return "".join(
        character if character.isascii() and character.isprintable() and character != "%" else _percent(character)
        for character in flat
    )


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))

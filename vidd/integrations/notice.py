"""The content of a notice to another program, and the id by which its receiver can drop a duplicate."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from vidd.model.job import FAILED
from vidd.model.talk import names_in_words
from vidd.settings.templates import fields_of, title_among
from vidd.settings.types import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.ports import PublishContext

NOTICE_FIELDS = ("state", "edition", "uuid", "title", "link", "urls", "id", "at", "speakers", "reason")
"""The fields of a notice besides those that every template may name."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class NoticeOptions(Options):
    """The options that all notices share."""

    on: Literal["published", "failed"] = Field(
        "published",
        description="The outcome that it tells of: published; or failed, where a job was refused or is unsure.",
    )


@dataclass(frozen=True)
class Notice:
    """`id` and `at` (RFC 3339) are the same at every repetition; a revision that a person asked for has new ones.

    `facts` are the default body; `fields` are the fields that templates may name.
    """

    id: str
    at: str
    facts: Mapping[str, Any]
    fields: Mapping[str, Any]

    @property
    def token(self) -> dict[str, Any]:
        """The part of the publication's token that a repetition needs."""
        return {"id": self.id, "at": self.at}

    @property
    def body(self) -> str:
        """The facts as one line of JSON."""
        return as_json(self.facts)


def notice_id(context: PublishContext) -> str:
    """The id for a job, notice and revision: letters, digits, `-` and `_` (a `.` would make a signature ambiguous)."""
    name = context.publication.name
    if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", name):
        cleaned = re.sub(r"[^A-Za-z0-9]+", "-", name)[:40].strip("-")
        name = f"{cleaned}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
    return f"{context.job.id}_{name}_{context.publication.edition}"


def notice_of(context: PublishContext) -> Notice:
    """The notice of a job as it is now, with the id and the time of the first attempt."""
    job, talk, token = context.job, context.talk, context.publication.token
    identity = notice_id(context)
    at = str(token["at"]) if token.get("id") == identity else f"{context.tools.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    names = [speaker.name for speaker in talk.speakers if speaker.name] if talk else []
    # vidd sends a notice once the required publishers have their receipts; the job's own state changes after it.
    state = context.event if context.publication.notice else str(job.state)
    reason = {"reason": job.reason or ""} if state in FAILED else {}
    fields = fields_of(job, talk, context.facts)
    common = {
        "state": state,
        "edition": context.publication.edition,
        "uuid": talk.id if talk else job.talk,
        "title": title_among(fields),
        "link": context.link,
        "urls": {name: receipt.url for name, receipt in context.receipts.items() if receipt.url},
    }
    facts = {
        "type": f"job.{state}", "id": identity, "at": at, "job": job.id, "pipeline": job.pipeline,
        **common, "speakers": names, **reason,
    }  # fmt: skip
    fields = {**fields, **common, "reason": "", **reason, "id": identity, "at": at, "speakers": names_in_words(names)}
    return Notice(identity, at, facts, fields)


def as_json(data: Mapping[str, Any]) -> str:
    """One line of JSON that every receiver can read."""
    return harmless(json.dumps(data, ensure_ascii=False, separators=(",", ":")))


def harmless(text: str) -> str:
    """The text with U+FFFD for characters that UTF-8 or XML 1.0 (2.2) lacks, and that some receivers reject."""
    return _CONTROLS.sub("\ufffd", text)

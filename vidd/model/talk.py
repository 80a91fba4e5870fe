"""The programme's talk, and the file name that says which talk a recording is and where it lies in it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Speaker:
    """A person on stage; one without an e-mail address gets no mail."""

    name: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """A row of the programme. `ready` asks for work on `recording` (a path or URI) without a file arriving.

    `reprocess` and `resend` hold what a person wrote to ask for it, "" where he did not; another text asks once more.
    """

    id: str
    title: str = ""
    description: str = ""
    speakers: tuple[Speaker, ...] = ()
    stage: str = ""
    channel: str = ""
    excluded: bool = False
    ready: bool = False
    recording: str | None = None
    start: float | None = None
    end: float | None = None
    priority: int = 0
    fault: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    private: bool = False
    reprocess: str = ""
    resend: str = ""


def revision_of(talk: Talk) -> str:
    """What stands for the words that are published with a talk: another one means that they must be amended."""
    said = (talk.title, talk.description, talk.stage, talk.channel, talk.keywords, talk.private)
    heard = tuple((speaker.name, speaker.email) for speaker in talk.speakers)
    return hashlib.sha256(repr((said, heard)).encode(errors="replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Programme:
    """What is known of a sheet: when it was last read whole, and how many talks it had."""

    name: str
    read: datetime
    talks: int


class Status(StrEnum):
    """The words written into the sheet."""

    NOT_UPLOADED = "not uploaded"
    UPLOADED = "uploaded"
    PROCESSING = "processing"
    PROCESSED = "processed"
    PUBLISHED = "published"
    FAILED = "failed"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class TalkStatus:
    """What a talk's row should say. `link` is the first receipt's address, `links` are all, by publisher."""

    talk: str
    status: Status
    link: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordingName:
    """`<anything>_<talk>_<HHMMSS>_<HHMMSS>.<ext>`; `start` and `end` are seconds from the file's start."""

    talk: str
    start: float
    end: float


_CLOCK = re.compile(r"(\d{2})(\d{2})(\d{2})", re.ASCII)


def clock_seconds(text: str) -> float | None:
    """HHMMSS as seconds; None where it is no such time (minutes and seconds go to 59)."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(part) for part in match.groups())
    if minutes > 59 or seconds > 59:
        return None
    return float(hours * 3600 + minutes * 60 + seconds)


def parse_recording_name(name: str) -> RecordingName:
    """The talk and the times in a recording's file name; Refused with a sentence where it has none."""
    fields = PurePosixPath(name).stem.split("_")
    shown = quoted(name)
    if len(fields) < 3:
        raise Refused(
            f"The file name {shown} does not say which talk it is: name it <anything>_<talk id>_<HHMMSS>_<HHMMSS>.mp4."
        )
    talk, first, last = fields[-3:]
    start, end = clock_seconds(first), clock_seconds(last)
    if start is None or end is None:
        wrong = first if start is None else last
        raise Refused(
            f"In the file name {shown}, {quoted(wrong)} is no time HHMMSS: correct the name and send it again."
        )
    if end <= start:
        raise Refused(f"The file name {shown} says that the talk ends ({last}) before it starts ({first}): swap them.")
    if not talk:
        raise Refused(f"The file name {shown} has an empty talk id before the times: put the talk's id there.")
    return RecordingName(talk, start, end)


def names_in_words(names: Sequence[str]) -> str:
    """Names as a sentence has them: "A", "A and B", "A, B and C"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def speakers_in_words(talk: Talk | None) -> str:
    """A talk's speakers as a sentence has them; empty where there are none."""
    names = [" ".join(speaker.name.split()) for speaker in talk.speakers] if talk else []
    return names_in_words([name for name in names if name])

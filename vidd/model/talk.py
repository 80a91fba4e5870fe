"""Talks of a programme, and the recording's file name that has the talk's id and times."""

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
    """A speaker; one without an e-mail address gets no mail. `cc` are addresses that get a copy of it."""

    name: str
    email: str | None = None
    cc: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Talk:
    """A row of the programme: of a sheet, or a talk of a schedule.

    stage: the room or track in which the talk was given.
    ready: whether to start a job for `recording` (a path or URI) although no file arrives.
    start, end: seconds from the recording's start.
    why_excluded: why it is excluded, as the end of a sentence, where the programme says so.
    fault: why vidd cannot use the row, in a sentence.
    reprocess, resend: the text by which a person asked for it; another text asks again, "" asks for nothing.
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
    why_excluded: str = ""

    @property
    def must_be_corrected(self) -> bool:
        """Whether vidd waits for a correction in the programme: it cannot use the talk, or tell a speaker."""
        return bool(self.fault or self.facts.get("unusable") or self.facts.get("unreachable"))


def revision_of(talk: Talk) -> str:
    """A digest (16 hex digits) of the text that is published with a talk. With another digest, publications must be amended."""
    texts = (talk.title, talk.description, talk.stage, talk.channel, talk.keywords, talk.private)
    speakers = tuple((speaker.name, speaker.email) for speaker in talk.speakers)
    return hashlib.sha256(repr((texts, speakers)).encode(errors="replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Programme:
    """The last complete reading of a programme: when it was, and how many talks it had."""

    name: str
    read: datetime
    talks: int


class Status(StrEnum):
    """The status texts that vidd writes into the sheet."""

    NOT_UPLOADED = "not uploaded"
    UPLOADED = "uploaded"
    PROCESSING = "processing"
    PROCESSED = "processed"
    PUBLISHED = "published"
    FAILED = "failed"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class TalkStatus:
    """The status for a talk's row. `link` is the first receipt's address (None: unchanged), `links` has all by publisher."""

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
    """Seconds of a time HHMMSS; None if it is no such time (minutes and seconds go to 59)."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(part) for part in match.groups())
    if minutes > 59 or seconds > 59:
        return None
    return float(hours * 3600 + minutes * 60 + seconds)


def has_times(name: str) -> bool:
    """Whether a recording's file name has times, right or wrong: two numbers of up to 7 digits at its end.

    Names that cameras give have a date there, or nothing of the kind.
    """
    fields = PurePosixPath(name).stem.split("_")[-2:]
    return len(fields) == 2 and all(re.fullmatch(r"\d{1,7}", field, re.ASCII) for field in fields)


def parse_recording_name(name: str) -> RecordingName:
    """Parse a recording's file name. Raises Refused if it has no talk id or no times."""
    fields = PurePosixPath(name).stem.split("_")
    shown = quoted(name)
    if len(fields) < 3:
        raise Refused(
            f"The file name {shown} does not say which talk it is: name it <anything>_<talk id>_<HHMMSS>_<HHMMSS>.mp4."
        )
    talk, first, last = fields[-3:]
    start, end = clock_seconds(first), clock_seconds(last)
    if start is None or end is None:
        invalid = first if start is None else last
        raise Refused(
            f"In the file name {shown}, {quoted(invalid)} is no time HHMMSS: correct the name and send it again."
        )
    if end <= start:
        raise Refused(f"The file name {shown} says that the talk ends ({last}) before it starts ({first}): swap them.")
    if not talk:
        raise Refused(f"The file name {shown} has an empty talk id before the times: put the talk's id there.")
    return RecordingName(talk, start, end)


def names_in_words(names: Sequence[str]) -> str:
    """Names joined for a sentence: "A", "A and B", "A, B and C"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def speakers_in_words(talk: Talk | None) -> str:
    """The names of a talk's speakers joined for a sentence; empty if there are none."""
    names = [" ".join(speaker.name.split()) for speaker in talk.speakers] if talk else []
    return names_in_words([name for name in names if name])

"""A talk as a schedule has it, and how it becomes a talk of vidd's programme."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from vidd.errors import FaultCode, Refused
from vidd.integrations.programme.times import NoZone
from vidd.model.talk import Speaker, Talk

_YES = {"1", "true", "yes", "on"}
_NO = {"", "0", "false", "no", "off", "none", "null"}


@dataclass
class ScheduledTalk:
    """A talk of a schedule.

    starts, ends: when it is given, with a zone; None where the schedule does not say.
    excluded: why it must not be published, as the end of a sentence; "" where it may.
    links: its resources as `{"title": …, "url": …}`; url: its own page.
    notes, faults: what vidd could not read, in the second case so that the talk cannot be used.
    """

    id: str
    title: str = ""
    subtitle: str = ""
    abstract: str = ""
    description: str = ""
    speakers: Sequence[Speaker] = ()
    stage: str = ""
    starts: datetime | None = None
    ends: datetime | None = None
    language: str = ""
    track: str = ""
    keywords: Sequence[str] = ()
    url: str = ""
    links: Sequence[dict[str, str]] = ()
    excluded: str = ""
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The talk as sentences name it: title, stage and time."""
        parts = [repr(self.title[:80] or self.id)]
        if self.stage:
            parts.append(f"in {self.stage[:40]}")
        if self.starts:
            parts.append(f"at {self.starts:%Y-%m-%d %H:%M}")
        return " ".join(parts)

    def set_times(self, start: Callable[[], datetime | None], length: Callable[[], timedelta | None]) -> None:
        """Set when it is given. Times that cannot be read are a note: a recording needs none of them."""
        try:
            self.starts = start()
            duration = length()
        except (NoZone, ValueError, OverflowError) as error:
            self.notes.append(f"{error}, so vidd does not know when the talk is given")
            return
        if self.starts is not None and duration is not None:
            self.ends = self.starts + duration

    def set_opt_out(self, flag: Any) -> None:
        """Exclude the talk where the flag says that it must not be recorded. A flag that vidd cannot read is a fault."""
        text = str(flag if flag is not None else "").strip().casefold()
        if text in _YES:
            self.excluded = "its speakers do not want it recorded"
        elif text not in _NO:
            self.faults.append(f"{text[:40]!r} as the flag against recording is neither true nor false")

    def as_talk(self) -> Talk:
        """The talk of the programme; every fact is there, so that a template may name it."""
        texts = dict.fromkeys(text.strip() for text in (self.abstract, self.description))
        fault = f"In the schedule, {self.label}: {'; '.join(self.faults)}: correct it there." if self.faults else None
        return Talk(
            id=self.id,
            title=self.title,
            description="\n\n".join(text for text in texts if text),
            speakers=tuple(self.speakers),
            stage=self.stage,
            excluded=bool(self.excluded),
            why_excluded=self.excluded,
            keywords=tuple(self.keywords),
            fault=fault,
            facts={
                "row": self.label,
                "notes": self.notes,
                "unusable": [],
                "columns": {},
                "starts": self.starts.isoformat() if self.starts else "",
                "ends": self.ends.isoformat() if self.ends else "",
                "language": self.language,
                "track": self.track,
                "subtitle": self.subtitle,
                "abstract": self.abstract,
                "url": self.url,
                "links": list(self.links),
            },
        )


def talks_of(scheduled: Sequence[ScheduledTalk], name: str) -> list[Talk]:
    """The talks in the order of the schedule `name`. An id that two of them have is a fault of that id; the others stay.

    Talks without an id are left out, since no recording can name them; Refused where that is all of them.
    """
    by_id: dict[str, list[ScheduledTalk]] = {}
    for talk in scheduled:
        if talk.id:
            by_id.setdefault(talk.id, []).append(talk)
    if scheduled and not by_id:
        raise Refused(
            f"None of the {len(scheduled)} talks of {name} has the id that the settings ask for: correct `id` or `id_pattern`.",
            code=FaultCode.BAD_SETTINGS,
        )
    return [found[0].as_talk() if len(found) == 1 else _duplicate(found) for found in by_id.values()]


def _duplicate(found: Sequence[ScheduledTalk]) -> Talk:
    labels = " and ".join(talk.label for talk in found[:5])
    sentence = (
        f"The schedule has the id {found[0].id!r} {_times(len(found))}, for {labels}: give them ids of their own there, since "
        "vidd does not guess which talk is meant."
    )
    return replace(found[0].as_talk(), fault=sentence)


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def id_by(pattern: re.Pattern[str] | None, text: str) -> str:
    """The part of an id that the pattern's group matches; "" where it does not match. All of it without a pattern."""
    if pattern is None:
        return text
    match = pattern.search(text)
    return (match[1] if pattern.groups else match[0]) or "" if match else ""

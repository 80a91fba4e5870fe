"""Reads the rows of a sheet as talks of the programme.

Several speakers in one cell are separated by lines or `;`, or, where it has neither, by commas; e-mail addresses the
same way, the first belonging to the first speaker. Instead there may be columns `Speaker 1`, `E-mail 1` and so on.
A cell that can be read in two ways gives the talk a fault, which tells an operator what to correct.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import Field

from vidd.errors import Refused
from vidd.integrations.sheet.table import (
    ID_NAMES,
    Grid,
    Layout,
    Names,
    TalkRow,
    describe_headings,
    fold,
    layouts,
    talk_rows,
)
from vidd.model.email_address import parse_address
from vidd.model.talk import Speaker, Talk, clock_seconds
from vidd.settings.types import Options

_YES = {"1", "true", "yes", "y", "x", "wahr", "✓", "✔"}
_NO = {"", "0", "false", "no", "n", "-", "falsch"}
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d(?:\.\d+)?)", re.ASCII)
_CUT_OFF = re.compile(r"@[\w-]+$")
_DOMAIN_REST = re.compile(r"[\w.-]+")
_NUMBERED = re.compile(r"(?P<what>speaker|e ?mail|speaker e ?mail) ?(?P<number>\d+)", re.ASCII)


class Columns(Options):
    """The headings of a sheet; each is one name, or several accepted ones."""

    id: Names = Field(ID_NAMES, description="The talk's id, the only required column.")
    title: Names = Field(("title", "talk title"), description="The talk's title.")
    description: Names = Field(("description", "abstract"), description="The talk's description.")
    speakers: Names = Field(("speakers", "speaker"), description="The speakers' names.")
    emails: Names = Field(
        ("emails", "e-mails", "email", "e-mail", "speaker emails"), description="Their addresses, in the same order."
    )
    stage: Names = Field(("stage", "stage name", "room"), description="Where the talk is given.")
    channel: Names = Field(("channel",), description="Where it is to be published.")
    exclude: Names = Field(("exclude", "excluded", "block"), description="yes, true, 1 or x: never publish this talk.")
    ready: Names = Field(("ready",), description="yes, true, 1 or x: work on the row's recording now.")
    recording: Names = Field(("recording",), description="Where the recording is: a path or an address.")
    start: Names = Field(
        ("cut start", "trim start"), description="Where the talk starts in the recording, as HH:MM:SS."
    )
    end: Names = Field(("cut end", "trim end"), description="Where it ends in the recording, as HH:MM:SS.")
    priority: Names = Field(("priority",), description="A number; the highest is worked on first.")
    keywords: Names = Field(("keywords", "tags", "topics"), description="Keywords; separated like the speakers.")
    private: Names = Field(
        ("private", "set private"),
        description="yes, true, 1 or x: out, but only for those who have the link or the right.",
    )
    reprocess: Names = Field(
        ("reprocess",),
        description="1: work on the recording and publish it anew, once; 2 asks for it again, and so on.",
    )
    resend: Names = Field(
        ("resend mail", "resend mails", "resend emails"),
        description="1: send the mails again, once; 2 again, and so on.",
    )


@dataclass
class _Row:
    """One row being read, with the notes and faults found in it."""

    talk_row: TalkRow
    columns: Mapping[str, int | None]
    notes: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        column = self.columns[name]
        return "" if column is None else self.talk_row.layout.grid.text(self.talk_row.row, column).strip()

    def flag(self, name: str) -> bool:
        text = self.text(name).casefold()
        if text not in _YES | _NO:
            self.faults.append(f"{text[:40]!r} under {name} is neither yes nor no")
        return text in _YES

    def request(self, name: str) -> str:
        text = self.text(name)
        return "" if text.casefold() in _NO else text[:80]

    def seconds(self, name: str) -> float | None:
        text = self.text(name)
        clock = clock_seconds(text)
        match = _CLOCK.fullmatch(text)
        if match:
            clock = int(match[1]) * 3600.0 + int(match[2]) * 60 + float(match[3])
        if text and clock is None:
            self.faults.append(f"{text[:40]!r} under {name} is no time; write it as HH:MM:SS")
        return clock

    def number(self, name: str) -> int:
        text = self.text(name)
        if text and not re.fullmatch(r"-?\d{1,6}", text, re.ASCII):
            self.notes.append(f"the priority {text[:40]!r} is no whole number, so vidd takes 0")
            return 0
        return int(text or 0)


def read_talks(grids: Sequence[Grid], columns: Columns) -> list[Talk]:
    """The talks, in the order of the sheet. Raises Refused, naming the headings found, where no tab has the id column."""
    if not layouts(grids, columns.id):
        raise Refused(
            f"The sheet has no column {columns.id[0]!r} for the talks' ids; the headings found are "
            f"{describe_headings(grids)}: add the column, or name yours under `columns`."
        )
    return [
        _duplicate(talk, found) if len(found) > 1 else _talk(talk, found[0], columns)
        for talk, found in talk_rows(grids, columns.id).items()
    ]


def _duplicate(talk: str, found: Sequence[TalkRow]) -> Talk:
    rows = " and ".join(row.label for row in found)
    sentence = (
        f"The sheet has the talk {talk!r} in {rows}: leave one of them, since vidd does not guess which is meant."
    )
    return Talk(id=talk, fault=sentence, facts={"row": rows})


def _talk(talk: str, talk_row: TalkRow, columns: Columns) -> Talk:
    layout = talk_row.layout
    row = _Row(talk_row, {name: layout.column(getattr(columns, name)) for name in Columns.model_fields})
    start, end = row.seconds("start"), row.seconds("end")
    if start is not None and end is not None and end <= start:
        row.faults.append("the cut's end is not after its start")
    read = Talk(
        id=talk,
        title=row.text("title"),
        description=row.text("description"),
        speakers=_speakers(row),
        stage=row.text("stage"),
        channel=row.text("channel"),
        excluded=row.flag("exclude"),
        ready=row.flag("ready"),
        recording=row.text("recording") or None,
        start=start,
        end=end,
        priority=row.number("priority"),
        keywords=tuple(keyword for keyword in _split(row.text("keywords")) if keyword),
        private=row.flag("private"),
        reprocess=row.request("reprocess"),
        resend=row.request("resend"),
    )
    fault = f"In {talk_row.label} of the sheet {'; '.join(row.faults)}: correct it." if row.faults else None
    facts = {
        "row": talk_row.label,
        "notes": row.notes,
        "unusable": row.unusable,
        "columns": _other_columns(layout, talk_row.row, row.columns),
    }
    return replace(read, fault=fault, facts=facts)


def _other_columns(layout: Layout, row: int, known: Mapping[str, int | None]) -> dict[str, str]:
    """The texts of the columns that vidd does not know, by heading, for templates."""
    used = set(known.values())
    return {
        heading: layout.grid.text(row, column)
        for column, heading in enumerate(layout.headings)
        if heading and column not in used
    }


def _speakers(row: _Row) -> tuple[Speaker, ...]:
    names = _split(row.text("speakers"))
    emails = _match_speakers(row.text("emails"), len(names))
    for what, number, text in _numbered(row):
        target = emails if "mail" in what else names
        target += [""] * (number - len(target))
        target[number - 1] = target[number - 1] or text
    longest = max(len(names), len(emails))
    pairs = zip(_padded(names, longest), _padded(emails, longest), strict=True)
    speakers = (Speaker(" ".join(name.split()), _address(email, row)) for name, email in pairs)
    return tuple(speaker for speaker in speakers if speaker.name or speaker.email)


def _numbered(row: _Row) -> list[tuple[str, int, str]]:
    found = []
    for column, heading in enumerate(row.talk_row.layout.headings):
        match = _NUMBERED.fullmatch(fold(heading))
        if match and 1 <= int(match["number"]) <= 99:
            text = row.talk_row.layout.grid.text(row.talk_row.row, column).strip()
            found.append((match["what"], int(match["number"]), text))
    return found


def _split(cell: str) -> list[str]:
    parts = re.split(r"\r\n|[;\r\n]", cell) if re.search(r"[;\r\n]", cell) else cell.split(",")
    stripped = [part.strip() for part in parts]
    while stripped and not stripped[-1]:
        stripped.pop()
    return stripped


def _match_speakers(cell: str, names: int) -> list[str]:
    """The addresses of so many speakers. A line break or a comma within an address must not move the others along."""
    parts = _split(cell)
    if len(parts) <= names or not names:
        return parts
    by_semicolon = [part.strip() for part in cell.strip().rstrip(";").split(";")] if ";" in cell else parts
    for candidates in (by_semicolon, _rejoin(parts)):
        if len(candidates) == names:
            return candidates
    return parts


def _rejoin(parts: Sequence[str]) -> list[str]:
    """Join what was split at a comma within an address: `"Doe, Ada" <ada@example.org>`, or a slip, `ada@example,org`."""
    joined: list[str] = []
    for part in parts:
        before = joined[-1] if joined else ""
        named = parse_address(before) is None and parse_address(f"{before}, {part}") is not None
        if named or (_CUT_OFF.search(before) and _DOMAIN_REST.fullmatch(part)):
            joined[-1] = f"{before}, {part}"
        else:
            joined.append(part)
    return joined


def _padded(texts: Sequence[str], length: int) -> list[str]:
    return [*texts, *[""] * (length - len(texts))]


def _address(text: str, row: _Row) -> str | None:
    parsed = parse_address(text)
    if text and parsed is None:
        row.unusable.append(text[:80])
        row.notes.append(f"{text[:80]!r} is no e-mail address, so this speaker gets no mail")
    return parsed[1] if parsed else None

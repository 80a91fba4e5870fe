"""Which jobs a list shows, and the words by which people look for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from vidd.model.job import State


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a search: a part of a job's name, id or talk's id in any case, or the job's (pipeline, talk) is among `talks`.

    Without `text` only `talks` count.
    """

    text: str | None
    talks: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to list, newest first; every condition must hold.

    states: empty for all.
    words: each of them matches.
    changed_since: the last change is not before this time.
    incomplete: only published jobs with a notice or a change that failed.
    after: the id of a job: the list continues behind it, whatever has arrived or changed since.
    """

    states: Sequence[State] = ()
    pipeline: str | None = None
    talk: str | None = None
    words: Sequence[Word] = ()
    changed_since: datetime | None = None
    after: str | None = None
    incomplete: bool = False


def searched_text(name: str, job_id: str, talk: str | None) -> str:
    """What the words of a search, casefolded, are looked for in."""
    return f"{name}\n{job_id}\n{talk or ''}".casefold()

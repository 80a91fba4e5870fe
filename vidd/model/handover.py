"""Where vidd keeps the files of published jobs for the sources that follow their pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "record.json"
"""The name of the record in the directory of a hand-over."""

PUBLISHED = "published"
"""The fact of a follow-up: the record of the job that it follows, without its file."""


def handovers_root(state: Path) -> Path:
    """The directory below which all hand-overs are."""
    return state / "published"


def handovers_of(state: Path, source: str) -> Path:
    """The directory of the hand-overs to this source."""
    return handovers_root(state) / source

"""The table of SQLite's errors and what they mean for vidd (sqlite.org/rescode.html)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from vidd.errors import FaultCode, Refused, RetryLater

if TYPE_CHECKING:
    from pathlib import Path


class _Rule(NamedTuple):
    """What an error means: its code, the cause, and what to do about it."""

    code: FaultCode
    cause: str
    advice: str


_RULES = {
    sqlite3.SQLITE_FULL: _Rule(FaultCode.DISK_FULL, "its disk is full", "make room on the disk"),
    sqlite3.SQLITE_IOERR: _Rule(
        FaultCode.UNAVAILABLE, "the disk gave an error", "check that it is mounted and healthy"
    ),
    sqlite3.SQLITE_BUSY: _Rule(FaultCode.BUSY, "another program has locked it", "end that program"),
    sqlite3.SQLITE_LOCKED: _Rule(FaultCode.BUSY, "another program has locked it", "end that program"),
    sqlite3.SQLITE_PROTOCOL: _Rule(FaultCode.BUSY, "another program has locked it", "end that program"),
    sqlite3.SQLITE_READONLY: _Rule(
        FaultCode.FORBIDDEN, "it is read-only", "let vidd's user write to it and its directory"
    ),
    sqlite3.SQLITE_PERM: _Rule(FaultCode.FORBIDDEN, "it is read-only", "let vidd's user write to it and its directory"),
    sqlite3.SQLITE_CANTOPEN: _Rule(
        FaultCode.FORBIDDEN, "it cannot be opened", "let vidd's user write to it and its directory"
    ),
    sqlite3.SQLITE_CORRUPT: _Rule(FaultCode.BAD_INPUT, "it is damaged", "restore it from a backup, or move it away"),
    sqlite3.SQLITE_NOTADB: _Rule(
        FaultCode.BAD_INPUT, "it is no SQLite database", "restore it from a backup, or move it away"
    ),
}
_PRIMARY = 0xFF
"""The bits of a result code that its extended codes share."""


def _rule_of(error: sqlite3.Error) -> _Rule | None:
    # An error that Python's module raises itself has no code.
    return _RULES.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY)


def _name_of(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)


def open_fault(error: sqlite3.Error, path: Path) -> Refused:
    """The fault of a journal that cannot be opened: vidd does not start."""
    rule = _rule_of(error) or _Rule(FaultCode.BAD_INPUT, str(error), "restore it from a backup, or move it away")
    return Refused(
        f"The journal {path} cannot be used: {rule.cause} ({_name_of(error)}). To continue, {rule.advice}.",
        code=rule.code,
    )


def write_fault(error: sqlite3.Error) -> RetryLater | None:
    """The fault of a journal that cannot be written, which uses up no attempt; None where the error is a defect of vidd."""
    rule = _rule_of(error)
    if rule is None and not isinstance(error, sqlite3.OperationalError):
        return None
    rule = rule or _Rule(FaultCode.UNAVAILABLE, str(error), "see whether its disk is healthy")
    return RetryLater(
        f"The journal cannot be written: {rule.cause} ({_name_of(error)}). vidd will retry; {rule.advice}.",
        counts=False,
        code=rule.code,
    )

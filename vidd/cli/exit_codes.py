"""The exit codes of `vidd`, and the one that a fault ends a command with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from vidd.errors import Fault, FaultCode, RetryLater


class ExitCode(IntEnum):
    """What a command ends with."""

    DONE = 0
    REFUSED = 1
    SETTINGS = 2
    NO_DAEMON = 3
    TRY_AGAIN = 4
    INTERRUPTED = 130


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "Done.",
    ExitCode.REFUSED: "Refused, or a job did not get through; the sentence says what to do.",
    ExitCode.SETTINGS: "The settings or the command line cannot be used; each fault has its line.",
    ExitCode.NO_DAEMON: "No daemon answers.",
    ExitCode.TRY_AGAIN: "Not now; the same command may succeed later.",
    ExitCode.INTERRUPTED: "Interrupted (Ctrl-C).",
}
SHORT: Mapping[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.REFUSED: "refused or failed",
    ExitCode.SETTINGS: "settings or command line wrong",
    ExitCode.NO_DAEMON: "no daemon answers",
    ExitCode.TRY_AGAIN: "not now, try again",
    ExitCode.INTERRUPTED: "interrupted",
}
"""The meanings for the end of `vidd --help`."""

_BY_CODE: Mapping[FaultCode, ExitCode] = {
    FaultCode.BAD_SETTINGS: ExitCode.SETTINGS,
    FaultCode.NO_DAEMON: ExitCode.NO_DAEMON,
}


def exit_code(fault: Fault) -> ExitCode:
    """The exit code of a fault: by its code where that has one of its own, otherwise by its fate."""
    by_fate = ExitCode.TRY_AGAIN if isinstance(fault, RetryLater) else ExitCode.REFUSED
    return _BY_CODE.get(fault.code, by_fate)

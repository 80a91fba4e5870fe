"""Maps the exit of a program to a fault: by the settings, else by code, signal and the program's last lines."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.settings.types import Duration, Options

_LINES_SHOWN = 5
_SHELL_SIGNALS = 128
_TEMPFAIL = 75  # EX_TEMPFAIL, sysexits.h
_CANNOT_START = {126, 127}
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|\bENOSPC\b|\[Errno 28\]")
_OUT_OF_MEMORY = re.compile(
    r"CUDA out of memory|OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY|\bMemoryError\b|std::bad_alloc"
)


class Exit(Options):
    """What an exit means. A text is the fate alone: `3 = "again"`."""

    fate: Literal["ok", "again", "refused"] = Field(description="ok; again: retry later; refused: fail for good.")
    sentence: str = Field("", description="What happened and what to do, for the operator.")
    after: Duration | None = Field(None, gt=0, description="With again: the shortest wait before the retry.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"fate": value} if isinstance(value, str) else value


def exit_name(code: int) -> str:
    """The name of an exit: its number, or the signal that ended the program (-n, or 128 + n as a shell shows it)."""
    number = -code if code < 0 else code - _SHELL_SIGNALS if code > _SHELL_SIGNALS else 0
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(code)


def parse_exit_name(name: str) -> str:
    """A key of the settings in the form of `exit_name`; ValueError if it is neither a number nor a signal."""
    if name.isdigit() and int(name) < 256:
        return exit_name(int(name))
    if name in signal.Signals.__members__:
        return name
    raise ValueError(f"{name!r} is no exit code (0 to 255) and no signal such as SIGSEGV")


def fault_of(program: str, code: int, said: Sequence[str], settings: Mapping[str, Exit]) -> Fault | None:
    """The fault of a program that ended with this code (negative: by a signal); None if it succeeded.

    `said` are its last lines, which the fault keeps.
    """
    name = exit_name(code)
    exit_ = settings.get(name)
    if exit_ is None and code == 0:
        return None
    fault = (
        _from_settings(exit_, program, name, said)
        if exit_
        else _temporary(program, code, said) or _permanent(program, code, said)
    )
    if fault is not None:
        fault.said = "\n".join(said)
    return fault


def _temporary(program: str, code: int, said: Sequence[str]) -> RetryLater | None:
    tail = "\n".join(said)
    if _DISK_FULL.search(tail):
        sentence = f"The disk was full while {program} ran: free some space; vidd will continue by itself."
        return RetryLater(sentence, after=60, counts=False, code=FaultCode.DISK_FULL)
    if exit_name(code) == "SIGKILL":
        return RetryLater(
            f"{program} was killed (SIGKILL, exit 137), most likely because the machine or its limit was out of memory:"
            " give it more, or run fewer of them at once ([limits]).",
            code=FaultCode.INTERRUPTED,
        )
    if code == _TEMPFAIL:
        return RetryLater(f"{program} asks to be run again later (exit 75){_last(said)}", code=FaultCode.PENDING)
    if _OUT_OF_MEMORY.search(tail):
        more = "Give it more, or run fewer of them at once ([limits])."
        return RetryLater(f"{program} ran out of memory{_last(said)} {more}", code=FaultCode.INTERRUPTED)
    return None


def _permanent(program: str, code: int, said: Sequence[str]) -> Refused:
    if code in _CANNOT_START:
        what = "Install what is missing, or correct argv and prefix of the step."
        return Refused(
            f"{program} could not be started (exit {code}){_last(said)} {what}", code=FaultCode.NOT_INSTALLED
        )
    name = exit_name(code)
    how = f"exit {name}" if name.isdigit() else f"it crashed, {name}"
    return Refused(f"{program} failed ({how}){_last(said)} Its log has the rest; correct what it says, then retry.")


def _from_settings(exit_: Exit, program: str, name: str, said: Sequence[str]) -> Fault | None:
    sentence = exit_.sentence or f"{program} ended with exit {name}{_last(said)}"
    match exit_.fate:
        case "again":
            return RetryLater(sentence, after=exit_.after)
        case "refused":
            return Refused(sentence)
        case _:
            return None


def _last(said: Sequence[str]) -> str:
    lines = " / ".join(line[:200] for line in said[-_LINES_SHOWN:])
    return f": {lines}." if lines else " and said nothing."

"""What a program's exit means for its job: a table, over which the settings have the last word."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from vidd.errors import Fault, Refused, RetryLater
from vidd.settings.types import Duration, Options

_SHOWN = 5
_SHELLS = 128
_TEMPORARY = 75  # EX_TEMPFAIL, sysexits.h
_NOT_STARTED = {126, 127}
_FULL = re.compile(r"No space left on device|Disk quota exceeded|\bENOSPC\b|\[Errno 28\]")
_MEMORY = re.compile(r"CUDA out of memory|OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY|\bMemoryError\b|std::bad_alloc")


class Exit(Options):
    """What one exit means. As a text it is the fate alone: `3 = "again"`."""

    fate: Literal["ok", "again", "refused"] = Field(description="ok; again later; or refused, for good.")
    sentence: str = Field("", description="What happened and what to do, for the operator.")
    after: Duration | None = Field(None, gt=0, description="Of again: how long to wait, at least.")

    @model_validator(mode="before")
    @classmethod
    def _fate_alone(cls, value: Any) -> Any:
        return {"fate": value} if isinstance(value, str) else value


def name_of(code: int) -> str:
    """The name of an exit: its number, or the signal that ended the program, also as a shell shows it."""
    number = -code if code < 0 else code - _SHELLS if code > _SHELLS else 0
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(code)


def exit_name(name: str) -> str:
    """A key of the settings as `name_of` writes it; ValueError where it is neither a number nor a signal."""
    if name.isdigit() and int(name) < 256:
        return name_of(int(name))
    if name in signal.Signals.__members__:
        return name
    raise ValueError(f"{name!r} is no exit code (0 to 255) and no signal such as SIGSEGV")


def fault_of(program: str, code: int, said: Sequence[str], settings: Mapping[str, Exit]) -> Fault | None:
    """The fate of a program that ended with this code (negative: by a signal); None where all is well.

    `said` are its last lines, which the fault keeps.
    """
    name = name_of(code)
    meant = settings.get(name)
    if meant is None and code == 0:
        return None
    fault = _meant(meant, program, name, said) if meant else _again(program, code, said) or _never(program, code, said)
    if fault is not None:
        fault.said = "\n".join(said)
    return fault


def _again(program: str, code: int, said: Sequence[str]) -> RetryLater | None:
    tail = "\n".join(said)
    if _FULL.search(tail):
        sentence = f"The disk was full while {program} ran: free some space; the work goes on by itself."
        return RetryLater(sentence, after=60, counts=False)
    if name_of(code) == "SIGKILL":
        return RetryLater(
            f"{program} was killed (SIGKILL, exit 137), most likely because the machine or its limit was out of memory:"
            " give it more, or run fewer of them at once ([limits])."
        )
    if code == _TEMPORARY:
        return RetryLater(f"{program} asks to be run again later (exit 75){_last(said)}")
    if _MEMORY.search(tail):
        more = "Give it more, or run fewer of them at once ([limits])."
        return RetryLater(f"{program} ran out of memory{_last(said)} {more}")
    return None


def _never(program: str, code: int, said: Sequence[str]) -> Refused:
    if code in _NOT_STARTED:
        what = "Install what is missing, or correct argv and prefix of the step."
        return Refused(f"{program} could not be started (exit {code}){_last(said)} {what}")
    name = name_of(code)
    how = f"exit {name}" if name.isdigit() else f"it crashed, {name}"
    return Refused(f"{program} failed ({how}){_last(said)} Its log has the rest; correct what it says, then retry.")


def _meant(meant: Exit, program: str, name: str, said: Sequence[str]) -> Fault | None:
    sentence = meant.sentence or f"{program} ended with exit {name}{_last(said)}"
    match meant.fate:
        case "again":
            return RetryLater(sentence, after=meant.after)
        case "refused":
            return Refused(sentence)
        case _:
            return None


def _last(said: Sequence[str]) -> str:
    words = " / ".join(line[:200] for line in said[-_SHOWN:])
    return f": {words}." if words else " and said nothing."

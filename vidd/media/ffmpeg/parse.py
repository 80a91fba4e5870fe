"""Parses ffmpeg's output: progress, versions, lists, error messages, loudness. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Progress:
    """One block of `-progress`: seconds written, speed (seconds per second), bytes, frames. None: not known yet."""

    seconds: float | None = None
    speed: float | None = None
    size: int | None = None
    frame: int | None = None
    last: bool = False


class ProgressBlocks:
    """Collects `key=value` lines into blocks."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Progress | None:
        """The block that this line completes; None where it completes none."""
        key, found, value = line.partition("=")
        if not found:
            return None
        self._fields[key.strip()] = value.strip()
        if key.strip() != "progress":
            return None
        fields, self._fields = self._fields, {}
        time = _number(fields.get("out_time_us"))
        return Progress(
            seconds=None if time is None else max(0.0, time / 1e6),
            speed=_number(fields.get("speed", "").removesuffix("x")),
            size=_integer(fields.get("total_size")),
            frame=_integer(fields.get("frame")),
            last=value.strip() == "end",
        )


def _number(text: str | None) -> float | None:
    """A number; None for N/A and the like."""
    try:
        return float(text or "")
    except ValueError:
        return None


def _integer(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def version(lines: Iterable[str]) -> str:
    """The version in the output of `ffmpeg -version`; empty where it has none."""
    for line in lines:
        if match := re.match(r"ffmpeg version (\S+)", line):
            return match[1]
    return ""


_LISTED = re.compile(r"\s*[A-Z.|]{2,8}\s+([\w-]+)\s")


def listed_names(lines: Iterable[str]) -> frozenset[str]:
    """The names in the output of `ffmpeg -encoders` or `-filters`."""
    matches = (_LISTED.match(line) for line in lines if " = " not in line)
    return frozenset(match[1] for match in matches if match)


# Lines that follow from the reason and do not name it.
_ECHOES = re.compile(
    r"Conversion failed!|Error opening (in|out)put files?\b.*|Nothing was written.*|Exiting .*|Last message repeated.*"
    r"|Error (while )?(filtering|processing).*|Terminating thread with return code.*|Task finished with error code.*"
    r"|Error sending frames to consumers.*|Error while opening encoder.*|Could not open encoder before EOF|At least one output file must be specified"
)


def reason(stderr: str) -> str:
    """The last meaningful line of a run's stderr, without addresses; at most 200 characters."""
    lines = [re.sub(r"\[[^\]@]*@ 0x[0-9a-f]+\]\s*", "", line).strip() for line in stderr.splitlines()]
    lines = ["".join(character if character.isprintable() else "?" for character in line) for line in lines if line]
    telling = [line for line in lines if not _ECHOES.fullmatch(line)]
    return (telling or lines or ["it gave no reason"])[-1][:200]


def is_disk_full(stderr: str) -> bool:
    """Whether a run ended because the disk or a quota was full."""
    return "No space left on device" in stderr or "Disk quota exceeded" in stderr


def is_out_of_memory(stderr: str) -> bool:
    """Whether a run ended because it got no memory."""
    return "Cannot allocate memory" in stderr


def loudness(stderr: str) -> tuple[float | None, float | None, float | None]:
    """Integrated loudness (LUFS), range (LU) and true peak (dBTP) of the last ebur128 summary; None for what is missing."""
    _, _, summary = stderr.rpartition("Integrated loudness:")
    found = (re.search(rf"\b{word}:\s+(\S+)", summary) for word in ("I", "LRA", "Peak"))
    integrated, spread, peak = (_number(match[1]) if match else None for match in found)
    return integrated, spread, peak

"""Runs ffmpeg: reports progress, enforces limits, maps exit codes to faults."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio_ffmpeg

from vidd.aio.shield import shield_to_end
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.files.disk_space import check_free_space
from vidd.media.ffmpeg import parse
from vidd.model.event import EncodeCount, EncodeEnded
from vidd.processes import run
from vidd.processes.child import setpriv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vidd.model.event import Event
    from vidd.ports import Encoder
    from vidd.processes.run import Ended

_CRASHES = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGFPE, -signal.SIGILL)
_ENCODERS = ("libx264", "aac")
_FILTERS = (
    "trim",
    "atrim",
    "setpts",
    "settb",
    "asetpts",
    "bwdif",
    "fieldmatch",
    "idet",
    "metadata",
    "scdet",
    "setfield",
    "fade",
    "afade",
    "crop",
    "scale",
    "split",
    "fps",
    "format",
    "aresample",
)


class RunningEncodes:
    """Counts the encodes that run at this moment; one for all of a daemon."""

    def __init__(self) -> None:
        self.count = 0


async def encode(
    encoder: Encoder,
    args: Sequence[str],
    *,
    output: Path | Sequence[Path],
    duration: float,
    progress: Callable[[float, float | None, str, float | None], None] | None = None,
    observe: Callable[[Event], None],
    kind: str,
) -> Ended:
    """Run ffmpeg with these arguments, which write `output` (or several) and make `duration` seconds of media.

    Whatever goes wrong, the outputs are gone afterwards. RetryLater where the disk has less than the reserve (not
    counted), ffmpeg was killed or made no progress; Refused where it rejects the input or the arguments.
    """
    outputs = [output] if isinstance(output, Path) else list(output)
    check_free_space(outputs[0].parent, encoder.disk_reserve)
    blocks, now = parse.ProgressBlocks(), parse.Progress()

    def on_line(line: str) -> None:
        nonlocal now
        if block := blocks.feed(line):
            now = block
            if progress is not None and block.seconds is not None:
                progress(min(block.seconds, duration), duration, "s", block.speed)

    def progress_mark(pid: int) -> Any:
        check_free_space(outputs[0].parent, encoder.disk_reserve)
        return now.seconds, now.frame, [_file_state(path) for path in outputs], read_counter(pid)

    finished, running = False, encoder.shared.get(RunningEncodes)
    running.count += 1
    observe(EncodeCount(running.count))
    try:
        ended = await run.run(
            [encoder.path, *args],
            on_line=on_line,
            progress_mark=progress_mark,
            limits=run.Limits(quiet=encoder.stall, nice=encoder.nice, memory=encoder.memory),
        )
        _raise_for_exit(ended, encoder)
        finished = True
    finally:
        running.count -= 1
        observe(EncodeCount(running.count))
        if not finished:
            for path in outputs:
                path.unlink(missing_ok=True)
    observe(EncodeEnded(kind, duration / max(ended.seconds, 1e-6), ended.cpu_seconds, ended.seconds))
    return ended


def _file_state(output: Path) -> tuple[int, int] | None:
    # The time too: moving the index to the front rewrites a file without making it much longer.
    try:
        status = output.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def read_counter(pid: int) -> str:
    """The kernel's count of the bytes that a process has read; it moves while a process reads without writing."""
    try:
        return Path(f"/proc/{pid}/io").read_text().partition("\n")[0]
    except OSError:
        return ""


def _raise_for_exit(ended: Ended, encoder: Encoder) -> None:
    if ended.code == 0:
        return
    why = parse.reason(ended.stderr)
    if parse.is_disk_full(ended.stderr):
        raise RetryLater(
            f"The disk was full while ffmpeg wrote ({why}): free some space; vidd will retry.",
            code=FaultCode.DISK_FULL,
            counts=False,
        )
    if parse.is_out_of_memory(ended.stderr):
        limit = "the machine's memory" if encoder.memory is None else f"its limit of {encoder.memory >> 20} MiB"
        raise RetryLater(
            f"ffmpeg ran out of memory ({limit}): raise the limit, or run fewer encodes at once. vidd will retry.",
            code=FaultCode.INTERRUPTED,
        )
    if ended.code in _CRASHES:
        name = signal.Signals(-ended.code).name
        raise Refused(f"ffmpeg crashed on this file ({name}; {why}): re-encode the file, or set another ffmpeg.")
    if ended.code < 0:
        name = signal.Signals(-ended.code).name
        raise RetryLater(
            f"ffmpeg was killed ({name}): if the machine was short of memory, run fewer encodes at once. vidd will retry.",
            code=FaultCode.INTERRUPTED,
        )
    if ended.code == 255:
        raise RetryLater("ffmpeg was asked to stop from outside vidd; vidd will retry.", code=FaultCode.INTERRUPTED)
    raise Refused(
        f"ffmpeg cannot process this file: {why} (exit code {ended.code}). Repair or re-encode the file, then retry."
    )


def default_ffmpeg() -> Path:
    """The ffmpeg of the imageio-ffmpeg wheel; Refused where the wheel has none for this machine."""
    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise Refused(
            "imageio-ffmpeg has no ffmpeg for this machine: set [ffmpeg] path to one with libx264.",
            code=FaultCode.NOT_INSTALLED,
        ) from None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The encoders and filters of an ffmpeg; `missing` are sentences about what vidd cannot do with it."""

    version: str
    encoders: frozenset[str]
    filters: frozenset[str]
    missing: tuple[str, ...]


async def capabilities(encoder: Encoder) -> Capabilities:
    """Ask ffmpeg what it can do. An ffmpeg that does not run is a sentence in `missing`, not an error."""
    queries = [asyncio.ensure_future(_query(encoder, option)) for option in ("-version", "-encoders", "-filters")]
    try:
        version, encoders, filters = await asyncio.gather(*queries)
    except Fault as fault:
        await shield_to_end(asyncio.gather(*queries, return_exceptions=True))
        return Capabilities("", frozenset(), frozenset(), (fault.sentence,))
    available = parse.listed_names(encoders), parse.listed_names(filters)
    missing = [
        f"{encoder.path} has no {kind} {name}: set [ffmpeg] path to one that has it."
        for kind, needed, have in (("encoder", _ENCODERS, available[0]), ("filter", _FILTERS, available[1]))
        for name in needed
        if name not in have
    ]
    if setpriv() is None:
        missing.append("There is no setpriv: without it ffmpeg outlives a kill -9 of vidd; install util-linux.")
    return Capabilities(parse.version(version), *available, tuple(missing))


async def check_capabilities(encoder: Encoder) -> str:
    """A sentence for the operator where ffmpeg can do all that the steps need; Refused where something is missing."""
    found = await capabilities(encoder)
    if found.missing:
        raise Refused(" ".join(found.missing), code=FaultCode.NOT_INSTALLED)
    return f"ffmpeg {found.version} has what cutting and encoding need."


async def version_text(encoder: Encoder) -> str:
    """The full output of `ffmpeg -version`: its version and how it was built."""
    return "\n".join(await _query(encoder, "-version"))


async def _query(encoder: Encoder, option: str) -> list[str]:
    lines: list[str] = []
    ended = await run.run(
        [encoder.path, "-hide_banner", option], on_line=lines.append, limits=run.Limits(deadline=30.0)
    )
    if ended.code != 0:
        raise Refused(
            f"{encoder.path} does not run ({parse.reason(ended.stderr)}): correct [ffmpeg] path.",
            code=FaultCode.BAD_SETTINGS,
        )
    return lines

"""One run of ffmpeg: progress told, limits kept, its end sorted into the three fates."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio_ffmpeg

from vidd.aio.shield import shield_to_end
from vidd.errors import Fault, Refused, RetryLater
from vidd.files.disk_space import check_free_space
from vidd.media.ffmpeg import parse
from vidd.model.event import EncodeCount, EncodeEnded
from vidd.processes import run as process
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
    "settb",
    "bwdif",
    "fade",
    "afade",
    "crop",
    "scale",
    "split",
    "fps",
    "format",
    "aresample",
)
# One entry per ffmpeg that runs for us now.
_running: set[object] = set()


async def encode(
    encoder: Encoder,
    args: Sequence[str],
    *,
    output: Path | Sequence[Path],
    duration: float,
    progress: Callable[[float, float | None, str, float | None], None],
    observe: Callable[[Event], None],
    kind: str,
) -> Ended:
    """Run ffmpeg with these arguments, which write `output` (or several) and make `duration` seconds of media.

    Whatever goes wrong, the outputs are gone afterwards. RetryLater where the disk has less than the reserve (not
    counted), ffmpeg was killed or made no progress; Refused where it does not take the input or the arguments.
    """
    outputs = [output] if isinstance(output, Path) else list(output)
    check_free_space(outputs[0].parent, encoder.disk_reserve)
    blocks, now = parse.ProgressBlocks(), parse.Progress()

    def hear(line: str) -> None:
        nonlocal now
        if block := blocks.feed(line):
            now = block
            if block.seconds is not None:
                progress(min(block.seconds, duration), duration, "s", block.speed)

    def alive(pid: int) -> Any:
        check_free_space(outputs[0].parent, encoder.disk_reserve)
        return now.seconds, now.frame, [_touched(one) for one in outputs], bytes_read(pid)

    whole, me = False, object()
    _running.add(me)
    observe(EncodeCount(len(_running)))
    try:
        ended = await process.run(
            [encoder.path, *args],
            on_line=hear,
            quiet=encoder.stall,
            alive=alive,
            nice=encoder.nice,
            memory=encoder.memory,
        )
        _judge(ended, encoder)
        whole = True
    finally:
        _running.discard(me)
        observe(EncodeCount(len(_running)))
        if not whole:
            for one in outputs:
                one.unlink(missing_ok=True)
    observe(EncodeEnded(kind, duration / max(ended.seconds, 1e-6), ended.cpu_seconds))
    return ended


def _touched(output: Path) -> tuple[int, int] | None:
    # The time too: moving the index to the front rewrites a file without making it much longer.
    try:
        status = output.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def bytes_read(pid: int) -> str:
    """What the kernel says of how much a process has read: a sign of life."""
    # A long way to the first picture writes nothing, but it reads.
    try:
        return Path(f"/proc/{pid}/io").read_text().partition("\n")[0]
    except OSError:
        return ""


def _judge(ended: Ended, encoder: Encoder) -> None:
    if ended.code == 0:
        return
    why = parse.reason(ended.stderr)
    if parse.is_disk_full(ended.stderr):
        raise RetryLater(
            f"The disk was full while ffmpeg wrote ({why}): free some space; the work goes on by itself.", counts=False
        )
    if parse.is_out_of_memory(ended.stderr):
        limit = "the machine's memory" if encoder.memory is None else f"its limit of {encoder.memory >> 20} MiB"
        raise RetryLater(f"ffmpeg ran out of memory ({limit}): raise the limit, or run fewer encodes at once.")
    if ended.code in _CRASHES:
        name = signal.Signals(-ended.code).name
        raise Refused(f"ffmpeg crashed on this file ({name}; {why}): encode the file anew, or set another ffmpeg.")
    if ended.code < 0:
        name = signal.Signals(-ended.code).name
        raise RetryLater(f"ffmpeg was killed ({name}); if the machine was short of memory, run fewer encodes at once.")
    if ended.code == 255:
        raise RetryLater("ffmpeg was asked to stop from outside vidd.")
    raise Refused(f"ffmpeg could not work on this file: {why} (exit code {ended.code}).")


def default_ffmpeg() -> Path:
    """The ffmpeg of the imageio-ffmpeg wheel; Refused where the wheel brings none for this machine."""
    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise Refused(
            "imageio-ffmpeg brings no ffmpeg for this machine: set [ffmpeg] path to one with libx264."
        ) from None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an ffmpeg can do; `missing` are sentences about what cannot be done with it."""

    version: str
    encoders: frozenset[str]
    filters: frozenset[str]
    missing: tuple[str, ...]


async def capabilities(encoder: Encoder) -> Capabilities:
    """Ask ffmpeg what it can do. An ffmpeg that does not run is a sentence in `missing`, not an error."""
    asked = [asyncio.ensure_future(_ask(encoder, word)) for word in ("-version", "-encoders", "-filters")]
    try:
        told, encoders, filters = await asyncio.gather(*asked)
    except Fault as fault:
        await shield_to_end(asyncio.gather(*asked, return_exceptions=True))
        return Capabilities("", frozenset(), frozenset(), (fault.sentence,))
    can = parse.names(encoders), parse.names(filters)
    missing = [
        f"{encoder.path} has no {word} {name}: set [ffmpeg] path to one that has it."
        for word, needed, have in (("encoder", _ENCODERS, can[0]), ("filter", _FILTERS, can[1]))
        for name in needed
        if name not in have
    ]
    if setpriv() is None:
        missing.append("There is no setpriv: without it ffmpeg outlives a kill -9 of vidd; install util-linux.")
    return Capabilities(parse.version(told), *can, tuple(missing))


async def check_capable(encoder: Encoder) -> str:
    """One sentence where ffmpeg can do all that the steps need; Refused, with what is missing, where it cannot."""
    found = await capabilities(encoder)
    if found.missing:
        raise Refused(" ".join(found.missing))
    return f"ffmpeg {found.version} has what cutting and encoding need."


async def said_of_itself(encoder: Encoder) -> str:
    """All that ffmpeg says of its version and how it was made."""
    return "\n".join(await _ask(encoder, "-version"))


async def _ask(encoder: Encoder, word: str) -> list[str]:
    lines: list[str] = []
    ended = await process.run([encoder.path, "-hide_banner", word], on_line=lines.append, deadline=30.0)
    if ended.code != 0:
        raise Refused(f"{encoder.path} does not run ({parse.reason(ended.stderr)}): correct [ffmpeg] path.")
    return lines

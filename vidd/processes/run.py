"""Runs one program to its end, within limits; however `run` ends, it leaves no process behind."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidd.aio.shield import shield_to_end
from vidd.errors import FaultCode, RetryLater
from vidd.processes.child import CHUNK, Child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TAIL = 4096
# Seconds to read what an ended child left in its pipes.
_DRAIN = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use.

    `deadline` is seconds in all, `quiet` seconds without progress, `memory` bytes of address space, and `grace` the
    seconds between the signals that end it.
    """

    deadline: float | None = None
    quiet: float | None = None
    nice: int = 0
    memory: int | None = None
    grace: float = 1.0


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended. `code` is negative for a signal; `stderr` holds the last 4 KiB of it.

    `cpu_seconds` is read while the child lives, so the last quarter of a second may be missing from it.
    """

    code: int
    seconds: float
    cpu_seconds: float
    stderr: str


class Hung(RetryLater):
    """A child was ended because it made no progress, or its time was up."""

    default_code = FaultCode.STALLED


class Tail:
    """Keeps the last 4 KiB of a child's stderr; `on_chunk` is given all of it."""

    def __init__(self, on_chunk: Callable[[bytes], None] | None = None) -> None:
        self._on_chunk = on_chunk
        self._bytes = b""
        self.received = 0

    async def follow(self, child: Child) -> None:
        """Read until the child closes its stderr."""
        while chunk := await child.stderr.read(CHUNK):
            self.received += len(chunk)
            self._bytes = (self._bytes + chunk)[-_TAIL:]
            if self._on_chunk is not None:
                self._on_chunk(chunk)

    @property
    def text(self) -> str:
        """The last 4 KiB."""
        return self._bytes.decode("utf-8", "replace").strip()


class _Lines:
    """A child's stdout, cut into lines; one longer than 64 KiB comes in pieces."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self.received = 0

    async def follow(self, child: Child) -> None:
        partial = b""
        while chunk := await child.stdout.read(CHUNK):
            child.cpu_seconds()
            self.received += len(chunk)
            *lines, partial = (partial + chunk).split(b"\n")
            if len(partial) > CHUNK:
                lines, partial = [*lines, partial], b""
            for line in lines:
                self._on_line(line.decode("utf-8", "replace"))
        if partial:
            self._on_line(partial.decode("utf-8", "replace"))


class _Chunks:
    """A child's stdout as it comes."""

    def __init__(self, on_chunk: Callable[[bytes], None]) -> None:
        self._on_chunk = on_chunk
        self.received = 0

    async def follow(self, child: Child) -> None:
        while chunk := await child.stdout.read(CHUNK):
            self.received += len(chunk)
            self._on_chunk(chunk)


class Pulse:
    """Watches that a child goes on making progress, and ends before its deadline (seconds)."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name, self._deadline, self._quiet = name, limits.deadline, limits.quiet
        self._progress: Any = None
        self.started = self._changed = time.monotonic()
        self.tick = min(limit / 4 for limit in (limits.deadline, limits.quiet, 1.0) if limit is not None)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def check(self, progress: Any) -> None:
        """Compare with the progress noted last; Hung if it has not changed for too long, or the time is up."""
        now = time.monotonic()
        if progress != self._progress:
            self._progress, self._changed = progress, now
        if self._quiet is not None and now - self._changed > self._quiet:
            raise Hung(f"{self._name} made no progress for {self._quiet:g} s, so vidd ended it; vidd will retry.")
        if self._deadline is not None and now - self.started > self._deadline:
            raise Hung(f"{self._name} was not done after {self._deadline:g} s, so vidd ended it; vidd will retry.")


async def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    on_output: tuple[Callable[[bytes], None], Callable[[bytes], None]] | None = None,
    progress_mark: Callable[[int], Any] | None = None,
    limits: Limits = NO_LIMITS,
    guarded: bool = False,
) -> Ended:
    """Run a program to its end, or end it: when cancelled, after its deadline, or after too long without progress.

    `on_line` is called with each line of stdout; instead, `on_output` are called with the bytes of stdout and of stderr
    as they come. A `guarded` program ends with all its descendants. `progress_mark` is called about once a second with
    the process id: a changed answer is progress, and an error that it raises ends the child. Without it, any output is
    progress. The exit code is not judged here. Hung if a limit was reached; Refused if there is no such program.
    """
    pulse = Pulse(Path(argv[0]).name, limits)
    tail = Tail(on_output[1] if on_output else None)
    lines = _Chunks(on_output[0]) if on_output else _Lines(on_line) if on_line else None
    child = await Child.start(
        argv, cwd=cwd, env=env, stdout=lines is not None, nice=limits.nice, memory=limits.memory, guarded=guarded
    )
    readers: list[asyncio.Future[None]] = [asyncio.ensure_future(tail.follow(child))]
    if lines:
        readers.append(asyncio.ensure_future(lines.follow(child)))
    try:
        while True:
            ends: list[asyncio.Future[Any]] = [child.gone, *(reader for reader in readers if not reader.done())]
            await asyncio.wait(ends, timeout=pulse.tick, return_when=asyncio.FIRST_COMPLETED)
            _raise_errors(readers)
            if child.gone.done():
                break
            child.cpu_seconds()
            pulse.check(progress_mark(child.pid) if progress_mark else (tail.received, lines and lines.received))
        # A process that escaped from the group may hold the pipes open for ever.
        await asyncio.wait(readers, timeout=_DRAIN)
        _raise_errors(readers)
    finally:
        for reader in readers:
            reader.cancel()
        await shield_to_end(asyncio.gather(child.end(limits.grace), *readers, return_exceptions=True))
    return Ended(child.gone.result(), pulse.seconds, child.cpu_seconds(), tail.text)


def _raise_errors(readers: Sequence[asyncio.Future[None]]) -> None:
    for reader in readers:
        if reader.done():
            reader.result()

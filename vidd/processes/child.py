"""Starts, limits and ends one child process.

A child has a session of its own, no keyboard, none of the daemon's secrets in its environment, and does not outlive
the daemon: `end` reaches its whole group, and a `kill -9` of the daemon kills the child too (util-linux's setpriv asks
the kernel). A foreign program may do anything with its own children, so it is started under a subreaper, which ends
every descendant with it, also those that left the group.
"""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import shutil
import signal
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vidd.errors import FaultCode, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHUNK = 65536
_SUBREAPER = Path(__file__).with_name("subreaper.py")
_MARK = "VIDD_COMMAND"
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# The subreaper itself is killed last, and only if it does not answer: its descendants would go free.
_SUBREAPER_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL)
# Seconds that ending all descendants may take.
_SUBREAPER_GRACE = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")
# An allow-list: the daemon's environment holds secrets, and a child that opens foreign media needs none of them.
INHERITED: tuple[str, ...] = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "PYTHONWARNINGS",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "FONTCONFIG_FILE",
    "FONTCONFIG_PATH",
)


@cache
def setpriv() -> str | None:
    """The program that has the kernel kill a child when the daemon dies; None if util-linux is not installed."""
    return shutil.which("setpriv")


class Child:
    """A started process and its group; `gone` is done, with the exit code, once it is reaped."""

    def __init__(self, process: asyncio.subprocess.Process, mark: str | None = None) -> None:
        self._process = process
        self._mark = mark
        self._cpu_seconds = 0.0
        self.pid = process.pid
        self.gone = asyncio.ensure_future(self._reap())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bool = False,
        stdout: bool = True,
        nice: int = 0,
        memory: int | None = None,
        guarded: bool = False,
    ) -> Self:
        """Start a program, with pipes for `stdin` and `stdout` as asked, and always for stderr.

        `env` is added to the variables that a child inherits; `memory` is bytes of address space; `guarded` starts it
        under a subreaper. Refused if there is no such program, RetryLater if the machine has no room for another process.
        """
        command = [os.fspath(word) for word in argv]
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(env or {})
        if program(command[0], cwd, environment) is None:
            raise Refused(
                f"There is no program {command[0]!r} to run: install it, or correct its path in the settings.",
                code=FaultCode.NOT_INSTALLED,
            )
        mark, tie = secrets.token_hex(8) if guarded else None, setpriv()
        if mark is not None:
            environment[_MARK] = mark
            wrapper = [sys.executable, "-I", "-S", str(_SUBREAPER), str(os.getpid()), str(nice), str(memory or 0)]
        else:
            wrapper = [tie, "--pdeathsig", "KILL", "--"] if tie else []
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *wrapper,
                *command,
                cwd=cwd,
                env=environment,
                stdin=pipe if stdin else null,
                stdout=pipe if stdout else null,
                stderr=pipe,
                limit=CHUNK,
                start_new_session=True,
            )
        except OSError as error:
            raise RetryLater(f"{Path(command[0]).name} could not be started: {error}.") from error
        if mark is None:
            _limit(process.pid, nice, memory)
        return cls(process, mark)

    @property
    def stdout(self) -> asyncio.StreamReader:
        """The child's stdout."""
        return _pipe(self._process.stdout)

    @property
    def stderr(self) -> asyncio.StreamReader:
        """The child's stderr."""
        return _pipe(self._process.stderr)

    async def write(self, data: bytes) -> None:
        """Write to the child's stdin; BrokenPipeError or ConnectionResetError if it is gone."""
        writer = self._process.stdin
        if writer is not None:
            writer.write(data)
            await writer.drain()

    def cpu_seconds(self) -> float:
        """The processor time the child has used, as far as it could be read while it lived (proc(5), stat).

        asyncio reaps the child itself and hides its rusage, so callers ask now and then.
        """
        with suppress(OSError):
            text = Path(f"/proc/{self.pid}/stat").read_text()
            # The name in the second field may hold spaces and brackets; utime to cstime are fields 14 to 17.
            ticks = text.rpartition(")")[2].split()[11:15]
            self._cpu_seconds = max(self._cpu_seconds, sum(map(int, ticks)) / _TICKS)
        return self._cpu_seconds

    async def close_stdin(self, timeout: float) -> None:
        """Close the child's stdin, after which a worker ends by itself; wait up to `timeout` seconds for that."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait([self.gone], timeout=timeout)

    async def end(self, grace: float = 1.0) -> None:
        """End the whole group: SIGINT, then SIGTERM, then SIGKILL, `grace` seconds apart; returns once it is reaped."""
        waits = {signal.SIGINT: grace, signal.SIGTERM: grace, signal.SIGQUIT: _SUBREAPER_GRACE}
        for name in _SUBREAPER_ENDS if self._mark else _ENDS:
            if self.gone.done():
                break
            self._signal(name)
            # No process survives the last signal, so its end is awaited without a limit.
            await asyncio.wait([self.gone], timeout=waits.get(name))
        if self._process.stdin is not None:
            self._process.stdin.close()
        # A process that escaped from the group may hold the pipes open for ever.
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no other way

    def _signal(self, name: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, name)

    async def _reap(self) -> int:
        await self._wait_until_ended()
        # The leader is gone; whatever it left behind in its group goes too.
        self._signal(signal.SIGKILL)
        # asyncio's own wait() also waits for the pipes, which a process that escaped may hold open.
        while (code := self._process.returncode) is None:  # noqa: ASYNC110 - asyncio has no event for it
            await asyncio.sleep(0.001)
        if self._mark is not None and code == -signal.SIGKILL:
            # Either the program was killed or the subreaper itself, and then nothing has ended its descendants.
            await asyncio.to_thread(_end_marked, f"{_MARK}={self._mark}".encode())
        return code

    async def _wait_until_ended(self) -> None:
        """Wait until the process has ended, reaped or not (pidfd_open(2))."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)


def program(name: str, cwd: Path | None, environment: Mapping[str, str]) -> str | None:
    """The file that is run for this name in this directory and environment; None if there is none."""
    path = str(cwd / name) if cwd is not None and "/" in name else name
    return shutil.which(path, path=environment.get("PATH"))


def _end_marked(mark: bytes) -> None:
    """Kill every process that has this in its environment, until none is left (proc(5), environ)."""
    deadline = time.monotonic() + _SUBREAPER_GRACE
    while pids := [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if _has_mark(path, mark)]:
        if time.monotonic() > deadline:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _has_mark(environ: Path, mark: bytes) -> bool:
    try:
        return mark in environ.read_bytes().split(b"\0")
    except OSError:
        return False


def _pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise RuntimeError("the child was started without this pipe")
    return stream


def _limit(pid: int, nice: int, memory: int | None) -> None:
    with suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        if memory is not None:
            resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))
        if nice:
            os.setpriority(os.PRIO_PROCESS, pid, nice)

"""A child process: how it is started, limited, watched and ended.

Rules. A child has a session of its own, no keyboard, none of our secrets in its environment, and does not outlive
us: `end` reaches its whole group, and a `kill -9` of the daemon kills it too (util-linux's setpriv asks the kernel).
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, TypeVar

from vidd.errors import AgainLater, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

T = TypeVar("T")
CHUNK = 65536
# An allow-list: the daemon's environment holds secrets, and a child that opens foreign media needs none of them.
_KEPT = (
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
    "COVERAGE_PROCESS_START",
)


@cache
def setpriv() -> str | None:
    """The program that ties a child's life to ours; None where util-linux is not installed."""
    return shutil.which("setpriv")


async def surely(awaitable: Awaitable[T]) -> T:
    """Wait for the end of something even while being cancelled; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(awaitable)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()


class Child:
    """A started process and its group; `gone` is done, with (exit code, processor seconds), once it is reaped."""

    def __init__(self, process: subprocess.Popen[bytes], pidfd: int) -> None:
        self._process, self._pidfd = process, pidfd
        self._loop = asyncio.get_running_loop()
        self._transports: list[asyncio.BaseTransport] = []
        self.pid = process.pid
        self.gone: asyncio.Future[tuple[int, float]] = self._loop.create_future()
        self._loop.add_reader(pidfd, self._reap)

    @classmethod
    def start(
        cls,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        conversing: bool = False,
        listening: bool = True,
        nice: int = 0,
        memory: int | None = None,
    ) -> Self:
        """Start a program. `env` is added to what a child may see of ours; `memory` is bytes of address space.

        asyncio's own subprocesses are started by this same Popen call; they only hide the rusage of the one
        child that ended, which is why the end is watched here (a pidfd) and collected by wait4.
        Refused where there is no such program, AgainLater where the machine has no room for another process.
        """
        words = [os.fspath(word) for word in argv]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(env or {})
        if shutil.which(words[0], path=environment.get("PATH")) is None:
            raise Refused(f"There is no program {words[0]!r} to run: install it, or correct its path in the settings.")
        tie = setpriv()
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(
                [tie, "--pdeathsig", "KILL", "--", *words] if tie else words,
                cwd=cwd,
                env=environment,
                stdin=pipe if conversing else null,
                stdout=pipe if listening else null,
                stderr=pipe,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise AgainLater(f"{Path(words[0]).name} could not be started: {error}.") from error
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError as error:
            process.kill()
            process.communicate()
            raise AgainLater(f"{Path(words[0]).name} could not be watched and was ended: {error}.") from error
        _limit(process.pid, nice, memory)
        return cls(process, pidfd)

    async def stdout(self) -> asyncio.StreamReader:
        """What the child says, to read from; once."""
        return await self._reader(self._process.stdout)

    async def stderr(self) -> asyncio.StreamReader:
        """What the child complains of, to read from; once."""
        return await self._reader(self._process.stderr)

    async def _reader(self, pipe: IO[bytes] | None) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(limit=CHUNK)
        transport, _ = await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        self._transports.append(transport)
        return reader

    def say(self, line: bytes) -> None:
        """Write a short line to the child's stdin; BrokenPipeError where it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.write(line)

    async def end(self, grace: float = 1.0) -> None:
        """End the whole group: SIGINT, then SIGTERM, then SIGKILL, `grace` seconds apart; returns once it is reaped."""
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.gone.done():
                break
            self._signal(name)
            # Asked twice or not, the last one is not survived, so its end is waited for without a limit.
            await asyncio.wait([self.gone], timeout=None if name is signal.SIGKILL else grace)
        for transport in self._transports:
            transport.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _signal(self, name: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, name)

    def _reap(self) -> None:
        # Until wait4 the dead leader still holds its number, so this reaches only what it left behind.
        self._signal(signal.SIGKILL)
        _, status, used = os.wait4(self.pid, 0)
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        self.gone.set_result((code, used.ru_utime + used.ru_stime))


def _limit(pid: int, nice: int, memory: int | None) -> None:
    with suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        if memory is not None:
            resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))
        if nice:
            os.setpriority(os.PRIO_PROCESS, pid, nice)

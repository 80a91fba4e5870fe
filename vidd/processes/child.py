"""A child process: how it is started, limited, watched and ended.

Rules. A child has a session of its own, no keyboard, none of our secrets in its environment, and does not outlive
us: `end` reaches its whole group, and a `kill -9` of the daemon kills it too (util-linux's setpriv asks the kernel).
A program that is not ours may do anything with its own children, so it is started under a warden, which ends every
descendant with it, those that left the group too.
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

from vidd.errors import Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHUNK = 65536
_WARDEN = Path(__file__).with_name("subreaper.py")
_MARK = "VIDD_COMMAND"
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# The warden itself is killed last, and only where it does not answer: what it guards would go free.
_WARDENS_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL)
_WARDENS_WORK = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")
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
    "COVERAGE_PROCESS_CONFIG",
)


@cache
def setpriv() -> str | None:
    """The program that ties a child's life to ours; None where util-linux is not installed."""
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
        conversing: bool = False,
        listening: bool = True,
        nice: int = 0,
        memory: int | None = None,
        guarded: bool = False,
    ) -> Self:
        """Start a program. `env` is added to what a child may see of ours; `memory` is bytes of address space.

        `guarded`: under a warden. Refused where there is no such program, RetryLater where the machine has no room for
        another process.
        """
        words = [os.fspath(word) for word in argv]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(env or {})
        if program(words[0], cwd, environment) is None:
            raise Refused(f"There is no program {words[0]!r} to run: install it, or correct its path in the settings.")
        mark, tie = secrets.token_hex(8) if guarded else None, setpriv()
        if mark is not None:
            environment[_MARK] = mark
            before = [sys.executable, "-I", "-S", str(_WARDEN), str(os.getpid()), str(nice), str(memory or 0)]
        else:
            before = [tie, "--pdeathsig", "KILL", "--"] if tie else []
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *before,
                *words,
                cwd=cwd,
                env=environment,
                stdin=pipe if conversing else null,
                stdout=pipe if listening else null,
                stderr=pipe,
                limit=CHUNK,
                start_new_session=True,
            )
        except OSError as error:
            raise RetryLater(f"{Path(words[0]).name} could not be started: {error}.") from error
        if mark is None:
            _limit(process.pid, nice, memory)
        return cls(process, mark)

    @property
    def stdout(self) -> asyncio.StreamReader:
        """What the child says."""
        return _there(self._process.stdout)

    @property
    def stderr(self) -> asyncio.StreamReader:
        """What the child complains of."""
        return _there(self._process.stderr)

    async def say(self, line: bytes) -> None:
        """Write a short line to the child's stdin; BrokenPipeError or ConnectionResetError where it is gone."""
        writer = self._process.stdin
        if writer is not None:
            writer.write(line)
            await writer.drain()

    def cpu_seconds(self) -> float:
        """The processor time the child has used, as far as it could be read while it lived (proc(5), stat).

        asyncio reaps the child itself and keeps its rusage from us, so whoever listens asks now and then.
        """
        with suppress(OSError):
            text = Path(f"/proc/{self.pid}/stat").read_text()
            # The name in the second field may hold spaces and brackets; utime to cstime are fields 14 to 17.
            ticks = text.rpartition(")")[2].split()[11:15]
            self._cpu_seconds = max(self._cpu_seconds, sum(map(int, ticks)) / _TICKS)
        return self._cpu_seconds

    async def rest(self, patience: float) -> None:
        """Close the child's stdin, at whose end one that converses ends by itself; wait so many seconds for that."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait([self.gone], timeout=patience)

    async def end(self, grace: float = 1.0) -> None:
        """End the whole group: SIGINT, then SIGTERM, then SIGKILL, `grace` seconds apart; returns once it is reaped."""
        waits = {signal.SIGINT: grace, signal.SIGTERM: grace, signal.SIGQUIT: _WARDENS_WORK}
        for name in _WARDENS_ENDS if self._mark else _ENDS:
            if self.gone.done():
                break
            self._signal(name)
            # Asked twice or not, the last one is not survived, so its end is waited for without a limit.
            await asyncio.wait([self.gone], timeout=waits.get(name))
        if self._process.stdin is not None:
            self._process.stdin.close()
        # What escaped from the group may hold the pipes open for ever.
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no other way

    def _signal(self, name: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, name)

    async def _reap(self) -> int:
        await self._over()
        # The leader is gone; whatever it left behind in its group goes too.
        self._signal(signal.SIGKILL)
        # asyncio's own wait() is not asked: it also waits for the pipes, which a process that escaped may hold open.
        while (code := self._process.returncode) is None:  # noqa: ASYNC110 - asyncio tells nobody
            await asyncio.sleep(0.001)
        if self._mark is not None and code == -signal.SIGKILL:
            # The program's end, or the warden's own: then nobody has cleared up behind it.
            await asyncio.to_thread(_end_marked, f"{_MARK}={self._mark}".encode())
        return code

    async def _over(self) -> None:
        """Wait until the process has ended, reaped or not (pidfd_open(2))."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pidfd, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)


def program(name: str, cwd: Path | None, environment: Mapping[str, str]) -> str | None:
    """The file that is run for this name in this directory and environment; None where there is none."""
    found = str(cwd / name) if cwd is not None and "/" in name else name
    return shutil.which(found, path=environment.get("PATH"))


def _end_marked(mark: bytes) -> None:
    """Kill every process that has this in its environment, until there is none left (proc(5), environ)."""
    patience = time.monotonic() + _WARDENS_WORK
    while pids := [int(one.parent.name) for one in Path("/proc").glob("[0-9]*/environ") if _has(one, mark)]:
        if time.monotonic() > patience:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _has(environ: Path, mark: bytes) -> bool:
    try:
        return mark in environ.read_bytes().split(b"\0")
    except OSError:
        return False


def _there(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
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

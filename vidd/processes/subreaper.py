"""Runs one program under a subreaper: when the subreaper ends, no descendant of the program is alive.

It is run as a file of its own, without the packages of vidd, and needs the standard library only. Every process that
is orphaned below it, in whatever group or session, becomes its child (PR_SET_CHILD_SUBREAPER, prctl(2)); it is done
once waitpid(2) says that it has no child left. It passes SIGINT on to the program's group and SIGTERM to every
descendant; SIGQUIT, which the kernel also sends when vidd dies, kills them all. It ends as the program did.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_HANDLED = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT}
_KILL_TIMEOUT = 10.0
"""Seconds that a killed process may take; one that waits for a device, or belongs to another user, cannot be ended."""


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def descendants(root: int) -> set[int]:
    """The ids of all processes below `root`, without those that ended but were not waited for (proc(5), stat)."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - only the names of hundreds of them are needed
        if entry.isdigit():
            with suppress(OSError):
                # The name in the second field may hold spaces and brackets; state and parent come after it.
                state, parent = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    parents[int(entry)] = int(parent)
    below: set[int] = set()
    generation = {root}
    while generation:
        generation = {pid for pid, parent in parents.items() if parent in generation} - below
        below |= generation
    return below


def _send(number: int, leader: int) -> None:
    """Send a signal to the program's group; SIGTERM also to those that left the group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
    if number == signal.SIGTERM:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) != leader:
                    os.kill(pid, number)


def _kill_all(leader: int, status: int | None) -> tuple[bool, int | None]:
    """Kill until there is no child: whether that was reached, and how the program ended."""
    deadline = time.monotonic() + _KILL_TIMEOUT
    while True:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True, status
        if pid == leader:
            status = ended
        if pid:
            deadline = time.monotonic() + _KILL_TIMEOUT
        elif time.monotonic() > deadline:
            return False, status
        else:
            time.sleep(0.005)


def _start(command: list[str], nice: int, memory: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        if nice:
            os.nice(nice)
        # Python ignores these, and an ignored signal stays ignored in the program.
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"{command[0]} could not be started: {error.strerror}\n".encode(errors="replace"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    return 0


def _watch(leader: int) -> int | None:
    """Wait for the program, passing signals on; None if everything is to be killed."""
    while True:
        number = signal.sigwait(_HANDLED)
        if number == signal.SIGQUIT:
            return None
        if number != signal.SIGCHLD:
            _send(number, leader)
            continue
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == leader:
                    return ended[1]


def _end_as(status: int) -> int:
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def main(parent: int, nice: int, memory: int, command: list[str]) -> int:
    """Run the program as a descendant of the process `parent`; 0 for `nice` and `memory` leaves both as they are."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
    if os.getppid() != parent:
        return 1  # vidd died before prctl
    leader = _start(command, nice, memory)
    status = _watch(leader)
    all_ended, status = _kill_all(leader, status)
    if not all_ended:
        left = " ".join(map(str, sorted(descendants(os.getpid()))))
        os.write(2, f"These processes could not be ended: {left}\n".encode())
    return _end_as(status if status is not None else signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))

"""Runs one program and answers for all that comes of it: when this ends, no descendant of the program is alive.

Rules. It is run as a file of its own, before anything of vidd is there, and needs the standard library only. Whoever
is orphaned below it, in whatever group or session, becomes its child (PR_SET_CHILD_SUBREAPER, prctl(2)); it has done
its work once waitpid(2) says that it has no child left, which is the proof. SIGINT goes on to the program's group,
SIGTERM to every descendant; SIGQUIT, which also comes when vidd dies, kills them all. It ends as the program did.
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
_HEARD = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT}
_STUBBORN = 10.0
"""Seconds that a killed process may take; one that waits for a device, or belongs to another user, cannot be ended."""


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def descendants(root: int) -> set[int]:
    """The ids of all processes below `root`, those that have ended but not been waited for left out (proc(5), stat)."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - the names are all that is wanted of hundreds of them
        if entry.isdigit():
            with suppress(OSError):
                # The name in the second field may hold spaces and brackets; state and parent come after it.
                state, parent = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    parents[int(entry)] = int(parent)
    below: set[int] = set()
    fresh = {root}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - below
        below |= fresh
    return below


def _send(number: int, leader: int) -> None:
    """Tell the program's group; of SIGTERM also those that left it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
    if number == signal.SIGTERM:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) != leader:
                    os.kill(pid, number)


def _clear(leader: int, status: int | None) -> tuple[bool, int | None]:
    """Kill until there is no child; says whether that was reached, and how the program ended."""
    patience = time.monotonic() + _STUBBORN
    while True:
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            pid, found = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True, status
        if pid == leader:
            status = found
        if pid:
            patience = time.monotonic() + _STUBBORN
        elif time.monotonic() > patience:
            return False, status
        else:
            time.sleep(0.005)


def _start(words: list[str], nice: int, memory: int) -> int:
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
        os.execvp(words[0], words)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"{words[0]} could not be started: {error.strerror}\n".encode(errors="replace"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    return 0


def _watch(leader: int) -> int | None:
    """Wait for the program, passing signals on; None where it is all to end at once."""
    while True:
        number = signal.sigwait(_HEARD)
        if number == signal.SIGQUIT:
            return None
        if number != signal.SIGCHLD:
            _send(number, leader)
            continue
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == leader:
                    return found[1]


def _end_as(status: int) -> int:
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def main(parent: int, nice: int, memory: int, words: list[str]) -> int:
    """Run the program as a descendant of the process `parent`; 0 for `nice` and `memory` leaves both as they are."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
    if os.getppid() != parent:
        return 1  # it died before it could be watched
    leader = _start(words, nice, memory)
    status = _watch(leader)
    cleared, status = _clear(leader, status)
    if not cleared:
        left = " ".join(map(str, sorted(descendants(os.getpid()))))
        os.write(2, f"These processes could not be ended: {left}\n".encode())
    return _end_as(status if status is not None else signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))

"""The state directory: locked by the one daemon that runs on it, and looked at by `vidd check`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidd.errors import FaultCode, Refused

JOBS = "jobs"
_LOCK = "lock"


class AlreadyRuns(Refused):
    """Another daemon holds the lock of the state directory `state`."""

    default_code = FaultCode.CONFLICT

    def __init__(self, state: Path) -> None:
        super().__init__(f"Another vidd runs on {state}: stop it first, or choose another [daemon] state.")
        self.state = state


@contextmanager
def lock_state_directory(state: Path) -> Iterator[None]:
    """Make the state directory where it is missing, and lock it.

    Raises Refused if it cannot be used, AlreadyRuns if another daemon holds the lock.
    """
    try:
        (state / JOBS).mkdir(parents=True, exist_ok=True)
        lock = (state / _LOCK).open("w")
    except OSError as error:
        raise _unusable(state, error.strerror or str(error)) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRuns(state) from None
        yield


def check_state_directory(state: Path) -> bool:
    """Whether a daemon runs on it. Raises Refused if it cannot be used. Changes nothing.

    `vidd check` must leave no files there: it may run as another user than the daemon.
    """
    for path in (state, state / JOBS):
        there = next(parent for parent in (path, *path.parents) if os.path.lexists(parent))
        if not there.is_dir():
            raise _unusable(state, f"{there} is no directory")
        if not os.access(there, os.W_OK | os.X_OK):
            raise _unusable(state, f"{there} cannot be written")
    try:
        with (state / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise _unusable(state, error.strerror or str(error)) from error
    return False


def _unusable(state: Path, why: str) -> Refused:
    return Refused(f"The state directory {state} cannot be used ({why}): correct [daemon] state.")

"""Checks free disk space, and turns errors of the disk into faults."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vidd.display_text import size_in_words
from vidd.errors import Fault, FaultCode, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The errno values of a system call that found no space left."""
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_IMPOSSIBLE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EFBIG, errno.ELOOP}
_PAUSE = 60.0
"""Seconds until vidd checks the free space again."""


def disk_full(doing: str) -> RetryLater:
    """The fault of a full disk, which uses up no attempt. `doing` is for the sentence: "writing /srv/out/a.mp4"."""
    return RetryLater(
        f"The disk was full while {doing}: free some space; vidd will continue by itself.",
        after=_PAUSE,
        counts=False,
        code=FaultCode.DISK_FULL,
    )


@contextmanager
def retry_if_full(doing: str = "writing") -> Iterator[None]:
    """Raise RetryLater for an OSError of a full disk; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise disk_full(doing) from None


def disk_fault(error: OSError, doing: str) -> Fault:
    """The fault for an error of the disk. `doing` is for the sentence: "writing /srv/out/a.mp4"."""
    why = error.strerror or str(error)
    if error.errno in FULL:
        return disk_full(doing)
    if error.errno in _FORBIDDEN:
        return Refused(
            f"The system forbade {doing} ({why}): give vidd's user the right to, then retry.", code=FaultCode.FORBIDDEN
        )
    if error.errno in _IMPOSSIBLE:
        return Refused(f"The file system cannot do it, while {doing} ({why}): correct the path, then retry.")
    return RetryLater(f"The disk gave an error while {doing} ({why}): check that it is mounted and healthy.")


def check_writable(folder: Path) -> None:
    """Raise Refused where a folder, or the one to make it in, cannot be written to. Leaves nothing behind."""
    there = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "cannot be written to" if there.is_dir() else "is no directory"
        raise Refused(f"{there} {why}: correct its rights, or its path in the settings.", code=FaultCode.BAD_SETTINGS)


def check_free_space(directory: Path, reserve: int, needed: int = 0) -> None:
    """Raise RetryLater, which uses up no attempt, if `needed` more bytes would leave less than `reserve` bytes free."""
    free = shutil.disk_usage(directory).free
    if free - needed < reserve:
        more = f" and {size_in_words(needed)} are needed" if needed else ""
        raise RetryLater(
            f"The disk of {directory} has {size_in_words(free)} free, {size_in_words(reserve)} are kept in reserve{more}:"
            " free some space; vidd will continue by itself.",
            after=_PAUSE,
            counts=False,
            code=FaultCode.DISK_FULL,
        )

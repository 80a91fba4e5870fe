"""The disk: its errors as fates, and a name on it that survives a power cut."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from vidd.errors import Fault, Refused, RetryLater
from vidd.files.disk_space import FULL

_CLONE = 0x40049409  # FICLONE of linux/fs.h
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EINVAL, errno.ENOTTY}
_IMPOSSIBLE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EFBIG, errno.ELOOP}


def disk_fault(error: OSError, doing: str) -> Fault:
    """What an error of the disk means for whoever was `doing` something, such as "writing /srv/out/a.mp4"."""
    why = error.strerror or str(error)
    if error.errno in FULL:
        return RetryLater(f"The disk was full while {doing}: make room, it goes on by itself.", after=60, counts=False)
    if error.errno in _FORBIDDEN:
        return Refused(f"The system forbade {doing} ({why}): give vidd's user the right to, then retry.")
    if error.errno in _IMPOSSIBLE:
        return Refused(f"The file system cannot do it, while {doing} ({why}): correct the path, then retry.")
    return RetryLater(f"The disk gave an error while {doing} ({why}): see whether it is mounted and healthy.")


def cloned(source: Path, target: Path) -> bool:
    """Make `target` a file of its own that shares its blocks with `source`; False where the file system cannot.

    Not a hard link: whoever writes into the source afterwards would write into the target too.
    """
    try:
        with source.open("rb") as reading, target.open("xb") as writing:
            fcntl.ioctl(writing.fileno(), _CLONE, reading.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def no_links(error: OSError) -> bool:
    """Whether this says that the file system makes no second name for a file."""
    return error.errno in _NO_LINKS


def shared(source: Path, target: Path) -> bool:
    """Make `target` a clone of a file, or else a second name for it; False where the file system has neither."""
    if cloned(source, target):
        return True
    try:
        target.hardlink_to(source)
    except OSError as error:
        if not no_links(error):
            raise
        return False
    return True


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

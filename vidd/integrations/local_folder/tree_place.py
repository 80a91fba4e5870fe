"""Put a tree into a directory of this host: built beside its place, synced, and given its name whole."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.files.atomic import sync
from vidd.files.clone import copy_with_digest
from vidd.files.tree import leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_AT_FDCWD, _EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_UNABLE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


@dataclass(frozen=True, slots=True)
class Contents:
    """What a tree holds: `sha256` is of the sums, sizes and places of its files."""

    count: int
    size: int
    sha256: str


def _contents(rows: Iterable[tuple[str, int, str]]) -> Contents:
    digest, count, size = hashlib.sha256(), 0, 0
    for path, length, total in sorted(rows):
        digest.update(f"{total} {length} {path}\0".encode())
        count, size = count + 1, size + length
    return Contents(count, size, digest.hexdigest())


async def build(source: Path, part: Path, moved: Callable[[int], None]) -> Contents:
    """Make `part` a copy of a tree, safely on the disk. Refused where there is nothing but empty directories."""
    await in_thread(clear, part)
    rows = []
    for leaf in await in_thread(leaves, source):
        # The program that made a tree may be run on it again, and would write into what is out already.
        size, total = await copy_with_digest(source / leaf.path, part / leaf.path, moved, own=True, durable=False)
        rows.append((leaf.path, size, total))
    if not rows:
        raise Refused(f"The directory {source.name} holds no file, and nothing is published in place of something.")
    await in_thread(_sync_file_system, part)
    return _contents(rows)


def contents(root: Path) -> Contents | None:
    """What a directory holds; None where it is none, or has anything in it that no tree has."""
    try:
        found = leaves(root)
    except (NotADirectoryError, FileNotFoundError, Refused):
        return None
    return _contents((leaf.path, leaf.size, _sum(root / leaf.path)) for leaf in found)


def _sum(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def place(part: Path, target: Path) -> None:
    """Give a tree its name. One that has the name is gone afterwards, and at no moment is there half of either."""
    old = part.with_name(f"{part.name}.old")
    clear(old)
    if not target.is_dir():
        part.rename(target)
    elif not _exchanged(part, target):
        # A file system that cannot swap two names leaves a moment without the tree, and never half of one.
        target.rename(old)
        part.rename(target)
    sync(target.parent)
    clear(part)
    clear(old)


def clear(path: Path) -> None:
    """Remove what an earlier attempt left, be it a file or a directory."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two names at once (renameat2(2)); False where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _sync_file_system(path: Path) -> None:
    """Make all that was written durable at once (syncfs(2)): thousands of small files are not synced one by one."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(handle)

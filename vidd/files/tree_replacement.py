"""Copies a tree into a directory of this host: built beside its target, synced, and renamed as a whole."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.files.atomic import sync
from vidd.files.clone import copy_with_digest
from vidd.files.digest import file_digest
from vidd.files.removal import remove
from vidd.files.tree import list_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_AT_FDCWD, _EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


@dataclass(frozen=True, slots=True)
class TreeContents:
    """The files of a tree: their count and size; `sha256` is the digest of their digests, sizes and paths."""

    count: int
    size: int
    sha256: str


def _summarize(rows: Iterable[tuple[str, int, str]]) -> TreeContents:
    digest, count, size = hashlib.sha256(), 0, 0
    for path, length, checksum in sorted(rows):
        digest.update(f"{checksum} {length} {path}\0".encode())
        count, size = count + 1, size + length
    return TreeContents(count, size, digest.hexdigest())


async def copy_tree(source: Path, part: Path, progress: Callable[[int], None]) -> TreeContents:
    """Make `part` a durable copy of a tree. Raises Refused where the tree has no file. `progress` gets bytes copied."""
    await in_thread(remove, part)
    rows = []
    for leaf in await in_thread(list_files, source):
        # The program that made a tree may run on it again, and must not write into what is already published.
        size, digest = await copy_with_digest(source / leaf.path, part / leaf.path, progress, own=True, durable=False)
        rows.append((leaf.path, size, digest))
    if not rows:
        raise Refused(f"The directory {source.name} is empty; vidd does not replace published files with nothing.")
    await in_thread(_sync_file_system, part)
    return _summarize(rows)


def tree_contents(root: Path) -> TreeContents | None:
    """The contents of a directory; None where it is missing, or holds anything but files and directories."""
    try:
        found = list_files(root)
    except (NotADirectoryError, FileNotFoundError, Refused):
        return None
    return _summarize((leaf.path, leaf.size, file_digest(root / leaf.path)) for leaf in found)


def replace_tree(part: Path, target: Path) -> None:
    """Rename a tree to its target, replacing the one that is there; at no moment is there half of either."""
    old = part.with_name(f"{part.name}.old")
    remove(old)
    if not target.is_dir():
        part.rename(target)
    elif not _exchange(part, target):
        # Without an atomic exchange there is a moment without the tree, but never half of one.
        target.rename(old)
        part.rename(target)
    sync(target.parent)
    remove(part)
    remove(old)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names atomically (renameat2(2)); False where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _sync_file_system(path: Path) -> None:
    """Make everything written durable at once (syncfs(2)), since syncing thousands of small files singly is slow."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(handle)

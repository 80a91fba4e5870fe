"""A directory of files that a step hands over as one artifact: what is below it, and how it is known again.

A file's place is its path below the directory with `/` between the parts; directories without files do not count.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.model.media import Artifact, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

CONTENT_TYPE = "inode/directory"


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file of a tree: `path` is its place below the tree's directory, `size` is in bytes."""

    path: str
    size: int


def list_files(root: Path) -> list[TreeFile]:
    """The files below a directory, by path. Refused where one is no regular file, or has a name that is no text.

    A symbolic link is never followed: what it leads to is none of the job's. Blocks while it reads the disk.
    """
    found: list[TreeFile] = []
    waiting = [("", os.fspath(root))]
    while waiting:
        above, directory = waiting.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                path = above + _name(entry.name, root)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((f"{path}/", entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found.append(TreeFile(path, entry.stat(follow_symlinks=False).st_size))
                else:
                    raise Refused(
                        f"{quoted(path)} below {root.name} is no regular file (a link, a socket or a device), and only"
                        " files are handed on: have the step write the file itself there."
                    )
    return sorted(found, key=lambda leaf: leaf.path)


def _name(name: str, root: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Refused(f"The name {quoted(name)} below {root.name} is no UTF-8 text: have it named otherwise.") from None
    return name


def describe(found: Iterable[TreeFile]) -> Tree:
    """How many files there are, and the SHA-256 of their sizes and places, one a line in order of the places."""
    digest, count = hashlib.sha256(), 0
    for leaf in sorted(found, key=lambda leaf: leaf.path):
        # NUL cannot be in a name, so no name can look like the end of a line and the beginning of another.
        digest.update(f"{leaf.size} {leaf.path}\0".encode())
        count += 1
    return Tree(count, digest.hexdigest())


def tree_artifact(role: str, directory: Path, path: str, facts: Mapping[str, Any] | None = None) -> Artifact:
    """The artifact that is the directory `path` below the job's `directory`, as it is now. Refused as by `list_files`."""
    found = list_files(directory / path)
    size = sum(leaf.size for leaf in found)
    return Artifact(role, path, size, CONTENT_TYPE, facts=facts or {}, tree=describe(found))


def is_unchanged(root: Path, artifact: Artifact) -> bool:
    """Whether the directory still holds the files of a tree, by their places and sizes."""
    try:
        return root.is_dir() and describe(list_files(root)) == artifact.tree
    except (OSError, Refused):
        return False

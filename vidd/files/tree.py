"""Lists and fingerprints a directory tree that a step hands over as one artifact.

Paths are below the tree's directory, with `/` between the parts. Empty directories do not count.
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
    """A file of a tree: `path` is below the tree's directory, `size` is in bytes."""

    path: str
    size: int


def list_files(root: Path) -> list[TreeFile]:
    """The files below `root`, sorted by path. Blocks while it reads the disk.

    Raises Refused if an entry is no regular file or directory, or if its name is not UTF-8. vidd follows no symbolic link,
    because its target does not belong to the job.
    """
    found: list[TreeFile] = []
    pending = [("", os.fspath(root))]
    while pending:
        above, directory = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                path = above + _name(entry.name, root)
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{path}/", entry.path))
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


def describe_tree(found: Iterable[TreeFile]) -> Tree:
    """The `Tree` of these files: their number, and the SHA-256 of their sizes and paths in order of the paths."""
    digest, count = hashlib.sha256(), 0
    for leaf in sorted(found, key=lambda leaf: leaf.path):
        # A name cannot hold NUL, so no name can look like the end of one entry and the start of the next.
        digest.update(f"{leaf.size} {leaf.path}\0".encode())
        count += 1
    return Tree(count, digest.hexdigest())


def tree_artifact(role: str, directory: Path, path: str, facts: Mapping[str, Any] | None = None) -> Artifact:
    """The artifact of the directory `path` below the job's `directory`. Raises Refused as `list_files` does."""
    found = list_files(directory / path)
    size = sum(leaf.size for leaf in found)
    return Artifact(role, path, size, CONTENT_TYPE, facts=facts or {}, tree=describe_tree(found))


def is_unchanged(root: Path, artifact: Artifact) -> bool:
    """Whether the directory still holds the files of the artifact's tree, by path and size."""
    try:
        return root.is_dir() and describe_tree(list_files(root)) == artifact.tree
    except (OSError, Refused):
        return False

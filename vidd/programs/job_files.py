"""Files in a job's directory that the settings of a program name: what it needs, and what is removed before it runs."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.files.tree import TreeFile
from vidd.programs.expected_outputs import Template, within
from vidd.settings.templates import render
from vidd.settings.types import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class JobFiles(Options):
    """A file, or files of a directory, in the job's directory."""

    path: Template = Field(description="Template of the path of the file or directory below the job's directory.")
    files: str = Field(
        "", description="Pattern of the files of a directory, such as scene_*/*.pkl; * goes over slashes; default: all."
    )


def find_files(
    wanted: Iterable[JobFiles], directory: Path, fields: Mapping[str, Any]
) -> dict[str, tuple[TreeFile, ...]]:
    """The files of each entry, with paths below the job's `directory`, by a name of the entry for sentences. Blocks.

    Raises Refused if a template names an unknown field or leads out of the directory.
    """
    found = {}
    for entry in wanted:
        path = within(directory, render(entry.path, fields))
        name = path.relative_to(directory).as_posix()
        found[f"{name}/{entry.files}" if entry.files else name] = tuple(
            TreeFile(os.path.relpath(leaf, directory), leaf.lstat().st_size)
            for leaf in _leaves(path)
            if not entry.files or fnmatchcase(os.path.relpath(leaf, path), entry.files)
        )
    return found


def remove_files(unwanted: Iterable[JobFiles], directory: Path, fields: Mapping[str, Any]) -> None:
    """Remove the files of all entries. Blocks; raises Refused like `find_files`."""
    for files in find_files(unwanted, directory, fields).values():
        for leaf in files:
            (directory / leaf.path).unlink(missing_ok=True)


def _leaves(path: Path) -> list[Path]:
    """The files at or below a path. A link is a file, and vidd does not follow it."""
    if path.is_symlink() or path.is_file():
        return [path]
    found = []
    for above, directories, names in os.walk(path):
        links = [name for name in directories if Path(above, name).is_symlink()]
        found += [Path(above, name) for name in (*names, *links)]
    return sorted(found)

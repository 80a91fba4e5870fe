"""The outputs that a program must leave: checks them and returns them as artifacts."""

from __future__ import annotations

import mimetypes
import os
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.files.removal import remove
from vidd.files.tree import list_files, tree_artifact
from vidd.model.media import Artifact
from vidd.programs.json_check import check_json
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, render
from vidd.settings.types import Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Template = Annotated[
    str, AfterValidator(check_template), MayName("file", "files", "suffix", "directory", "attempt", "video")
]
"""A template of a command, which may name its file and its paths."""


def _known_shape(name: str) -> str:
    if name:
        from vidd.programs.json_shapes import NAMES  # noqa: PLC0415 - slow to import, and few settings name one

        if name not in NAMES:
            raise ValueError(f"there is no schema {name!r}; there are {', '.join(sorted(NAMES))}")
    return name


class Output(Options):
    """A file or directory that a program must make."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    path: Template = Field(description="Template of its path below the job's directory.")
    role: str = Field(
        "",
        pattern=r"^[\w.-]{0,60}$",
        description="Its role for later steps and publishers; without a role it is only checked.",
    )
    files: str = Field(
        "",
        description="Pattern of the files of a directory that are checked, such as *.json or body/*/*.glb; default: all.",
    )
    count: int = Field(1, ge=0, description="The smallest number of files; with 0 it may be missing.")
    parses: bool = Field(False, alias="json", description="The files must be JSON.")
    shape: Annotated[str, AfterValidator(_known_shape)] = Field(
        "", alias="schema", description="The files must be JSON of this shape, such as scene_poses."
    )
    content_type: str = Field("", description="Content type of a file; default: by its name.")
    fresh: bool = Field(True, description="Remove the output of an earlier run before the program runs.")


class ExpectedOutputs:
    """The outputs of one run, in one job's directory, with their paths rendered."""

    def __init__(self, outputs: Sequence[Output], directory: Path, fields: Mapping[str, Any]) -> None:
        self._directory = directory
        self._outputs = [(output, within(directory, render(output.path, fields))) for output in outputs]

    async def clear(self) -> None:
        """Remove what an earlier attempt left of `fresh` outputs, and create the directories of all."""
        for output, path in self._outputs:
            if output.fresh:
                await in_thread(remove, path)
            path.parent.mkdir(parents=True, exist_ok=True)

    async def gather(self) -> tuple[tuple[Artifact, ...], dict[str, Any]]:
        """The artifacts, and for the record the files and bytes of each output; Refused if an output is missing or wrong."""
        artifacts, record = [], {}
        for output, path in self._outputs:
            relative = self._relative(path)
            found = await in_thread(_find_files, path, output, relative)
            if output.parses or output.shape:
                await check_json(
                    self._directory, [f"{relative}/{name}" if name else relative for name, _ in found], output.shape
                )
            record[relative] = {"files": len(found), "bytes": sum(size for _, size in found)}
            if output.role and path.exists():
                artifacts.append(await in_thread(self._as_artifact, output, relative))
        return tuple(artifacts), record

    def are_present(self) -> bool:
        """Whether all outputs are still there, by the number of files."""
        try:
            return all(
                len(_find_files(path, output, self._relative(path))) >= output.count for output, path in self._outputs
            )
        except (Refused, OSError):
            return False

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._directory).as_posix()

    def _as_artifact(self, output: Output, relative: str) -> Artifact:
        path = self._directory / relative
        if path.is_dir():
            return tree_artifact(output.role, self._directory, relative)
        kind = output.content_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return Artifact(output.role, relative, path.stat().st_size, kind)


def within(directory: Path, text: str) -> Path:
    """A path below the job's directory; Refused if it leads out of it."""
    pure = PurePosixPath(text.strip())
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or not text.isprintable():
        raise Refused(
            f"The path {quoted(text)} is not below the job's directory: correct its template.",
            code=FaultCode.BAD_SETTINGS,
        )
    return directory / pure


def _find_files(path: Path, output: Output, relative: str) -> list[tuple[str, int]]:
    """The files of an output, as (path below `path`, bytes); "" stands for `path` itself."""
    if not (output.count or os.path.lexists(path)):
        return []
    if path.is_symlink() or not path.exists():
        what = "is a link, and links are not followed" if path.is_symlink() else "was not made"
        raise Refused(
            f"The program ended well, but {quoted(relative)} {what}: see its log, and correct outputs of the step."
        )
    if path.is_file():
        found = [("", path.stat().st_size)]
    else:
        found = [
            (leaf.path, leaf.size)
            for leaf in list_files(path)
            if not output.files or fnmatchcase(leaf.path, output.files)
        ]
    empty = next((name for name, size in found if not size), None)
    if empty is not None:
        shown = f"{relative}/{empty}" if empty else relative
        raise Refused(f"The program ended well, but {quoted(shown)} is empty: see its log, then retry.")
    if len(found) < output.count:
        which = f" {output.files}" if output.files else ""
        raise Refused(
            f"The program ended well, but in {quoted(relative)} are {len(found)} files{which}, and there must be"
            f" {output.count} at least: see its log, then retry."
        )
    return found

"""Collects the results of an analysis of people into one directory: complete, checked file by file, handed on as a tree.

The analysis's own files stay as they are, for a rework continues with them: vidd clones them into a directory of its own, or
links them where the disk has no clones.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from vidd.aio.shield import in_thread
from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.clone import clone
from vidd.files.disk_space import retry_if_full
from vidd.files.tree import list_files, tree_artifact
from vidd.model.media import Artifact, Outcome
from vidd.processes.worker_client import WorkerDied, ask_worker
from vidd.programs.expected_outputs import within
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template, fields_of, render
from vidd.settings.types import Duration, Size
from vidd.settings.types import Options as Base

if TYPE_CHECKING:
    from collections.abc import Collection

    from vidd.ports import StepContext, Tools


_KEPT = "analysis.tree"
_Template = Annotated[str, AfterValidator(check_template), MayName()]


class Options(Base):
    """Settings of a step of kind `results`. Templates may name job, talk, name and facts."""

    path: _Template = Field(description="The directory of the analysis's annotations, below the job's.")
    parts: dict[str, _Template] = Field(
        {}, description="More directories, by their name in the tree, such as body; they may be missing."
    )
    leave: tuple[str, ...] = Field(("scenepkl",), description="Names in the directory to leave out.")
    needs: tuple[str, ...] = Field((), description="Names that must be there if the video has people, such as body.")
    prefix: str = Field(
        "/annotationdata",
        pattern=r"^(/[\w-][\w.-]*)*$",
        description="What the paths in new indexes begin with.",
    )
    role: str = Field("annotations", pattern=r"^[\w.-]{1,60}$", description="The role of the tree.")
    each: bool = Field(
        False, description="Also hand on each directory as a tree of its own, with its name as the role."
    )
    keep_files: bool = Field(
        False,
        description="Also hand on the directory that `path` is in, with the checked annotations in it, as a tree of the role"
        " `analysis`, for a folder that keeps it.",
    )
    limit: Duration = Field(1800.0, gt=0, description="The longest time of the check.")
    memory: Size = Field(Size(8 << 30), description="The most bytes of address space of the check.")


async def check(options: Options, tools: Tools) -> str:  # noqa: ARG001 - a kind's check has this shape
    """Nothing outside of vidd is needed."""
    return "The check of results needs nothing besides vidd."


def roles(options: Options) -> frozenset[str] | None:
    """The roles of what it makes; None where that is not known before."""
    return None if options.each else frozenset({options.role, *(["analysis"] if options.keep_files else [])})


async def run(options: Options, context: StepContext) -> Outcome:
    """Hand on the tree; the facts `scenes`, `frames`, `people`, `bodies`, which files were `made`, and which were `renamed`.

    Refused with the name of the first broken file, and where in it.
    """
    fields = fields_of(context.job, context.talk, context.facts)
    source = within(context.directory, render(options.path, fields))
    if options.keep_files and source.parent == context.directory:
        raise Refused(
            f"The directory {quoted(source.name)} is in no directory of the analysis that could be kept: run the analysis in one of"
            " its own, such as results/{{ name }}, or correct keep_files.",
            code=FaultCode.BAD_SETTINGS,
        )
    parts = {name: within(context.directory, render(text, fields)) for name, text in options.parts.items()}
    target = context.directory / f"{options.role}.tree"
    with retry_if_full():
        missing = await in_thread(_collect, options, source, parts, target)
    found = await _arrange(options, context, target)
    if missing and found["people"]:
        raise Refused(
            f"There are people in the video, but the analysis left no {quoted(missing[0])}: see its log (vidd log).",
            code=FaultCode.NOT_FOUND,
        )
    trees = await in_thread(_trees, options, context.directory, target, found)
    if options.keep_files:
        with retry_if_full():
            await in_thread(_keep, source, parts.values(), target, context.directory / _KEPT)
        # What a rework changed is counted once.
        trees.append(await in_thread(tree_artifact, "analysis", context.directory, _KEPT, {"copy": True}))
    return Outcome(tuple(trees), found)


def _trees(options: Options, directory: Path, target: Path, found: dict[str, Any]) -> list[Artifact]:
    names = sorted(path.name for path in target.iterdir() if path.is_dir()) if options.each else []
    paths = {options.role: target.name} | {name: f"{target.name}/{name}" for name in names}
    return [tree_artifact(role, directory, path, found) for role, path in paths.items()]


def _collect(options: Options, source: Path, parts: dict[str, Path], target: Path) -> list[str]:
    """Put all results into the directory `target`; returns the needed names that are missing. Refused for empty files."""
    if not source.is_dir():
        raise Refused(
            f"The analysis left no directory {quoted(source.name)}: see its log (vidd log).", code=FaultCode.NOT_FOUND
        )
    if target.exists():
        shutil.rmtree(target)
    found = {path.name: path for path in source.iterdir() if path.name not in options.leave}
    found |= {name: path for name, path in parts.items() if path.is_dir()}
    for name, path in sorted(found.items()):
        if not path.is_dir():
            _put(path, target / name)
            continue
        for leaf in list_files(path):
            _put(path / leaf.path, target / name / leaf.path)
    if options.each:
        for name in parts:
            # Where there is nobody, an empty tree says so: publishers remove who was there before.
            (target / name).mkdir(parents=True, exist_ok=True)
    return [name for name in options.needs if name not in found]


def _keep(source: Path, parts: Collection[Path], annotations: Path, kept: Path) -> None:
    """Make `kept` the directory that `source` is in, with the checked `annotations` in place of `source` and its `parts`."""
    if kept.exists():
        shutil.rmtree(kept)
    for root, below, left_out in ((source.parent, "", (source, *parts)), (annotations, source.name, ())):
        for leaf in list_files(root):
            path = root / leaf.path
            if not any(path.is_relative_to(directory) for directory in left_out):
                _link(path, kept / below / leaf.path)


def _put(source: Path, target: Path) -> None:
    if source.is_symlink() or not source.stat().st_size:
        fault = "a link" if source.is_symlink() else "empty"
        raise Refused(f"{quoted(source.name)} among the results is {fault}: see the program's log (vidd log).")
    _link(source, target)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not clone(source, target):
        os.link(source, target)


async def _arrange(options: Options, context: StepContext, target: Path) -> dict[str, Any]:
    try:
        answer = await ask_worker(
            "vidd.integrations.analysis_results.arrangement",
            {"ask": "arrange", "root": str(target), "prefix": options.prefix},
            timeout=options.limit,
            memory=int(options.memory),
            nice=context.tools.encoder.nice,
        )
    except WorkerDied as died:
        why = died.stderr.splitlines()[-1] if died.stderr else "it printed nothing"
        raise RetryLater(
            f"The check of the results failed (exit {died.code}: {why}); vidd will retry.",
            code=FaultCode.INTERRUPTED,
            said=died.stderr,
        ) from None
    if "found" not in answer:
        raise Refused(
            f"{quoted(answer['path'])} among the results is broken: {answer['why']}. See the program's log (vidd log),"
            " then retry."
        )
    return dict(answer["found"])

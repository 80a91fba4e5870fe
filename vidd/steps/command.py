"""Runs any program on the job's video: arguments by template and never a shell; logged, and its outputs checked.

Several commands on one video are several steps: the outcome of each is recorded, so that a restart resumes with the
step that was under way, and each has a slot, a limit and exit codes of its own.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.files.clone import clone
from vidd.files.tree import describe_tree
from vidd.media.probe.client import probe
from vidd.model.media import Media, Outcome, Tree
from vidd.model.rework import base_edition
from vidd.programs.expected_outputs import ExpectedOutputs, Output, Template, within
from vidd.programs.job_files import JobFiles, find_files, remove_files
from vidd.programs.options import ProgramOptions, call_of, check_program
from vidd.programs.program import call
from vidd.settings.marks import Role
from vidd.settings.templates import fields_of, render

if TYPE_CHECKING:
    from vidd.ports import StepContext, Tools


class Options(ProgramOptions):
    """Settings of a step of kind `command`.

    Templates may name file, files.<role>, suffix, directory (the job's), job, talk, name, attempt, and facts of the steps
    before and, as facts.<name>, of the arrival.
    """

    source: Annotated[str, Role()] = Field(
        "", description="Role of the file it works on; default: the talk if there is one, else the source."
    )
    probe: bool = Field(
        True, description="Probe the video first and refuse a file that is not one; leaves the fact video."
    )
    place: dict[str, Template] = Field(
        {}, description="Paths below the job's directory, by role, at which files are linked during the run."
    )
    make: tuple[Template, ...] = Field((), description="Directories below the job's that are created first.")
    needs: tuple[JobFiles, ...] = Field(
        (),
        description="Files that earlier steps left and that it needs; where some are gone, as after a program that uses up its"
        " files was killed, vidd runs the step that left them again.",
    )
    clear: tuple[JobFiles, ...] = Field(
        (), description="Files of an earlier run to remove before it runs, besides the outputs."
    )
    slot: Literal["commands", "gpus", "encodes"] = Field(
        "commands", description="The limit of [limits] of which a run holds a slot."
    )
    outputs: tuple[Output, ...] = Field((), description="The outputs it must make; those with a role become artifacts.")
    rework: Literal["anew", "over"] = Field(
        "anew", description="In a rework: anew starts without outputs, over works on those of the last run."
    )


def pool(options: Options) -> str:
    """The pool of which a run holds a slot."""
    return options.slot


async def check(options: Options, tools: Tools) -> str:
    """Check that program, directory and secrets exist, as far as that is known before there is a job."""
    return check_program(options, tools)


def is_still_valid(options: Options, context: StepContext, outcome: Outcome) -> bool:
    """Whether the outputs are still there, those that are not artifacts, too."""
    fields = _fields(options, context) | {name: fact for name, fact in outcome.facts.items() if name == "video"}
    try:
        return ExpectedOutputs(options.outputs, context.directory, fields).are_present()
    except Refused:
        # A path cannot be rendered any more: a fact of another step is gone.
        return False


def find_needed(options: Options, context: StepContext) -> dict[str, Tree]:
    """What is there of the files that it needs, by their names in sentences; of 0 files where nothing is. Blocks."""
    found = find_files(options.needs, context.directory, _fields(options, context)) if options.needs else {}
    return {name: describe_tree(files) for name, files in found.items()}


def roles(options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset(output.role for output in options.outputs if output.role)


async def run(options: Options, context: StepContext) -> Outcome:
    """Run the program once. The fact named like the step has its exit, first and last lines, log, and outputs."""
    role = _role(options, context)
    source = context.file(role)
    media = context.artifacts[role].media or (
        await probe(context.tools.encoder, source, context.job.name) if options.probe else None
    )
    fields = _fields(options, context) | ({"video": _video(media)} if media else {})
    expected = ExpectedOutputs(options.outputs, context.directory, fields)
    if not (options.rework == "over" and base_edition(context.job) is not None):
        await expected.clear()
    await in_thread(remove_files, options.clear, context.directory, fields)
    for text in options.make:
        within(context.directory, render(text, fields)).mkdir(parents=True, exist_ok=True)
    links = {role: within(context.directory, render(text, fields)) for role, text in options.place.items()}
    try:
        for role, path in links.items():
            await in_thread(_link, context.file(role), path)
        program_call = call_of(options, context, fields)
        async with context.slot():
            record = await call(program_call, context)
    finally:
        for path in links.values():
            path.unlink(missing_ok=True)
    artifacts, outputs = await expected.gather()
    facts: dict[str, Any] = {context.step: {**record, "outputs": outputs}}
    return Outcome(artifacts, facts | ({"video": fields["video"]} if media else {}))


def _role(options: Options, context: StepContext) -> str:
    return options.source or ("talk" if "talk" in context.artifacts else "source")


def _fields(options: Options, context: StepContext) -> dict[str, Any]:
    """The fields that templates may name. `files` leaves out a file of which only a part was fetched."""
    complete = {role: artifact for role, artifact in context.artifacts.items() if "window" not in artifact.facts}
    source = context.artifacts.get(_role(options, context))
    return fields_of(
        context.job,
        context.talk,
        context.facts,
        file=str(context.directory / source.path) if source else "",
        files={role: str(context.directory / artifact.path) for role, artifact in complete.items()},
        suffix=PurePath(source.path).suffix if source else "",
        directory=str(context.directory),
        attempt=context.job.attempt + 1,
    )


def _video(media: Media) -> dict[str, Any]:
    """The facts of a video for a mail: `megabytes` are decimal, `rate` is frames per second."""
    facts: dict[str, Any] = {"size": media.size, "megabytes": round(media.size / 1e6, 2), "duration": media.duration}
    if media.video:
        width, height = media.video[0].display_size
        facts |= {
            "rate": round(media.video[0].rate, 3),
            "width": width,
            "height": height,
            "frames": media.video[0].frames,
        }
    return facts


def _link(source: Path, target: Path) -> None:
    """Make `target` a clone of `source` if the file system can do that, else a hard link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if not clone(source, target):
        target.hardlink_to(source)

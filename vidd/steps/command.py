"""Run any program on the job's video: words by template and never a shell, watched, logged, and what it leaves checked.

Several commands on one video are several steps: what each of them made is recorded, so that a restart goes on with the
one that was under way, and each has a place, a limit and fates of its own.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.files.clone import clone
from vidd.media.probe.client import probe
from vidd.model.media import Media, Outcome
from vidd.model.rework import goes_over
from vidd.programs.expected_outputs import Output, Promised, Template, within
from vidd.programs.options import Running, call_of, check_running
from vidd.programs.program import call
from vidd.settings.templates import fields_of, render

if TYPE_CHECKING:
    from vidd.ports import StepContext, Tools


_SHOWN = 60


class Options(Running):
    """Settings of a step of kind `command`.

    Templates may name file, files.<role>, suffix, directory (the job's), job, talk, name, attempt, and facts of the steps
    before and, as facts.<name>, of the arrival.
    """

    source: str = Field(
        "", description="Role of the file it works on; unset: the talk where there is one, else the source."
    )
    probe: bool = Field(True, description="Look at the video before, and refuse what is none; leaves the fact video.")
    place: dict[str, Template] = Field(
        {}, description="Roles, and where below the job's directory their files are for the time of the run."
    )
    make: tuple[Template, ...] = Field((), description="Directories below the job's that are made before.")
    slot: Literal["commands", "gpus", "encodes"] = Field(
        "commands", description="Which of [limits] it takes a place of."
    )
    outputs: tuple[Output, ...] = Field((), description="What it must have made; with a role it goes on.")
    rework: Literal["anew", "over"] = Field(
        "anew", description="In a rework: anew makes the outputs from nothing, over works on those of the last run."
    )


def pool(options: Options) -> str:
    """The pool of which a run holds a slot."""
    return options.slot


async def check(options: Options, tools: Tools) -> str:
    """Whether program, directory and secrets are there, as far as that can be told before there is a job."""
    return check_running(options, tools)


def is_still_valid(options: Options, context: StepContext, outcome: Outcome) -> bool:
    """Whether what it made is still there, also where it is no artifact."""
    fields = _fields(options, context) | {name: fact for name, fact in outcome.facts.items() if name == "video"}
    try:
        return Promised(options.outputs, context.directory, fields).there()
    except Refused:
        # Its paths were made of what is no more, such as another step's facts.
        return False


async def run(options: Options, context: StepContext) -> Outcome:
    """Run it once. The fact of the step's own name has its exit, its first and last lines, its log, and what it made."""
    role = _role(options, context)
    source = context.file(role)
    media = context.artifacts[role].media or (
        await probe(context.tools.encoder, source, context.job.name) if options.probe else None
    )
    fields = _fields(options, context) | ({"video": _video(media)} if media else {})
    promised = Promised(options.outputs, context.directory, fields)
    if not (options.rework == "over" and goes_over(context.job) is not None):
        await promised.clear()
    for text in options.make:
        within(context.directory, render(text, fields)).mkdir(parents=True, exist_ok=True)
    placed = {role: within(context.directory, render(text, fields)) for role, text in options.place.items()}
    try:
        for role, path in placed.items():
            await in_thread(_put, context.file(role), path)
        calling = call_of(options, context, fields)
        async with context.slot():
            told = await call(calling, context)
    finally:
        for path in placed.values():
            path.unlink(missing_ok=True)
    artifacts, outputs = await promised.gather()
    facts: dict[str, Any] = {context.step: {**told, "outputs": outputs}}
    return Outcome(artifacts, facts | ({"video": fields["video"]} if media else {}))


def _role(options: Options, context: StepContext) -> str:
    return options.source or ("talk" if "talk" in context.artifacts else "source")


def _fields(options: Options, context: StepContext) -> dict[str, Any]:
    """What the templates may name. A file of which only a part was fetched is not among `files`."""
    whole = {role: artifact for role, artifact in context.artifacts.items() if "window" not in artifact.facts}
    source = context.artifacts.get(_role(options, context))
    return fields_of(
        context.job,
        context.talk,
        context.facts,
        file=str(context.directory / source.path) if source else "",
        files={role: str(context.directory / artifact.path) for role, artifact in whole.items()},
        suffix=PurePath(source.path).suffix if source else "",
        directory=str(context.directory),
        attempt=context.job.attempt + 1,
    )


def _video(media: Media) -> dict[str, Any]:
    """What a mail says of a video: `megabytes` are decimal, `rate` is pictures a second."""
    facts: dict[str, Any] = {"size": media.size, "megabytes": round(media.size / 1e6, 2), "duration": media.duration}
    if media.video:
        width, height = media.video[0].shown
        facts |= {
            "rate": round(media.video[0].rate, 3),
            "width": width,
            "height": height,
            "frames": media.video[0].frames,
        }
    return facts


def _put(source: Path, target: Path) -> None:
    """A file that shares its blocks where the disk can do that, else a second name of the same."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if not clone(source, target):
        target.hardlink_to(source)

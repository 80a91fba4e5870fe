"""Run any program on the job's video: words by template and never a shell, watched, logged, and what it leaves checked.

Several commands on one video are several steps: what each of them made is recorded, so that a restart goes on with the
one that was under way, and each has a place, a limit and fates of its own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from vidd.child import program
from vidd.clients.advance import Progress
from vidd.clients.disk import cloned
from vidd.clients.exits import Exit, exit_name
from vidd.clients.outputs import Output, Promised, Template, within
from vidd.clients.program import Call, call
from vidd.clients.secret import reveal
from vidd.clients.threads import in_thread
from vidd.errors import Refused
from vidd.ffmpeg.probe import probe
from vidd.model.media import Media, Outcome
from vidd.model.rework import goes_over
from vidd.options import Duration, Size
from vidd.options import Options as Base
from vidd.printable import printable
from vidd.texts import fields_of, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.ports import Bench, Tools

SLOT: str | None = "commands"
FACTS: frozenset[str] = frozenset({"video"})
OWN_FACT = True  # what it says and made is a fact of its step's name
OWN_PLACE = True  # looking at the video before, and at the files after, leave room for another's run

_SHOWN = 60


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of an environment variable")
    return name


_Variable = Annotated[str, AfterValidator(_variable)]


class Options(Base):
    """Settings of a step of kind `command`.

    Templates may name file, files.<role>, suffix, directory (the job's), job, talk, name, attempt, and facts of the steps
    before and, as facts.<name>, of the arrival.
    """

    argv: tuple[Template, ...] = Field(
        min_length=1,
        description="The program and its words; each stays one word, and one that comes out empty is left out.",
    )
    extra: tuple[str, ...] = Field((), description="More words after argv, as they are; a rework adds to them.")
    prefix: tuple[Template, ...] = Field(
        (),
        description="Words before argv, such as conda run --no-capture-output -n NAME, or docker run --rm --init IMAGE.",
    )
    source: str = Field(
        "", description="Role of the file it works on; unset: the talk where there is one, else the source."
    )
    probe: bool = Field(True, description="Look at the video before, and refuse what is none; leaves the fact video.")
    place: dict[str, Template] = Field(
        {}, description="Roles, and where below the job's directory their files are for the time of the run."
    )
    make: tuple[Template, ...] = Field((), description="Directories below the job's that are made before.")
    directory: Template = Field("", description="Where it runs, from the job's directory; unset: there.")
    environment: dict[_Variable, Template] = Field({}, description="Variables for it, besides PATH, HOME and the like.")
    inherit: tuple[_Variable, ...] = Field((), description="Variables of the daemon's own that it gets too.")
    secrets: dict[_Variable, str] = Field(
        {}, description="Variables that hold a secret of an account, written account.key; never shown, never logged."
    )
    slot: Literal["commands", "gpus", "encodes"] = Field(
        "commands", description="Which of [limits] it takes a place of."
    )
    limit: Duration = Field(6 * 3600.0, gt=0, description="How long it may take.")
    stall: Duration | None = Field(None, gt=0, description="How long it may say nothing; without it, for ever.")
    grace: Duration = Field(10.0, gt=0, description="Between SIGINT, SIGTERM and SIGKILL when it is ended.")
    stop: tuple[Template, ...] = Field(
        (), description="A command after one that was ended early, such as docker rm --force NAME."
    )
    memory: Size | None = Field(None, description="Bytes of address space it may have; no limit where unset.")
    progress: Progress = Field(Progress(), description="Where its lines say how far it is.")
    exits: dict[str, Exit] = Field(
        {}, description="What exit codes and signals mean, over the usual: ok, again, refused."
    )
    outputs: tuple[Output, ...] = Field((), description="What it must have made; with a role it goes on.")
    log: Size = Field(Size(16 << 20), ge=1 << 16, description="How much of what it says is kept in the job's log.")
    rework: Literal["anew", "over"] = Field(
        "anew", description="In a rework: anew makes the outputs from nothing, over works on those of the last run."
    )

    @field_validator("exits")
    @classmethod
    def _known_exits(cls, exits: dict[str, Exit]) -> dict[str, Exit]:
        return {exit_name(name): one for name, one in exits.items()}


def slot(options: Options) -> str:
    """The limit that a run takes a place of."""
    return options.slot


async def check(options: Options, tools: Tools) -> str:
    """Whether program, directory and secrets are there, as far as that can be told before there is a job."""
    _revealed(options, tools)
    directory = Path(options.directory) if _is_plain(options.directory) else Path()
    if directory.is_absolute() and not directory.is_dir():
        raise Refused(f"There is no directory {directory}: make it, or correct the step's directory.")
    name = (*options.prefix, *options.argv)[0]
    if not _is_plain(name) or ("/" in name and not (directory / name).is_absolute()):
        return "Which program is run, the job decides."
    if program(name, directory, {**os.environ, **options.environment}) is None:
        raise Refused(f"There is no program {name!r}: install it, or correct argv and prefix of the step.")
    return f"{name} can be run."


def still(options: Options, bench: Bench, outcome: Outcome) -> bool:
    """Whether what it made is still there, also where it is no artifact."""
    fields = _fields(options, bench) | {name: fact for name, fact in outcome.facts.items() if name == "video"}
    try:
        return Promised(options.outputs, bench.directory, fields).there()
    except Refused:
        # Its paths were made of what is no more, such as another step's facts.
        return False


async def run(options: Options, bench: Bench) -> Outcome:
    """Run it once. The fact of the step's own name has its exit, its first and last lines, its log, and what it made."""
    role = _role(options, bench)
    source = bench.file(role)
    media = bench.artifacts[role].media or (await probe(source, bench.job.name) if options.probe else None)
    fields = _fields(options, bench) | ({"video": _video(media)} if media else {})
    promised = Promised(options.outputs, bench.directory, fields)
    if not (options.rework == "over" and goes_over(bench.job) is not None):
        await promised.clear()
    for text in options.make:
        within(bench.directory, render(text, fields)).mkdir(parents=True, exist_ok=True)
    placed = {role: within(bench.directory, render(text, fields)) for role, text in options.place.items()}
    try:
        for role, path in placed.items():
            await in_thread(_put, bench.file(role), path)
        calling = _call(options, bench, fields)
        async with bench.place():
            told = await call(calling, bench)
    finally:
        for path in placed.values():
            path.unlink(missing_ok=True)
    artifacts, outputs = await promised.gather()
    facts: dict[str, Any] = {bench.step: {**told, "outputs": outputs}}
    return Outcome(artifacts, facts | ({"video": fields["video"]} if media else {}))


def _role(options: Options, bench: Bench) -> str:
    return options.source or ("talk" if "talk" in bench.artifacts else "source")


def _fields(options: Options, bench: Bench) -> dict[str, Any]:
    """What the templates may name. A file of which only a part was fetched is not among `files`."""
    whole = {role: one for role, one in bench.artifacts.items() if "window" not in one.facts}
    source = bench.artifacts.get(_role(options, bench))
    return fields_of(
        bench.job,
        bench.talk,
        bench.facts,
        file=str(bench.directory / source.path) if source else "",
        files={role: str(bench.directory / one.path) for role, one in whole.items()},
        suffix=PurePath(source.path).suffix if source else "",
        directory=str(bench.directory),
        attempt=bench.job.attempt + 1,
    )


def _call(options: Options, bench: Bench, fields: Mapping[str, Any]) -> Call:
    where = bench.directory / render(options.directory, fields).strip()
    if not where.is_dir():
        raise Refused(f"There is no directory {printable(str(where))} to run it in: correct the step's directory.")
    own = _words(options.argv, fields)
    if not own:
        raise Refused("The step's argv comes out empty: correct its templates.")
    inherited = {name: os.environ[name] for name in options.inherit if name in os.environ}
    return Call(
        name=_called(own),
        words=[*_words(options.prefix, fields), *own, *options.extra],
        cwd=where,
        environment=inherited | {name: render(text, fields) for name, text in options.environment.items()},
        hidden=_revealed(options, bench.tools),
        log=bench.tools.log(bench.job.id),
        log_size=int(options.log),
        deadline=options.limit,
        quiet=options.stall,
        grace=options.grace,
        memory=int(options.memory) if options.memory else None,
        exits=options.exits,
        progress=options.progress,
        stop=_words(options.stop, fields),
    )


def _words(templates: Sequence[str], fields: Mapping[str, Any]) -> list[str]:
    words = [render(text, fields) for text in templates]
    if any("\0" in word for word in words):
        raise Refused("A word of the command holds a zero byte, which no program can be given: correct its template.")
    return [word for word in words if word]


def _called(words: Sequence[str]) -> str:
    """How people call it: python analyse.py is analyse.py."""
    names = [PurePath(word).name for word in words]
    script = len(names) > 1 and re.fullmatch(r"python[\d.]*|sh|bash|perl|node|Rscript", names[0])
    return printable(names[1] if script and not words[1].startswith("-") else names[0], _SHOWN)


def _revealed(options: Options, tools: Tools) -> dict[str, str]:
    return {name: reveal(tools, reference) for name, reference in options.secrets.items()}


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


def _is_plain(text: str) -> bool:
    return "{" not in text


def _put(source: Path, target: Path) -> None:
    """A file that shares its blocks where the disk can do that, else a second name of the same."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if not cloned(source, target):
        target.hardlink_to(source)

"""The settings of any program that is run, and the call they make."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from vidd.display_text import printable
from vidd.errors import Refused
from vidd.ports import StepContext, Tools
from vidd.processes.child import program
from vidd.programs.exit_codes import Exit, exit_name
from vidd.programs.expected_outputs import Template
from vidd.programs.program import Call
from vidd.programs.progress import Progress
from vidd.settings.secret import reveal
from vidd.settings.templates import render
from vidd.settings.types import Duration, Options, Size

_SHOWN = 60


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of an environment variable")
    return name


Variable = Annotated[str, AfterValidator(_variable)]


class Running(Options):
    """What is run, with what around it, and for how long."""

    argv: tuple[Template, ...] = Field(
        min_length=1,
        description="The program and its words; each stays one word, and one that comes out empty is left out.",
    )
    extra: tuple[str, ...] = Field((), description="More words after argv, as they are; a rework adds to them.")
    prefix: tuple[Template, ...] = Field(
        (),
        description="Words before argv, such as conda run --no-capture-output -n NAME, or docker run --rm --init IMAGE.",
    )
    directory: Template = Field("", description="Where it runs, from the job's directory; unset: there.")
    environment: dict[Variable, Template] = Field({}, description="Variables for it, besides PATH, HOME and the like.")
    inherit: tuple[Variable, ...] = Field((), description="Variables of the daemon's own that it gets too.")
    secrets: dict[Variable, str] = Field(
        {}, description="Variables that hold a secret of an account, written account.key; never shown, never logged."
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
    log: Size = Field(Size(16 << 20), ge=1 << 16, description="How much of what it says is kept in the job's log.")

    @field_validator("exits")
    @classmethod
    def _known_exits(cls, exits: dict[str, Exit]) -> dict[str, Exit]:
        return {exit_name(name): exit_ for name, exit_ in exits.items()}


def check_running(options: Running, tools: Tools) -> str:
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


def call_of(
    options: Running, context: StepContext, fields: Mapping[str, Any], grows: Callable[[], int] | None = None
) -> Call:
    """The call of these settings for one job; Refused where it cannot be made."""
    where = context.directory / render(options.directory, fields).strip()
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
        hidden=_revealed(options, context.tools),
        log=context.tools.log(context.job.id),
        log_size=int(options.log),
        deadline=options.limit,
        quiet=options.stall,
        grace=options.grace,
        memory=int(options.memory) if options.memory else None,
        exits=options.exits,
        progress=options.progress,
        stop=_words(options.stop, fields),
        grows=grows,
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


def _revealed(options: Running, tools: Tools) -> dict[str, str]:
    return {name: reveal(tools, reference) for name, reference in options.secrets.items()}


def _is_plain(text: str) -> bool:
    return "{" not in text

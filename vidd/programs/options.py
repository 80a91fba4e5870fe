"""The settings of a program that a step runs, and the call that they make."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from vidd.display_text import printable
from vidd.errors import FaultCode, Refused
from vidd.ports import StepContext, Tools
from vidd.processes.child import program
from vidd.programs.exit_codes import Exit, parse_exit_name
from vidd.programs.expected_outputs import Template
from vidd.programs.program import Call
from vidd.programs.progress import Progress
from vidd.settings.secret import reveal
from vidd.settings.templates import render
from vidd.settings.types import Duration, Options, Size

_NAME_LENGTH = 60


def _check_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of an environment variable")
    return name


Variable = Annotated[str, AfterValidator(_check_variable)]


class ProgramOptions(Options):
    """What to run, in which surroundings, and for how long."""

    argv: tuple[Template, ...] = Field(
        min_length=1,
        description="The program and its arguments; each template gives one argument, and an empty one is left out.",
    )
    extra: tuple[str, ...] = Field((), description="More arguments after argv, not templates; a rework adds to them.")
    prefix: tuple[Template, ...] = Field(
        (),
        description="Arguments before argv, such as conda run --no-capture-output -n NAME, or docker run --rm --init IMAGE.",
    )
    directory: Template = Field(
        "", description="Template of its working directory, from the job's directory; default: that."
    )
    environment: dict[Variable, Template] = Field(
        {}, description="Environment variables, besides PATH, HOME and the like."
    )
    inherit: tuple[Variable, ...] = Field(
        (), description="Names of the daemon's own variables that the program gets, too."
    )
    secrets: dict[Variable, str] = Field(
        {}, description="Variables that hold a secret of an account, written account.key; never shown, never logged."
    )
    limit: Duration = Field(6 * 3600.0, gt=0, description="Longest run time.")
    stall: Duration | None = Field(None, gt=0, description="Longest time without output; default: no limit.")
    grace: Duration = Field(
        10.0, gt=0, description="Time between SIGINT, SIGTERM and SIGKILL when vidd ends the program."
    )
    stop: tuple[Template, ...] = Field(
        (), description="A command to run after vidd ended the program early, such as docker rm --force NAME."
    )
    memory: Size | None = Field(None, description="Limit of its address space in bytes; default: none.")
    progress: Progress = Field(Progress(), description="How to read progress from its lines.")
    exits: dict[str, Exit] = Field(
        {}, description="What exit codes and signals mean, beyond the defaults: ok, again, refused."
    )
    log: Size = Field(Size(16 << 20), ge=1 << 16, description="Size limit of the log of its output.")

    @field_validator("exits")
    @classmethod
    def _parse_exits(cls, exits: dict[str, Exit]) -> dict[str, Exit]:
        return {parse_exit_name(name): exit_ for name, exit_ in exits.items()}


def check_program(options: ProgramOptions, tools: Tools) -> str:
    """Check that program, directory and secrets exist, as far as that is known before there is a job."""
    _secret_values(options, tools)
    directory = Path(options.directory) if _is_plain(options.directory) else Path()
    if directory.is_absolute() and not directory.is_dir():
        raise Refused(
            f"There is no directory {directory}: make it, or correct the step's directory.", code=FaultCode.BAD_SETTINGS
        )
    name = (*options.prefix, *options.argv)[0]
    if not _is_plain(name) or ("/" in name and not (directory / name).is_absolute()):
        return "Each job names the program to run."
    if program(name, directory, {**os.environ, **options.environment}) is None:
        raise Refused(
            f"There is no program {name!r}: install it, or correct argv and prefix of the step.",
            code=FaultCode.NOT_INSTALLED,
        )
    return f"{name} can be run."


def call_of(
    options: ProgramOptions,
    context: StepContext,
    fields: Mapping[str, Any],
    count_outputs: Callable[[], int] | None = None,
) -> Call:
    """The call of these settings for one job; Refused if it cannot be made. `count_outputs`: see `Call`."""
    where = context.directory / render(options.directory, fields).strip()
    if not where.is_dir():
        raise Refused(
            f"There is no directory {printable(str(where))} to run it in: correct the step's directory.",
            code=FaultCode.BAD_SETTINGS,
        )
    own = _words(options.argv, fields)
    if not own:
        raise Refused("The step's argv comes out empty: correct its templates.", code=FaultCode.BAD_SETTINGS)
    inherited = {name: os.environ[name] for name in options.inherit if name in os.environ}
    return Call(
        name=_display_name(own),
        words=[*_words(options.prefix, fields), *own, *options.extra],
        cwd=where,
        environment=inherited | {name: render(text, fields) for name, text in options.environment.items()},
        hidden=_secret_values(options, context.tools),
        log=context.tools.log(context.job.id),
        log_size=int(options.log),
        deadline=options.limit,
        quiet=options.stall,
        grace=options.grace,
        memory=int(options.memory) if options.memory else None,
        exits=options.exits,
        progress=options.progress,
        stop=_words(options.stop, fields),
        count_outputs=count_outputs,
    )


def _words(templates: Sequence[str], fields: Mapping[str, Any]) -> list[str]:
    words = [render(text, fields) for text in templates]
    if any("\0" in word for word in words):
        raise Refused(
            "A word of the command holds a zero byte, which no program can be given: correct its template.",
            code=FaultCode.BAD_SETTINGS,
        )
    return [word for word in words if word]


def _display_name(words: Sequence[str]) -> str:
    """The program's name for sentences: of `python analyse.py` it is analyse.py."""
    names = [PurePath(word).name for word in words]
    script = len(names) > 1 and re.fullmatch(r"python[\d.]*|sh|bash|perl|node|Rscript", names[0])
    return printable(names[1] if script and not words[1].startswith("-") else names[0], _NAME_LENGTH)


def _secret_values(options: ProgramOptions, tools: Tools) -> dict[str, str]:
    return {name: reveal(tools, reference) for name, reference in options.secrets.items()}


def _is_plain(text: str) -> bool:
    return "{" not in text

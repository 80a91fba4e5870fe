"""What every command shares: its common options, how it prints, and how it ends.

Exit codes: 0 done · 1 refused, or a job did not get through · 2 the settings or the command line cannot be used ·
3 no daemon answers · 4 asked in vain for now, try again · 130 interrupted.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from vidd.cli.render import job_line
from vidd.display_text import printable
from vidd.errors import Fault, RetryLater
from vidd.pipelines.validation import with_faults_of_kinds
from vidd.settings.schema import Settings, SettingsFault, read_settings

T = TypeVar("T")
_USUAL = Path("/etc/vidd/vidd.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="VIDD_CONFIG", help="The settings; /etc/vidd/vidd.toml where it exists."),
]
StateOption = Annotated[
    Path | None, typer.Option("--state-dir", help="The state directory, in place of the one in the settings.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs.")]


def config_path(path: Path | None) -> Path | None:
    """The file that is meant, or None for the embedded settings."""
    return path or (_USUAL if _USUAL.exists() else None)


def settings_of(path: Path | None, state: Path | None) -> Settings:
    """The settings with the state directory of the command line."""
    if state is not None:
        os.environ["VIDD_DAEMON__STATE"] = str(state.resolve())
    try:
        return read_settings(config_path(path))
    except SettingsFault as fault:
        raise with_faults_of_kinds(fault) from None


def say(text: str) -> None:
    """A line for people, without anything that moves a terminal's cursor."""
    typer.echo("\n".join(printable(line) for line in text.split("\n")))


def say_job(job: Any, *, as_json: bool) -> None:
    """A job, as a line for people or as JSON."""
    if as_json:
        say_json(job)
    else:
        say(job_line(job))


def say_json(document: Any) -> None:
    """One line of JSON."""
    typer.echo(json.dumps(document, default=str, ensure_ascii=False))


def fail(fault: Fault) -> typer.Exit:
    """Print a refusal and choose the exit code."""
    if isinstance(fault, SettingsFault):
        for line in fault.faults:
            typer.echo(f"vidd: {line}", err=True)
        return typer.Exit(2)
    typer.echo(f"vidd: {fault.sentence}", err=True)
    if fault.sentence.startswith("No daemon answers"):
        return typer.Exit(3)
    return typer.Exit(4 if isinstance(fault, RetryLater) else 1)


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a command to its end; a fault becomes a sentence and an exit code."""
    try:
        return asyncio.run(work)
    except Fault as fault:
        raise fail(fault) from None
    except BaseExceptionGroup as errors:
        found = errors.subgroup(Fault)
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]  # type: ignore[assignment]
        if isinstance(found, Fault):
            raise fail(found) from None
        raise
    except KeyboardInterrupt:
        raise typer.Exit(130) from None

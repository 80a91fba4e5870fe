"""What every command shares: its common options, how it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from vidd.cli.exit_codes import ExitCode, exit_code
from vidd.cli.render import job_line
from vidd.display_text import printable
from vidd.errors import Fault
from vidd.pipelines.validation import with_faults_of_kinds
from vidd.settings.schema import Settings, SettingsFault, read_settings

T = TypeVar("T")
_DEFAULT_CONFIG = Path("/etc/vidd/vidd.toml")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="VIDD_CONFIG", help="The settings; /etc/vidd/vidd.toml where it exists."),
]
StateOption = Annotated[
    Path | None, typer.Option("--state-dir", help="The state directory, in place of the one in the settings.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def config_path(path: Path | None) -> Path | None:
    """The settings file: `path`, else the one in /etc if it exists, else None for the embedded settings."""
    return path or (_DEFAULT_CONFIG if _DEFAULT_CONFIG.exists() else None)


def load_settings(path: Path | None, state: Path | None) -> Settings:
    """The settings, with the state directory of the command line. SettingsFault with every fault found."""
    if state is not None:
        os.environ["VIDD_DAEMON__STATE"] = str(state.resolve())
    try:
        return read_settings(config_path(path))
    except SettingsFault as fault:
        raise with_faults_of_kinds(fault) from None


def print_text(text: str) -> None:
    """Print lines for people, without anything that moves a terminal's cursor."""
    typer.echo("\n".join(printable(line) for line in text.split("\n")))


def print_job(job: Any, *, as_json: bool) -> None:
    """Print a job, as a line for people or as JSON."""
    if as_json:
        print_json(job)
    else:
        print_text(job_line(job))


def print_json(document: Any) -> None:
    """Print one line of JSON."""
    typer.echo(json.dumps(document, default=str, ensure_ascii=False))


def fail(fault: Fault) -> typer.Exit:
    """Print what is wrong; returns the exception that ends the command with the fault's exit code."""
    lines = fault.faults if isinstance(fault, SettingsFault) else [fault.sentence]
    for line in lines:
        typer.echo(f"vidd: {line}", err=True)
    return typer.Exit(exit_code(fault))


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; a fault becomes a sentence and an exit code."""
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
        raise typer.Exit(ExitCode.INTERRUPTED) from None

"""The command line's entry: `vidd`, or `python -m vidd`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vidd import __version__
from vidd.cli import accounts, audit, commands, dataset, demo, follow, kinds, probe, queries, retry, rework, run
from vidd.cli.common import fail
from vidd.cli.exit_codes import SHORT
from vidd.cli.import_config import import_config
from vidd.errors import Fault

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="An arriving video becomes a published talk, unattended and exactly once.",
    epilog=f"Exit codes: {'; '.join(f'{code.value} {name}' for code, name in SHORT.items())}.",
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer's promise
    if value:
        typer.echo(f"vidd {__version__}")
        raise typer.Exit


@app.callback()
def top(
    *,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None:
    """Common options."""


for command in (
    run.run,
    demo.demo,
    run.check,
    queries.submit,
    dataset.dataset,
    queries.jobs,
    queries.show,
    follow.follow,
    queries.explain,
    queries.log,
    retry.retry,
    rework.rework,
    commands.resolve,
    commands.resend,
    commands.retract,
    commands.cancel,
    commands.approve,
    commands.priority,
    commands.reject,
    commands.pause,
    commands.resume,
    queries.page,
    queries.health,
    audit.audit,
    probe.probe,
    kinds.kinds,
    kinds.schema,
):
    app.command()(command)
app.command(name="import-config")(import_config)
app.command(hidden=True)(kinds.reference)
app.command(hidden=True)(kinds.man)
app.add_typer(accounts.accounts, name="accounts")


def main() -> None:
    """Run a command. A fault that the command let through is a sentence and an exit code, too."""
    try:
        app()
    except Fault as fault:
        sys.exit(fail(fault).exit_code)


if __name__ == "__main__":
    main()

"""`vidd run` and `vidd check`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from vidd import log
from vidd.cli.common import (
    ConfigOption,
    JsonOption,
    StateOption,
    config_path,
    fail,
    load_settings,
    print_json,
    print_text,
    run_to_end,
)
from vidd.cli.exit_codes import ExitCode
from vidd.daemon.app import Daemon
from vidd.daemon.preflight import Finding, inspect
from vidd.daemon.state_directory import AlreadyRuns
from vidd.errors import Fault
from vidd.pipelines.validation import Ready, make_ready
from vidd.settings.schema import Settings, SettingsFault
from vidd.settings.types import parse_duration


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(parse_duration(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def run(
    config: ConfigOption = None,
    state: StateOption = None,
    *,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Work on what is there, then end with 0.")] = False,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="End after so long, such as 55m.")
    ] = None,
    if_free: Annotated[
        bool, typer.Option("--if-free", help="End with 0 and one line where another vidd runs on the state directory.")
    ] = False,
) -> None:
    """Run the daemon: watch, work, publish, until a signal stops it."""
    seconds = _seconds(for_)

    def read() -> Settings:
        return load_settings(config, state)

    async def work() -> None:
        settings = read()
        log.set_up(settings.daemon.log, file=_log_file(settings))
        try:
            await Daemon(settings, read).run(until_idle=until_idle, seconds=seconds)
        except AlreadyRuns as refused:
            if not if_free:
                raise
            print_text(f"Another vidd runs on {refused.state}; there is nothing to do.")

    run_to_end(work())


def _log_file(settings: Settings) -> log.LogFile | None:
    daemon = settings.daemon
    if daemon.log_file is None:
        return None
    return log.LogFile(daemon.state / daemon.log_file, int(daemon.log_file_size), daemon.log_file_count)


def check(
    config: ConfigOption = None,
    state: StateOption = None,
    *,
    online: Annotated[bool, typer.Option("--online", help="Also ask every account, queue, bucket and server.")] = False,
    create: Annotated[
        bool, typer.Option("--create", help="Make buckets and queues that are missing; then as --online.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the settings, ffmpeg and the state directory, and with --online the outside systems."""
    try:
        ready = make_ready(load_settings(config, state))
    except SettingsFault as fault:
        if as_json:
            print_json([{"about": "settings", "ok": False, "sentence": sentence} for sentence in fault.faults])
            raise typer.Exit(ExitCode.SETTINGS) from None
        raise fail(fault) from None
    except Fault as fault:
        raise fail(fault) from None
    where = config_path(config) or "no file: the embedded ones"
    findings = [Finding("settings", True, f"{where}."), *asyncio.run(_inspect(ready, online=online, create=create))]
    if as_json:
        print_json([{"about": finding.about, "ok": finding.ok, "sentence": finding.sentence} for finding in findings])
    else:
        for finding in findings:
            print_text(f"{'ok  ' if finding.ok else 'FAIL'} {finding.about}: {finding.sentence}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(ExitCode.REFUSED)


async def _inspect(ready: Ready, *, online: bool, create: bool) -> list[Finding]:
    return [finding async for finding in inspect(ready, online=online, create=create)]

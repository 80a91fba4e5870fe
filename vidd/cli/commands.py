"""Commands that make a running daemon act: cancel, retract, approve, resolve, resend, reject, priority, pause, resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from vidd.cli.common import JsonOption, print_job, print_json, print_text
from vidd.cli.daemon_option import DaemonOptions, JobArgument, quote_id, with_daemon


def _job_command(verb: str, sentence: str) -> Callable[..., None]:
    def command(daemon: DaemonOptions, job: JobArgument, *, as_json: JsonOption = False) -> None:
        print_job(daemon.post(f"/api/jobs/{quote_id(job)}/{verb}"), as_json=as_json)

    command.__name__, command.__doc__ = verb, sentence
    return with_daemon(command)


cancel = _job_command("cancel", "Stop a job and end what runs for it.")
retract = _job_command("retract", "Take back what a job published; each publisher removes what its receipt names.")
approve = _job_command("approve", "Let a held job go out.")


@with_daemon
def resolve(
    daemon: DaemonOptions,
    job: JobArgument,
    *,
    published: Annotated[
        str | None, typer.Option("--published", metavar="URL", help="It arrived, and is at this address.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="It did not arrive: send it again.")] = False,
    name: Annotated[str | None, typer.Option(help="Which publication, where several are unsure.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell vidd what became of an unsure publication, after a look at the other side."""
    if (published is None) is not again:
        raise typer.BadParameter("give either --published URL or --again")
    body = {"published": published, "again": again, "name": name}
    print_job(daemon.post(f"/api/jobs/{quote_id(job)}/resolve", body), as_json=as_json)


@with_daemon
def resend(
    daemon: DaemonOptions,
    job: JobArgument,
    *,
    notice: Annotated[
        list[str] | None, typer.Option(help="Which notice; may be repeated. Without it, the mails.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a published job's mails, or other notices, once more."""
    print_job(daemon.post(f"/api/jobs/{quote_id(job)}/resend", {"names": notice or []}), as_json=as_json)


@with_daemon
def reject(
    daemon: DaemonOptions,
    job: JobArgument,
    *,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")],
    as_json: JsonOption = False,
) -> None:
    """Stop a held job and keep the reason."""
    print_job(daemon.post(f"/api/jobs/{quote_id(job)}/reject", {"reason": reason}), as_json=as_json)


@with_daemon
def priority(
    daemon: DaemonOptions,
    job: JobArgument,
    value: Annotated[
        int, typer.Argument(min=-1000, max=1000, help="The highest starts first; below 0 the job makes room.")
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Say which job starts first: give one that has not started another priority."""
    print_job(daemon.post(f"/api/jobs/{quote_id(job)}/priority", {"priority": value}), as_json=as_json)


def _queue_command(verb: str, sentence: str, done: str) -> Callable[..., None]:
    def command(daemon: DaemonOptions, *, as_json: JsonOption = False) -> None:
        found = daemon.post(f"/api/{verb}")
        if as_json:
            print_json(found)
        else:
            print_text(done)

    command.__name__, command.__doc__ = verb, sentence
    return with_daemon(command)


pause = _queue_command(
    "pause",
    "Finish what runs and start nothing new, also after a restart.",
    "vidd is paused: what runs goes on, and nothing new starts until vidd resume.",
)
resume = _queue_command("resume", "Start jobs again.", "vidd starts jobs again.")

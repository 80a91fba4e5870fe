"""Commands that have a running daemon act: the same words as its API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from vidd.cli.common import JsonOption, say, say_job, say_json
from vidd.cli.daemon_option import JobArgument, Whom, asks_daemon, of


def _act(verb: str, sentence: str) -> Callable[..., None]:
    def command(whom: Whom, job: JobArgument, *, as_json: JsonOption = False) -> None:
        say_job(whom.post(f"/api/jobs/{of(job)}/{verb}"), as_json=as_json)

    command.__name__, command.__doc__ = verb, sentence
    return asks_daemon(command)


cancel = _act("cancel", "Stop a job; what runs for it is ended.")
retract = _act("retract", "Take back what is out: each publisher does it by what it stored.")
approve = _act("approve", "Let a held job go out.")


@asks_daemon
def resolve(
    whom: Whom,
    job: JobArgument,
    *,
    published: Annotated[
        str | None, typer.Option("--published", metavar="URL", help="It arrived, and is there.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="It did not arrive: send it again.")] = False,
    name: Annotated[str | None, typer.Option(help="Which publication, where several are unsure.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what became of an unsure publication, after a look at the other side."""
    if (published is None) is not again:
        raise typer.BadParameter("say either --published URL or --again")
    body = {"published": published, "again": again, "name": name}
    say_job(whom.post(f"/api/jobs/{of(job)}/resolve", body), as_json=as_json)


@asks_daemon
def resend(
    whom: Whom,
    job: JobArgument,
    *,
    notice: Annotated[
        list[str] | None, typer.Option(help="Which notice; may be repeated. Without it, the mails.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a published job's mails, or other notices, once more."""
    say_job(whom.post(f"/api/jobs/{of(job)}/resend", {"names": notice or []}), as_json=as_json)


@asks_daemon
def reject(
    whom: Whom,
    job: JobArgument,
    *,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")],
    as_json: JsonOption = False,
) -> None:
    """Stop a held job and keep the reason."""
    say_job(whom.post(f"/api/jobs/{of(job)}/reject", {"reason": reason}), as_json=as_json)


def _switch(verb: str, sentence: str, done: str) -> Callable[..., None]:
    def command(whom: Whom, *, as_json: JsonOption = False) -> None:
        found = whom.post(f"/api/{verb}")
        if as_json:
            say_json(found)
        else:
            say(done)

    command.__name__, command.__doc__ = verb, sentence
    return asks_daemon(command)


pause = _switch(
    "pause",
    "Finish what runs, start nothing; kept across restarts.",
    "Paused: what runs goes on, nothing new starts until vidd resume.",
)
resume = _switch("resume", "Start jobs again.", "Jobs start again.")

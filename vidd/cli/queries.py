"""Commands that ask a running daemon: the same words as its API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vidd.cli.common import JsonOption, say, say_job, say_json
from vidd.cli.daemon_option import JobArgument, Whom, asks_daemon, of
from vidd.cli.render import job_line, job_page
from vidd.settings.types import time_in_file


@asks_daemon
def jobs(
    whom: Whom,
    *,
    state: Annotated[str | None, typer.Option("--state", help="Only jobs in this state, such as refused.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only jobs of this pipeline.")] = None,
    talk: Annotated[str | None, typer.Option(help="Only jobs of this talk.")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=1000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    found = whom.get("/api/jobs", state=state, pipeline=pipeline, talk=talk, limit=limit)
    if as_json:
        say_json(found)
        return
    for job in found["jobs"]:
        say(job_line(job))
    if not found["jobs"]:
        say("There are no such jobs.")


@asks_daemon
def show(whom: Whom, job: JobArgument, *, as_json: JsonOption = False) -> None:
    """Show one job: steps, publications, receipts, history."""
    found = whom.get(f"/api/jobs/{of(job)}")
    if as_json:
        say_json(found)
    else:
        say(job_page(found))


@asks_daemon
def log(
    whom: Whom,
    job: JobArgument,
    *,
    most: Annotated[int, typer.Option("--bytes", help="At most so much, the last of it.", min=1, max=1 << 24)] = 65536,
    as_json: JsonOption = False,
) -> None:
    """Show what the programs of a job's command steps said."""
    found = whom.get(f"/api/jobs/{of(job)}/log", bytes=most)
    if as_json:
        say_json(found)
    else:
        say(found["text"].rstrip("\n") or "No program of this job's has said anything, or it is too long ago.")


@asks_daemon
def explain(whom: Whom, job: JobArgument, *, as_json: JsonOption = False) -> None:
    """Say what a job waits for, why, since when, and who can unblock it."""
    found = whom.get(f"/api/jobs/{of(job)}/explain")
    if as_json:
        say_json(found)
    else:
        say(found["sentence"])


@asks_daemon
def submit(
    whom: Whom,
    what: Annotated[str, typer.Argument(help="A file, s3://bucket/key, pcloud:<file id> or https://….")],
    *,
    pipeline: Annotated[str | None, typer.Option(help="Which pipeline; needed where there are several.")] = None,
    talk: Annotated[str | None, typer.Option(help="The talk's id, where the name does not say it.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Where the talk starts in the recording: 1:02:30, 90 or 1m30s.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Where it ends.")] = None,
    account: Annotated[str | None, typer.Option(help="The account to fetch with.")] = None,
    priority: Annotated[int, typer.Option(help="More is more urgent.")] = 0,
    key: Annotated[str | None, typer.Option(help="An idempotency key of your own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hand in a recording. The same one again is the same job."""
    facts: dict[str, Any] = {"talk": talk, "account": account}
    try:
        facts |= {name: time_in_file(text) if text else None for name, text in (("start", start), ("end", end))}
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    location = what if "://" in what or what.startswith("pcloud:") else str(Path(what).absolute())
    body = {
        "location": location,
        "pipeline": pipeline,
        "priority": priority,
        "facts": {name: value for name, value in facts.items() if value is not None},
    }
    say_job(whom.post("/api/jobs", body, key=key), as_json=as_json)


@asks_daemon
def health(whom: Whom, *, as_json: JsonOption = False) -> None:
    """Say how the daemon is; exit 1 where it is not well."""
    found = whom.get("/health")
    if as_json:
        say_json(found)
    else:
        say("\n".join([*(found["reasons"] or ["All is well."]), *_asides(found)]))
    if not found["ok"]:
        raise typer.Exit(1)


def _asides(found: Any) -> list[str]:
    """What is no fault of the daemon's, but waits for a person."""
    states = {state: found["jobs"].get(state) for state in ("refused", "unsure", "held")}
    waiting = [f"{count} {state}: vidd jobs --state {state}" for state, count in states.items() if count]
    if found["incomplete"]:
        waiting.append(
            f"{found['incomplete']} published, but not all told or changed: "
            "vidd retry --state published says why, and tries it again"
        )
    notes = [watcher["note"] for watcher in found["watchers"].values() if watcher.get("note")]
    return [*(["It is paused: vidd resume starts jobs again."] if found["paused"] else []), *waiting, *notes]

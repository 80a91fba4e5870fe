"""Commands that query a running daemon: jobs, show, log, explain, page, health; and `vidd submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vidd.cli.api_client import DaemonClient
from vidd.cli.common import JsonOption, print_job, print_json, print_text
from vidd.cli.daemon_option import DaemonOptions, JobArgument, quote_id, with_daemon
from vidd.cli.render import job_line, job_page
from vidd.settings.types import time_in_file


@with_daemon
def jobs(
    daemon: DaemonOptions,
    *,
    state: Annotated[str | None, typer.Option("--state", help="Only jobs in this state, such as refused.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only jobs of this pipeline.")] = None,
    talk: Annotated[str | None, typer.Option(help="Only jobs of this talk.")] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Only jobs with these words in the name, the title, the speakers, the stage or the id."),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    query = {"state": state, "pipeline": pipeline, "talk": talk, "text": text}

    async def work(client: DaemonClient) -> list[Any]:
        found: list[Any] = []
        while len(found) < limit:
            after = found[-1]["id"] if found else None
            page = await client.get("/api/jobs", **query, after=after, limit=min(1000, limit - len(found)))
            found += page["jobs"]
            if page["next"] is None:
                break
        return found

    found = daemon.call(work)
    if as_json:
        print_json({"jobs": found, "limit": limit})
        return
    for job in found:
        eta = f"done by {job['eta']}" if job["eta"] else None
        print_text("  ".join(text for text in (job_line(job), eta, job["title"]) if text))
    if not found:
        print_text("There are no such jobs.")


@with_daemon
def show(daemon: DaemonOptions, job: JobArgument, *, as_json: JsonOption = False) -> None:
    """Show one job: steps, publications, receipts, history."""
    found = daemon.get(f"/api/jobs/{quote_id(job)}")
    if as_json:
        print_json(found)
    else:
        print_text(job_page(found))


@with_daemon
def log(
    daemon: DaemonOptions,
    job: JobArgument,
    *,
    most: Annotated[int, typer.Option("--bytes", help="The last so many bytes.", min=1, max=1 << 24)] = 65536,
    as_json: JsonOption = False,
) -> None:
    """Show the output of the programs that a job's command steps ran."""
    found = daemon.get(f"/api/jobs/{quote_id(job)}/log", bytes=most)
    if as_json:
        print_json(found)
    else:
        print_text(
            found["text"].rstrip("\n")
            or "The log is empty: no program of this job has printed anything, or its log was removed."
        )


@with_daemon
def explain(daemon: DaemonOptions, job: JobArgument, *, as_json: JsonOption = False) -> None:
    """Explain what a job waits for, why, since when, and who can unblock it."""
    found = daemon.get(f"/api/jobs/{quote_id(job)}/explain")
    if as_json:
        print_json(found)
    else:
        print_text(found["sentence"])


@with_daemon
def submit(
    daemon: DaemonOptions,
    what: Annotated[str, typer.Argument(help="A file, s3://bucket/key, pcloud:<file id> or https://….")],
    *,
    pipeline: Annotated[str | None, typer.Option(help="Which pipeline; needed where there are several.")] = None,
    talk: Annotated[str | None, typer.Option(help="The talk's id, where the name does not say it.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Where the talk starts in the recording: 1:02:30, 90 or 1m30s.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Where it ends.")] = None,
    account: Annotated[str | None, typer.Option(help="The account to fetch with.")] = None,
    priority: Annotated[int, typer.Option(help="The highest is worked on first.")] = 0,
    key: Annotated[str | None, typer.Option(help="An idempotency key of your own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hand in a recording. The same one again is the same job; with another talk or other times it is another.

    Where the job was refused, the same command with the right options takes its place.
    """
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
    print_job(daemon.post("/api/jobs", body, key=key), as_json=as_json)


@with_daemon
def page(daemon: DaemonOptions, *, as_json: JsonOption = False) -> None:
    """Print a link that signs you in on the page; it works once, within five minutes."""
    found = daemon.post("/api/sign-in-links")
    link = (daemon.url or found["origin"]).rstrip("/") + found["path"]
    if as_json:
        print_json({"url": link, "until": found["until"]})
    else:
        print_text(link)


@with_daemon
def health(daemon: DaemonOptions, *, as_json: JsonOption = False) -> None:
    """Show the daemon's health; exit 1 where something is wrong."""
    found = daemon.get("/health")
    if as_json:
        print_json(found)
    else:
        print_text("\n".join([*(found["reasons"] or ["All is well."]), *_remarks(found)]))
    if not found["ok"]:
        raise typer.Exit(1)


def _remarks(found: Any) -> list[str]:
    """What is no fault of the daemon, but waits for a person."""
    states = {state: found["jobs"].get(state) for state in ("refused", "unsure", "held")}
    waiting = [f"{count} {state}: vidd jobs --state {state}" for state, count in states.items() if count]
    if found["incomplete"]:
        waiting.append(
            f"{found['incomplete']} published, but a notice or a change did not go out: "
            "vidd retry --state published says why, and retries it"
        )
    notes = [watcher["note"] for watcher in found["watchers"].values() if watcher.get("note")]
    return [*(["vidd is paused: vidd resume starts jobs again."] if found["paused"] else []), *waiting, *notes]

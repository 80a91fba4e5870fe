"""`vidd retry`: retries a job, several, or all jobs in a state, as after an outage."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from vidd.cli.common import JsonOption, print_job, print_json, print_text
from vidd.cli.daemon_option import DaemonOptions, quote_id, with_daemon
from vidd.cli.render import job_line
from vidd.display_text import printable

_MAX_JOBS = 1000
_BATCH = 50
_MAX_REASONS = 5


@with_daemon
def retry(
    daemon: DaemonOptions,
    jobs: Annotated[list[str] | None, typer.Argument(help="The jobs' ids, or the ends of them.")] = None,
    *,
    state: Annotated[
        str | None, typer.Option("--state", help="All jobs in this state instead, such as refused.")
    ] = None,
    pipeline: Annotated[str | None, typer.Option(help="With --state: only jobs of this pipeline.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --state: do not ask.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh-settings", help="Use the present settings, not those of its admission.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Where another job has published the talk, replace its publications; for one job."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Retry jobs; of published ones what did not go out."""
    wanted = jobs or []
    if bool(wanted) is (state is not None):
        raise typer.BadParameter("name the jobs, or give --state")
    if pipeline is not None and state is None:
        raise typer.BadParameter("--pipeline goes with --state")
    if replace and len(wanted) != 1:
        raise typer.BadParameter("--replace goes with one job")
    if len(wanted) == 1:
        body = {"fresh_settings": fresh, "replace": replace}
        print_job(daemon.post(f"/api/jobs/{quote_id(wanted[0])}/retry", body), as_json=as_json)
        return
    if state is not None:
        wanted = _select(daemon, state, pipeline, yes=yes)
    _retry_all(daemon, wanted, fresh=fresh, as_json=as_json)


def _select(daemon: DaemonOptions, state: str, pipeline: str | None, *, yes: bool) -> list[str]:
    """The ids of all jobs in a state, oldest first; a person confirms after seeing how many there are, and why."""
    listed = daemon.get("/api/jobs", state=state, pipeline=pipeline, limit=_MAX_JOBS)["jobs"]
    # A published job has something to retry only where it has a reason.
    found = [job for job in listed if job["state"] != "published" or job["reason"]]
    if found and not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("there is no terminal to ask at: give --yes")
        for reason, count in Counter(job["reason"] for job in found).most_common(_MAX_REASONS):
            print_text(f"{count:>5} x {reason or 'without a reason'}")
        which = "the newest " if len(listed) == _MAX_JOBS else ""
        typer.confirm(f"Retry {which}{len(found)} jobs that are {state}?", abort=True)
    return [job["id"] for job in reversed(found)]


def _retry_all(daemon: DaemonOptions, wanted: Sequence[str], *, fresh: bool, as_json: bool) -> None:
    retried: list[Any] = []
    refusals: list[Any] = []
    for first in range(0, len(wanted), _BATCH):
        batch = list(wanted[first : first + _BATCH])
        answer = daemon.post("/api/retry", {"jobs": batch, "fresh_settings": fresh})
        retried += answer["retried"]
        refusals += answer["not_retried"]
        for job in () if as_json else answer["retried"]:
            print_text(job_line(job))
    if as_json:
        print_json({"retried": retried, "not_retried": refusals})
    elif not wanted:
        print_text("There are no such jobs.")
    else:
        print_text(f"vidd retries {len(retried)} of {len(wanted)} jobs.")
        for refusal in refusals:
            typer.echo(f"vidd: {refusal['job']}: {printable(refusal['why'], 300)}", err=True)
    if refusals:
        raise typer.Exit(1)

"""`vidd retry`: one job, several, or all that an outage left behind."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from vidd.cli.common import JsonOption, say, say_job, say_json
from vidd.cli.daemon_option import Whom, asks_daemon, of
from vidd.cli.render import job_line
from vidd.display_text import printable

_MOST = 1000
_AT_ONCE = 50
_REASONS = 5


@asks_daemon
def retry(
    whom: Whom,
    jobs: Annotated[list[str] | None, typer.Argument(help="The jobs' ids, or the ends of them.")] = None,
    *,
    state: Annotated[
        str | None, typer.Option("--state", help="All jobs in this state instead, such as refused.")
    ] = None,
    pipeline: Annotated[str | None, typer.Option(help="With --state: only jobs of this pipeline.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --state: do not ask.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh-settings", help="With the present settings, not those of its admission.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Where another job has brought the talk out, take its place; of one job.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take jobs up again; of published ones what did not go out."""
    wanted = jobs or []
    if bool(wanted) is (state is not None):
        raise typer.BadParameter("name the jobs, or say --state")
    if pipeline is not None and state is None:
        raise typer.BadParameter("--pipeline goes with --state")
    if replace and len(wanted) != 1:
        raise typer.BadParameter("--replace goes with one job")
    if len(wanted) == 1:
        asked = {"fresh_settings": fresh, "replace": replace}
        say_job(whom.post(f"/api/jobs/{of(wanted[0])}/retry", asked), as_json=as_json)
        return
    if state is not None:
        wanted = _meant(whom, state, pipeline, yes=yes)
    _several(whom, wanted, fresh=fresh, as_json=as_json)


def _meant(whom: Whom, state: str, pipeline: str | None, *, yes: bool) -> list[str]:
    """The ids of all jobs in a state, oldest first, once a person has seen how many they are, and why."""
    listed = whom.get("/api/jobs", state=state, pipeline=pipeline, limit=_MOST)["jobs"]
    # Of what is published only that has something to make good of which it says so.
    found = [job for job in listed if job["state"] != "published" or job["reason"]]
    if found and not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("nobody can be asked here: say --yes")
        for reason, count in Counter(job["reason"] for job in found).most_common(_REASONS):
            say(f"{count:>5} x {reason or 'without a reason'}")
        which = "the newest " if len(listed) == _MOST else ""
        typer.confirm(f"Retry {which}{len(found)} jobs that are {state}?", abort=True)
    return [job["id"] for job in reversed(found)]


def _several(whom: Whom, wanted: Sequence[str], *, fresh: bool, as_json: bool) -> None:
    retried: list[Any] = []
    left: list[Any] = []
    for first in range(0, len(wanted), _AT_ONCE):
        some = list(wanted[first : first + _AT_ONCE])
        answer = whom.post("/api/retry", {"jobs": some, "fresh_settings": fresh})
        retried += answer["retried"]
        left += answer["not_retried"]
        for job in () if as_json else answer["retried"]:
            say(job_line(job))
    if as_json:
        say_json({"retried": retried, "not_retried": left})
    elif not wanted:
        say("There are no such jobs.")
    else:
        say(f"{len(retried)} of {len(wanted)} jobs were taken up again.")
        for one in left:
            typer.echo(f"vidd: {one['job']}: {printable(one['why'], 300)}", err=True)
    if left:
        raise typer.Exit(1)

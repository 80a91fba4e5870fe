"""`vidd follow`: progress bars on a terminal, plain lines or JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from vidd.cli.api_client import DaemonClient
from vidd.cli.common import JsonOption, print_json, print_text, run_to_end
from vidd.cli.daemon_option import DaemonOptions, quote_id, with_daemon
from vidd.cli.render import clock, job_line
from vidd.errors import RetryLater

RESTING = frozenset({"published", "refused", "unsure", "excluded", "cancelled", "held"})


class View(Protocol):
    """Shows the daemon's events."""

    def show(self, name: str, data: Any) -> None:
        """Show an event."""


class Lines:
    """A line for each new state, and for each tenth of a part's progress."""

    def __init__(self, out: Callable[[str], None] = print_text) -> None:
        self._out = out
        self._tenths: dict[tuple[str, str], int] = {}

    def show(self, name: str, data: Any) -> None:
        if name == "job":
            self._out(job_line({**data["job"], "progress": ()}))
        elif name == "progress" and data["fraction"] is not None:
            part, tenth = (data["job"], data["part"]), int(data["fraction"] * 10)
            if tenth > self._tenths.get(part, -1):
                self._tenths[part] = tenth
                self._out(f"{data['job']}  {data['part']} {data['fraction']:.0%}")


class JsonLines:
    """Every event as a line of JSON."""

    def show(self, name: str, data: Any) -> None:
        print_json({"event": name, **data})


class Bars:
    """A bar for each part that runs, with percent, speed and remaining time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._names: dict[str, str] = {}

    def show(self, name: str, data: Any) -> None:
        if name == "job":
            self._names[data["job"]["id"]] = data["job"]["name"]
            self._progress.console.print(job_line({**data["job"], "progress": ()}), markup=False, highlight=False)
            if data["job"]["state"] not in {"working", "publishing"}:
                self._drop(data["job"]["id"])
        elif name == "step" and data["fate"] is not None:
            self._drop(data["job"], data["step"])
        elif name == "publication" and data["state"] == "done":
            self._drop(data["job"], data["name"])
        elif name == "progress":
            self._draw(data)

    def _draw(self, data: Any) -> None:
        part = (data["job"], data["part"])
        if part not in self._tasks:
            title = f"{data['part']:<9} {self._names.get(data['job'], data['job'])[:40]}"
            self._tasks[part] = self._progress.add_task(title, total=data["total"], speed="", left="")
        speed, total = data["speed"], data["total"]
        speed_text = "" if not speed else f"{speed:.1f}x" if data["unit"] == "s" else f"{speed / 1e6:.0f} MB/s"
        left = clock((total - data["done"]) / speed) if speed and total else ""
        self._progress.update(self._tasks[part], completed=data["done"], total=total, speed=speed_text, left=left)

    def _drop(self, job: str, part: str | None = None) -> None:
        for key in [key for key in self._tasks if key[0] == job and part in (None, key[1])]:
            self._progress.remove_task(self._tasks.pop(key))


@contextmanager
def _bars(console: Console) -> Any:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)


def choose_view(*, as_json: bool) -> AbstractContextManager[View]:
    """Bars on a terminal, lines elsewhere, JSON where asked for."""
    if as_json:
        return nullcontext(JsonLines())
    if sys.stdout.isatty():
        return _bars(Console())
    return nullcontext(Lines())


async def follow_events(daemon: DaemonClient, view: View, job: str | None = None) -> AsyncIterator[tuple[str, Any]]:
    """Show the daemon's events (of one job) and yield all of them; connects again where the connection broke."""
    last: str | None = None
    while True:
        try:
            async for event in daemon.events(last):
                last = event.id or last
                about = event.data.get("job") if isinstance(event.data, dict) else None
                about = about["id"] if isinstance(about, dict) else about
                if job is None or about == job:
                    view.show(event.name, event.data)
                yield event.name, event.data
        except RetryLater:
            continue
        return


async def follow_job(daemon: DaemonClient, view: View, job_id: str) -> dict[str, Any]:
    """Show a job until it comes to a state in RESTING; returns it as it then is."""
    found: dict[str, Any] = await daemon.get(f"/api/jobs/{quote_id(job_id)}")
    view.show("job", {"job": found})
    if found["state"] not in RESTING:
        async for name, data in follow_events(daemon, view, found["id"]):
            moved = name == "job" and data["job"]["id"] == found["id"] and data["job"]["state"] in RESTING
            # From the hello event on nothing is missed, and what happened before it is in the store by now.
            if name in {"hello", "reset"} or moved:
                found = await daemon.get(f"/api/jobs/{quote_id(job_id)}")
                if found["state"] in RESTING:
                    break
    return found


@with_daemon
def follow(
    daemon: DaemonOptions,
    job: Annotated[str | None, typer.Argument(help="Follow this job until it rests; without it, all jobs.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Watch jobs live. With a job: exit 0 when it is published, 1 when it rests elsewhere."""

    async def work() -> dict[str, Any] | None:
        async with daemon.client() as client:
            with choose_view(as_json=as_json) as view:
                if job is not None:
                    return await follow_job(client, view, job)
                async for _ in follow_events(client, view):
                    pass
        return None

    found = run_to_end(work())
    if found is not None and found["state"] != "published":
        raise typer.Exit(1)

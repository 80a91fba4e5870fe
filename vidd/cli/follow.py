"""`vidd follow`: bars where a person looks, plain lines where a program reads."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from vidd.cli.api_client import DaemonClient
from vidd.cli.common import JsonOption, finish, say, say_json
from vidd.cli.daemon_option import Whom, asks_daemon, of
from vidd.cli.render import clock, job_line
from vidd.errors import RetryLater

RESTING = frozenset({"published", "refused", "unsure", "excluded", "cancelled", "held"})


class View(Protocol):
    """Something that shows what is told."""

    def tell(self, name: str, data: Any) -> None:
        """Show one event of the daemon."""


class Lines:
    """A line for each state, and for each tenth of a part's way."""

    def __init__(self, out: Callable[[str], None] = say) -> None:
        self._out = out
        self._tenths: dict[tuple[str, str], int] = {}

    def tell(self, name: str, data: Any) -> None:
        if name == "job":
            self._out(job_line({**data["job"], "progress": ()}))
        elif name == "progress" and data["fraction"] is not None:
            part, tenth = (data["job"], data["part"]), int(data["fraction"] * 10)
            if tenth > self._tenths.get(part, -1):
                self._tenths[part] = tenth
                self._out(f"{data['job']}  {data['part']} {data['fraction']:.0%}")


class JsonLines:
    """Every event as a line of JSON."""

    def tell(self, name: str, data: Any) -> None:
        say_json({"event": name, **data})


class Bars:
    """One bar for each part that runs, with percent, speed and what is left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._names: dict[str, str] = {}

    def tell(self, name: str, data: Any) -> None:
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
        words = "" if not speed else f"{speed:.1f}x" if data["unit"] == "s" else f"{speed / 1e6:.0f} MB/s"
        left = clock((total - data["done"]) / speed) if speed and total else ""
        self._progress.update(self._tasks[part], completed=data["done"], total=total, speed=words, left=left)

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


@contextmanager
def _plain(view: View) -> Any:
    yield view


def view_of(*, as_json: bool) -> AbstractContextManager[View]:
    """The view that fits whoever reads."""
    if as_json:
        return _plain(JsonLines())
    if sys.stdout.isatty():
        return _bars(Console())
    return _plain(Lines())


async def told(daemon: DaemonClient, view: View, job: str | None = None) -> AsyncIterator[tuple[str, Any]]:
    """Everything the daemon tells (of one job), shown and handed on; starts again where the connection fell."""
    last: str | None = None
    while True:
        try:
            async for event in daemon.events(last):
                last = event.id or last
                about = event.data.get("job") if isinstance(event.data, dict) else None
                about = about["id"] if isinstance(about, dict) else about
                if job is None or about == job:
                    view.tell(event.name, event.data)
                yield event.name, event.data
        except RetryLater:
            continue
        return


async def follow_one(daemon: DaemonClient, view: View, job_id: str) -> dict[str, Any]:
    """Show a job until it rests; returns it as it then is."""
    found: dict[str, Any] = await daemon.get(f"/api/jobs/{of(job_id)}")
    view.tell("job", {"job": found})
    if found["state"] not in RESTING:
        async for name, data in told(daemon, view, found["id"]):
            moved = name == "job" and data["job"]["id"] == found["id"] and data["job"]["state"] in RESTING
            # After the greeting nothing is missed: what happened before it is in the store by now.
            if name in {"hello", "reset"} or moved:
                found = await daemon.get(f"/api/jobs/{of(job_id)}")
                if found["state"] in RESTING:
                    break
    return found


@asks_daemon
def follow(
    whom: Whom,
    job: Annotated[str | None, typer.Argument(help="One job, until it rests; all of them without.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Watch jobs live. With a job: exit 0 when it is published, 1 when it rests elsewhere."""

    async def work() -> dict[str, Any] | None:
        async with whom.client() as daemon:
            with view_of(as_json=as_json) as view:
                if job is not None:
                    return await follow_one(daemon, view, job)
                async for _ in told(daemon, view):
                    pass
        return None

    found = finish(work())
    if found is not None and found["state"] != "published":
        raise typer.Exit(1)

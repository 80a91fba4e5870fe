"""A CMS: how soon an upload is worked on, and what it costs to ask for all that is known already.

    python bench/cms.py [--quick] [--known 10000] [--uploads 100]

The CMS is the tests' own (strawberry), in a process of its own. Each upload is timed from the moment it is sent to the
CMS until the daemon says that the step after the fetch begins, with a free place. What is known is asked for with the
real journal and intake: once as after a restart, when nothing is in memory, and once as every few minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from common import cpu, daemon, free_port, rss, table

from vidd.engine.clock import SystemClock
from vidd.engine.intake import Intake
from vidd.engine.source_context import EngineSourceContext
from vidd.engine.supervisor import Watchers
from vidd.integrations.graphql_cms import source
from vidd.integrations.graphql_cms.account import Account
from vidd.ports import Encoder, Tools
from vidd.queues.local import LocalQueue
from vidd.stores.sqlite.store import SqliteStore

_PATIENCE = 120.0
_FILM = b"the film " * 7_000
Row = list[str]

_SETTINGS = """
[daemon]
state = "{state}"
listen = "127.0.0.1:{port}"
[limits]
disk_reserve = "64MiB"
[accounts.lab]
kind = "cms"
url = "{cms}"
[sources.uploads]
kind = "cms"
account = "lab"
pipeline = "cms"
recording = "{files}/{{{{ file_id }}}}"
[[pipelines.cms.steps]]
kind = "describe"
[[pipelines.cms.publish]]
kind = "folder"
path = "out"
name = "{{{{ name }}}}{{{{ suffix }}}}"
"""
_UPLOAD = "mutation ($number: Int!) { createVideoObject(number: $number) { id } }"


@contextmanager
def cms(shelf: Path) -> Iterator[str]:
    """The CMS's address."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "tests")}
    child = subprocess.Popen([sys.executable, "-m", "peers.cms", str(port), str(shelf)], env=environment)
    try:
        yield f"http://127.0.0.1:{port}/api/graphql"
    finally:
        child.terminate()
        child.wait()


def fill(shelf: Path, number: int) -> None:
    """So many videos that were uploaded long ago."""
    videos = (
        {
            "id": f"old{index:06}",
            "pCloudAnnotationsFolderId": "1",
            "pCloudFileId": str(index),
            "uploadedAt": f"2025-01-01T{index // 3600 % 24:02}:{index // 60 % 60:02}:{index % 60:02}.000Z",
            "title": f"Video {index}",
        }
        for index in range(number)
    )
    shelf.write_text("".join(json.dumps(video) + "\n" for video in videos))


async def ask(web_: aiohttp.ClientSession, url: str, query: str, **variables: Any) -> Any:
    async with web_.post(url, json={"query": query, "variables": variables}) as answer:
        return (await answer.json())["data"]


async def until_it_answers(url: str) -> None:
    async with asyncio.timeout(_PATIENCE), aiohttp.ClientSession() as session:
        while True:
            try:
                await ask(session, url, "{ __typename }")
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
            else:
                return


class CountingSourceContext(EngineSourceContext):
    """The daemon's, which also says when a look is over."""

    looked = asyncio.Event()
    admitted = 0

    async def admit(self, arrivals: Any) -> int:
        new = await super().admit(arrivals)
        self.admitted += new
        return new

    def caught_up(self) -> None:
        super().caught_up()
        self.looked.set()


async def look(place: Path, url: str, *, again: bool = False) -> tuple[float, int]:
    """Seconds of a look with the journal of this place, and how many were new; `again`: of the second look."""
    store = SqliteStore(place / "journal.sqlite")
    await store.open()
    clock = SystemClock()
    watchers = Watchers(clock, lambda _event: None)
    watchers.add("uploads", "cms")
    settings = {"programme": None, "steps": [{"name": "fetch", "kind": "fetch", "options": {}}] * 3}
    intake = Intake(store, LocalQueue(), {"cms": settings}, clock, lambda _event: None)
    tools = Tools(place, Encoder(Path("ffmpeg")), clock, {"lab": Account(url=url)}, memory=store)
    context = CountingSourceContext(
        "uploads",
        "cms",
        tools=tools,
        store=store,
        intake=intake,
        watchers=watchers,
        programme_read=lambda _name: None,
        observers=[],
    )
    context.looked = asyncio.Event()
    task = asyncio.create_task(source.watch(source.Options(account="lab", subscription=""), context))
    begun = time.perf_counter()
    async with asyncio.timeout(_PATIENCE):
        await context.looked.wait()
        if again:
            context.looked.clear()
            begun = time.perf_counter()
            context.look()
            await context.looked.wait()
    seconds = time.perf_counter() - begun
    task.cancel()
    await asyncio.wait([task])
    await store.close()
    return seconds, context.admitted


async def catch_up(place: Path, url: str, known: int) -> list[Row]:
    """The first look, and those that find nothing new."""
    await until_it_answers(url)
    first, new = await look(place, url)
    second, none = await look(place, url)
    third, _ = await look(place, url, again=True)
    if (new, none) != (known, 0):
        raise SystemExit(f"{new} were new at the first look and {none} at the second")
    return [
        [f"first look at {known} objects, all of them new", f"{first:.2f} s", ""],
        ["catch-up after a restart, all of them known", f"{second:.2f} s", "≤ 5 s"],
        ["  jobs that it made", f"{none}", "0"],
        ["catch-up after some minutes", f"{third:.2f} s", ""],
    ]


@asynccontextmanager
async def files() -> AsyncIterator[str]:
    """Where every file is."""

    async def give(_request: web.Request) -> web.Response:
        return web.Response(body=_FILM)

    app = web.Application()
    app.router.add_get("/{id}", give)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def listen(address: str, began: dict[str, float], wanted: int, ready: asyncio.Event) -> None:
    """When the step after the fetch begins, by the job's name."""
    names: dict[str, str] = {}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.get(f"{address}/api/events") as events,
    ):
        event = ""
        async for raw in events.content:
            line = raw.decode().strip()
            ready.set()
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                if event == "job":
                    names[data["job"]["id"]] = data["job"]["name"]
                elif event == "step" and data["kind"] == "describe" and data["fate"] is None:
                    began[names[data["job"]].removesuffix(".mp4")] = time.perf_counter()
            if len(began) == wanted:
                return


async def up(session: aiohttp.ClientSession, address: str) -> None:
    """Once the daemon listens to the CMS."""
    for _ in range(int(_PATIENCE / 0.05)):
        async with session.get(f"{address}/health") as answer:
            if (await answer.json())["watchers"]["uploads"]["up"]:
                return
        await asyncio.sleep(0.05)
    raise SystemExit("the daemon does not hear the CMS")


async def upload(place: Path, url: str, uploads: int) -> list[Row]:
    """Uploads one after another, a tenth of a second apart."""
    await until_it_answers(url)
    sent: dict[str, float] = {}
    began: dict[str, float] = {}
    async with files() as address:
        config = place / "vidd.toml"
        config.write_text(_SETTINGS.format(state=place / "state", port=free_port(), cms=url, files=address))
        with daemon(config) as started:
            ready = asyncio.Event()
            listening = asyncio.create_task(listen(started.address, began, uploads, ready))
            async with asyncio.timeout(_PATIENCE + uploads), aiohttp.ClientSession() as session:
                await ready.wait()
                await up(session, started.address)
                used = cpu(started.pid)
                for number in range(uploads):
                    moment = time.perf_counter()
                    video = (await ask(session, url, _UPLOAD, number=number))["createVideoObject"]
                    sent[video["id"]] = moment
                    await asyncio.sleep(0.1)
                await listening
            used = cpu(started.pid) - used
            memory = rss(started.pid)
    waits = sorted((began[name] - sent[name]) * 1000 for name in sent)
    points = statistics.quantiles(waits, n=100)
    return [
        [f"upload to the step after the fetch, p50 of {uploads}", f"{points[49]:.0f} ms", ""],
        ["  p95", f"{points[94]:.0f} ms", "≤ 1000 ms"],
        ["  CPU of the daemon for one", f"{used / uploads * 1000:.0f} ms", ""],
        ["RSS of the daemon", f"{memory:.0f} MB", ""],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1000 objects, 30 uploads")
    parser.add_argument("--known", type=int, default=10_000)
    parser.add_argument("--uploads", type=int, default=100)
    asked = parser.parse_args()
    known, uploads = (1000, 30) if asked.quick else (asked.known, asked.uploads)
    with tempfile.TemporaryDirectory(prefix="vidd-bench-") as name:
        place = Path(name)
        fill(place / "old.jsonl", known)
        with cms(place / "old.jsonl") as url:
            rows = asyncio.run(catch_up(place, url, known))
        with cms(place / "new.jsonl") as url:
            rows += asyncio.run(upload(place, url, uploads))
    table(f"A CMS with {known} objects", ["", "measured", "target"], rows)


if __name__ == "__main__":
    main()

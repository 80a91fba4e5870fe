"""Ten thousand jobs that wait: how fast they come in, how soon a restart is ready, what memory and `/health` they cost.

    python bench/queued.py [--quick] [--jobs 10000] [--drain 3000]

A real daemon with two folders: one with tiny empty files, whose jobs are refused as soon as they are looked at, and
one with two long recordings, which go first. The daemon is paused while the files come in and at its restart; then
it encodes the two recordings, two jobs at once as `[limits] jobs` says here, while all the others wait; then these go.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
from common import Started, cpu, daemon, free_port, make_clip, rss, settings, table

from vidd.engine.clock import SystemClock
from vidd.engine.intake import Intake
from vidd.model.job import Arrival
from vidd.queues.local import LocalQueue
from vidd.stores.sqlite.store import SqliteStore

_BATCH, _REQUESTS, _BREATH, _RESTARTS = 500, 500, 0.02, 5
_PATIENCE = 900.0
Row = list[str]


async def admit(place: Path, number: int) -> Row:
    """Batches as the folder hands them in, into a journal that syncs every commit."""
    store = SqliteStore(place / "intake.sqlite")
    settings_of_pipeline = {"programme": None, "steps": [{"name": "trim", "kind": "trim", "options": {}}] * 3}
    intake = Intake(store, LocalQueue(), {"talks": settings_of_pipeline}, SystemClock(), lambda _event: None)
    names = [f"clip-{index:05}.mp4" for index in range(number)]
    arrivals = [Arrival(f"file:/in/{name}", f"file:///in/{name}", name, {"size": 1}) for name in names]
    await store.open()
    begun = time.perf_counter()
    for start in range(0, number, _BATCH):
        await intake.admit("bench", "talks", arrivals[start : start + _BATCH])
    seconds = time.perf_counter() - begun
    await store.close()
    return ["Intake.admit, batches of 500, synchronous=FULL", f"{number / seconds:.0f} arrivals/s", "≥ 500"]


def _journal(place: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(place / "journal.sqlite")) as journal:
        return journal.execute(sql).fetchall()


def _until(what: str, true: Any, every: float = 0.02) -> float:
    """Seconds until it is so."""
    begun = time.perf_counter()
    while not true():
        if time.perf_counter() - begun > _PATIENCE:
            raise SystemExit(f"waited in vain: {what}")
        time.sleep(every)
    return time.perf_counter() - begun


async def _ask(place: Path, method: str, path: str) -> Any:
    connector = aiohttp.UnixConnector(str(place / "vidd.sock"))
    async with aiohttp.ClientSession(connector=connector) as web, web.request(method, f"http://vidd{path}") as answer:
        return json.loads(await answer.text())


def come_in(place: Path, config: Path, files: list[Path]) -> list[Row]:
    """Files that are put into the folder of a daemon that is paused; afterwards all of them are in the journal."""
    with daemon(config) as started:
        asyncio.run(_ask(place, "POST", "/api/pause"))
        _until("the first look", lambda: '"watcher up"' in started.log.read_text())
        empty = rss(started.pid)
        used, begun = cpu(started.pid), time.perf_counter()
        for file in files:
            os.link(file, place / "in" / file.name)
        put = time.perf_counter() - begun
        _until("intake", lambda: _journal(place, "SELECT count(*) FROM jobs")[0][0] == len(files), 0.1)
        seconds, used = time.perf_counter() - begun, cpu(started.pid) - used
        full = rss(started.pid)
    return [
        [f"folder of {len(files)} files put there in {put:.1f} s", f"{len(files) / seconds:.0f} arrivals/s", "≥ 500"],
        ["  CPU of the daemon for it", f"{used:.2f} s", ""],
        ["RSS with nothing queued", f"{empty:.0f} MB", ""],
        ["RSS after intake", f"{full:.0f} MB", "≤ 150 MB"],
    ]


def come_back(config: Path) -> Row:
    """How long starts take that find all of them."""
    seconds = []
    for _ in range(_RESTARTS):
        with daemon(config) as started:
            seconds.append(started.seconds)
    shown = " ".join(f"{duration:.2f}" for duration in seconds)
    return [f"restart to ready, median of {shown}", f"{statistics.median(seconds):.2f} s", "≤ 2 s"]


def after(started: Started, place: Path, files: int) -> list[Row]:
    """What a start is like that found all of them."""
    health = asyncio.run(_ask(place, "GET", "/health"))
    if health["queue"] != files or not health["paused"]:
        raise SystemExit(f"{health['queue']} of {files} jobs are queued after the restart")
    _until("the look after the restart", lambda: '"watcher up"' in started.log.read_text())
    return [
        ["  CPU until ready", f"{started.cpu:.2f} s", ""],
        ["RSS after the restart", f"{rss(started.pid):.0f} MB", "≤ 150 MB"],
    ]


_BARE = """
from aiohttp import web
async def answer(request):
    return web.json_response({"ok": True})
app = web.Application()
app.router.add_get("/health", answer)
web.run_app(app, host="127.0.0.1", port=%d, print=None)
"""


async def ask_health(started: Started, files: int) -> list[Row]:
    """Ask while two recordings are encoded, in turns with a bare aiohttp server that has nothing else to do."""
    port = free_port()
    took: dict[str, list[float]] = {"vidd": [], "bare": []}
    last: dict[str, str] = {}
    bare = await asyncio.create_subprocess_exec(sys.executable, "-c", _BARE % port)
    try:
        async with aiohttp.ClientSession() as web:
            await _answers(web, f"http://127.0.0.1:{port}/health")
            for _ in range(_REQUESTS):
                for name, address in (("vidd", started.address), ("bare", f"http://127.0.0.1:{port}")):
                    begun = time.perf_counter()
                    async with web.get(f"{address}/health") as answer:
                        text = await answer.text()
                    took[name].append((time.perf_counter() - begun) * 1000)
                    last[name] = text
                await asyncio.sleep(_BREATH)
    finally:
        bare.terminate()
        await bare.wait()
    if json.loads(last["vidd"])["queue"] < files or len(ffmpegs(started.pid)) < 2:
        raise SystemExit("the encodes ended before the last request: make the recordings longer")
    ours, floor = (statistics.quantiles(took[name], n=100) for name in ("vidd", "bare"))
    return [
        [f"/health p50 of {_REQUESTS}, two encodes and all of them queued", f"{ours[49]:.1f} ms", ""],
        ["/health p99", f"{ours[98]:.1f} ms", "≤ 50 ms"],
        ["  p50 and p99 of a bare aiohttp server meanwhile", f"{floor[49]:.1f} {floor[98]:.1f} ms", ""],
    ]


async def _answers(web: aiohttp.ClientSession, address: str) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                async with web.get(address):
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


def ffmpegs(pid: int) -> list[int]:
    """The children of a process that are ffmpeg by now."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if "ffmpeg" in Path(f"/proc/{child}/comm").read_text()]


def drain(started: Started, place: Path, number: int) -> list[Row]:
    """Jobs that do nothing, and the memory while they go."""
    done = "SELECT count(*) FROM jobs WHERE state = 'refused'"
    _until("the encodes", lambda: _journal(place, done)[0][0] > 0, 0.1)
    begun, used, seen = time.perf_counter(), cpu(started.pid), [rss(started.pid)]
    for part in range(1, 5):
        _until("the drain", lambda part=part: _journal(place, done)[0][0] >= number * part / 4, 0.1)
        seen.append(rss(started.pid))
    seconds, used = time.perf_counter() - begun, cpu(started.pid) - used
    most = rss(started.pid, "VmHWM")
    return [
        [f"{number} jobs drained (refused)", f"{number / seconds:.0f} jobs/s", ""],
        ["  CPU of the daemon for one", f"{used / number * 1000:.1f} ms", ""],
        ["RSS at 0, 25, 50, 75, 100 % of them", " ".join(f"{size:.0f}" for size in seen) + " MB", "flat"],
        ["RSS, most ever", f"{most:.0f} MB", "≤ 150 MB"],
    ]


def measure(place: Path, number: int, number_drained: int, seconds: float) -> list[Row]:
    rows = [asyncio.run(admit(place, number))]
    shelf = place / "shelf"
    shelf.mkdir()
    long_ago = time.time() - 3600
    files = [shelf / f"clip-{index:05}.mp4" for index in range(number)]
    for file in files:
        file.touch()
        os.utime(file, (long_ago, long_ago))
    state = place / "state"
    urgent = '[sources.urgent]\nkind = "folder"\npath = "urgent"\npipeline = "talks"\npriority = 9\n'
    config = settings(state, limits="jobs = 2\nencodes = 2")
    rows += come_in(state, config, files)
    rows.append(come_back(config))
    config.write_text(config.read_text() + urgent)
    with daemon(config) as started:
        rows += after(started, state, len(files))
        recording = shelf / f"Main_talk_000000_{round(seconds):06}.mp4"
        make_clip(recording, "1920x1080", seconds)
        for name in ("a", "b"):
            os.link(recording, state / "urgent" / f"{name}-{recording.name}")
        _until("the recordings", lambda: _journal(state, "SELECT count(*) FROM jobs")[0][0] == number + 2)
        asyncio.run(_ask(state, "POST", "/api/resume"))
        _until("the encodes", lambda: len(ffmpegs(started.pid)) == 2)
        rows += asyncio.run(ask_health(started, len(files)))
        rows += drain(started, state, number_drained)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1000 jobs, 300 of them drained, shorter recordings")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--drain", type=int, default=3_000)
    asked = parser.parse_args()
    number, drained, seconds = (1000, 300, 20.0) if asked.quick else (asked.jobs, asked.drain, 30.0)
    with tempfile.TemporaryDirectory(prefix="vidd-bench-") as name:
        rows = measure(Path(name), number, drained, seconds)
    table(f"{number} queued jobs", ["", "measured", "target"], rows)


if __name__ == "__main__":
    main()

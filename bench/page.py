"""What the page costs with many jobs: its first paint, how long a change takes to the screen, and the daemon's CPU with viewers.

    python bench/page.py [--jobs 5000] [--viewers 20] [--seconds 20] [--rounds 10] [--dir DIR]

The daemon is a real one over a journal of made-up jobs, paused, so that it works for nothing but the page. Chromium opens
`/` afresh in each round; a change is a priority set by the API, and it is on the screen once the page's text has it. CPU is the
daemon's over `seconds`, with one change a second, without viewers and with them; the share of a core is the difference.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import aiohttp
from common import cpu, daemon, settings, table
from peers.chromium import open_tab

from vidd.model.job import Job, State, new_id
from vidd.stores.sqlite.store import SqliteStore

TOKEN = "a-token-of-thirty-two-characters"
_CYCLE = [*[State.PUBLISHED] * 90, *[State.REFUSED] * 2, State.UNSURE, *[State.CANCELLED] * 3, *[State.READY] * 4]


async def fill(directory: Path, count: int) -> list[str]:
    """Put jobs into the journal; returns the ids of those that may start."""
    store, now, jobs = SqliteStore(directory / "journal.sqlite"), datetime.now(UTC), []
    await store.open()
    last = ""
    for number in range(count):
        created = now - timedelta(minutes=count - number)
        last = new_id(created, last)
        state = _CYCLE[number % len(_CYCLE)]
        reason = "The recording is shorter than the talk: correct its times." if state is State.REFUSED else None
        jobs.append(
            Job(
                id=last,
                key=last,
                pipeline="talks",
                source="recordings",
                location=f"file:///in/{number}.mp4",
                name=f"Main_t{number}_101500_110000.mp4",
                created=created,
                changed=created,
                state=state,
                reason=reason,
                settings={"steps": [], "publish": [], "notify": []},
            )
        )
    await store.admit(jobs)
    await store.set_flag("paused", now.isoformat())
    await store.close()
    return [job.id for job in jobs if job.state is State.READY]


async def set_priority(session: aiohttp.ClientSession, job: str, priority: int) -> None:
    async with session.post(f"/api/jobs/{job}/priority", json={"priority": priority}) as response:
        assert response.status == 200, await response.text()


@asynccontextmanager
async def viewers(session: aiohttp.ClientSession, count: int) -> AsyncIterator[list[int]]:
    """So many open pages that read what they are sent; yields how many bytes each was sent."""
    sent = [0] * count

    async def read(number: int) -> None:
        async with session.get("/live?view=/") as response:
            async for chunk in response.content.iter_any():
                sent[number] += len(chunk)

    tasks = [asyncio.create_task(read(number)) for number in range(count)]
    await asyncio.sleep(2)
    try:
        yield sent
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def spent(session: aiohttp.ClientSession, pid: int, job: str, seconds: int) -> float:
    """The daemon's share of a core over so many seconds with a change in each."""
    began, used = time.perf_counter(), cpu(pid)
    for second in range(seconds):
        await set_priority(session, job, second)
        await asyncio.sleep(max(0.0, began + second + 1 - time.perf_counter()))
    return (cpu(pid) - used) / (time.perf_counter() - began)


async def on_screen(session: aiohttp.ClientSession, url: str, job: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds to the first paint, and from a change to the screen."""
    paints, changes = [], []
    async with open_tab("about:blank") as tab:
        for number in range(rounds):
            await tab.call("Page.navigate", url=f"{url}/?round={number}")
            await asyncio.sleep(2)
            paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            paints.append(await tab.run(paint) / 1000)
            priority = 100 + number
            seen = asyncio.create_task(
                tab.until(f"document.getElementById('waiting').innerText.includes('priority {priority}')")
            )
            await asyncio.sleep(0.5)
            began = time.perf_counter()
            await set_priority(session, job, priority)
            await seen
            changes.append(time.perf_counter() - began)
    return paints, changes


async def measure(args: argparse.Namespace, directory: Path) -> list[list[str]]:
    config = settings(directory, daemon=f'tokens = ["{TOKEN}"]')
    ready = await fill(directory, args.jobs)
    with daemon(config) as started:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(started.address, headers=headers, connector=connector) as session:
            paints, changes = await on_screen(session, started.address, ready[-1], args.rounds)
            alone = await spent(session, started.pid, ready[-1], args.seconds)
            async with viewers(session, args.viewers) as sent:
                with_viewers = await spent(session, started.pid, ready[-1], args.seconds)
    kilobytes = statistics.mean(sent) / args.seconds / 1000
    return [
        ["first paint", f"{statistics.median(paints):.2f} s", f"{max(paints):.2f} s"],
        ["a change on the screen", f"{statistics.median(changes):.2f} s", f"{max(changes):.2f} s"],
        ["daemon, nobody looks", f"{alone:.1%}", ""],
        [f"daemon, {args.viewers} viewers", f"{with_viewers:.1%}", f"{kilobytes:.1f} kB/s each"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--dir", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vidd-bench-", dir=args.dir) as directory:
        rows = asyncio.run(measure(args, Path(directory) / "state"))
    table(f"The page with {args.jobs} jobs", ("", "median", "most"), rows)


if __name__ == "__main__":
    main()

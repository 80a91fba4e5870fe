"""What one job costs the parent: the engine and the journal without media, beside bare processes of /bin/true.

    python bench/cost.py [--quick] [--jobs 1000] [--rounds 3]

A job of the engine goes the whole path (one step, one publisher, both trivial, no file), sixteen at once as shipped,
with the log, the metrics and the page's hub listening. Rounds are interleaved, figures are medians per job.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

from common import cpu, table

from vidd import log
from vidd.engine.clock import SystemClock
from vidd.engine.context import EngineContext
from vidd.engine.intake import Intake
from vidd.engine.runner import Runner
from vidd.engine.slots import Slots
from vidd.engine.workspace import Workspace
from vidd.model.event import Event
from vidd.model.job import Arrival
from vidd.model.media import Outcome
from vidd.model.publication import Receipt
from vidd.ports import Encoder, Plan, PlannedPublisher, PlannedStep, PublishContext, StepContext, Store, Tools
from vidd.processes import run as process
from vidd.queues.local import LocalQueue
from vidd.stores.memory import MemoryStore
from vidd.stores.sqlite.store import SqliteStore
from vidd.web.event_hub import Hub
from vidd.web.metrics import Metrics

_AT_ONCE, _BATCH = 16, 500
_SETTINGS = {"programme": None, "steps": [{"name": "nothing", "kind": "nothing", "options": {}}] * 3}


async def _step(_context: StepContext) -> Outcome:
    return Outcome(facts={"done": True})


async def _publish(_context: PublishContext) -> Receipt:
    return Receipt("file:///nowhere")


async def _reconcile(_context: PublishContext) -> Receipt | None:
    return None


_PLAN = Plan(
    None,
    [PlannedStep("nothing", "nothing", "encodes", "1", _step)],
    [PlannedPublisher("nowhere", "nowhere", "uploads", True, _publish, _reconcile)],
    (),
)


class LaxStore(SqliteStore):
    """What a commit costs that a power cut may take back."""

    async def open(self) -> None:
        await super().open()
        await self._db.run("PRAGMA synchronous=NORMAL")


def _arrivals(number: int) -> list[Arrival]:
    names = [f"clip-{index:06}.mp4" for index in range(number)]
    return [Arrival(f"file:/in/{name}", f"file:///in/{name}", name, {"size": 1}) for name in names]


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _timed(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Seconds of wall time, and of this process's CPU in all its threads."""
    used, begun = _own(), time.perf_counter()
    await work()
    return time.perf_counter() - begun, _own() - used


async def engine(store: Store, root: Path, number: int) -> tuple[float, float]:
    """Jobs that are in the journal already, down the whole path."""
    listeners = (Hub().note, Metrics().note)

    def observe(event: Event) -> None:
        for note in listeners:
            note(event)

    queue, clock = LocalQueue(), SystemClock()
    tools = Tools(root, Encoder(Path("ffmpeg")), clock, observe=observe)
    workspace = Workspace(root / "jobs")
    workspace.root.mkdir(exist_ok=True)
    limits = {"encodes": 2, "uploads": 4}
    stage = EngineContext(store, Slots(limits), workspace, tools, lambda _settings: _PLAN, observe)
    intake = Intake(store, queue, {"p": _SETTINGS}, clock, observe)
    await store.open()
    arrivals = _arrivals(number)
    for start in range(0, number, _BATCH):
        await intake.admit("bench", "p", arrivals[start : start + _BATCH])
    runner = Runner(stage, queue, _AT_ONCE)
    await runner.recover()

    async def work() -> None:
        running = asyncio.create_task(runner.run())
        await runner.idle(0)
        running.cancel()
        await asyncio.wait({running})

    try:
        return await _timed(work)
    finally:
        await store.close()


async def admitting(store: Store, number: int, batch: int) -> tuple[float, float]:
    """Arrivals into the journal."""
    intake = Intake(store, LocalQueue(), {"p": _SETTINGS}, SystemClock(), lambda _event: None)
    await store.open()
    arrivals = _arrivals(number)

    async def work() -> None:
        for start in range(0, number, batch):
            await intake.admit("bench", "p", arrivals[start : start + batch])

    try:
        return await _timed(work)
    finally:
        await store.close()


async def children(number: int, run: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """So many children, two at once."""
    left = iter(range(number))

    async def one_by_one() -> None:
        for _ in left:
            await run()

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(one_by_one())

    return await _timed(work)


async def _bare() -> None:
    child = await asyncio.create_subprocess_exec("/bin/true")
    await child.wait()


def xargs(number: int) -> tuple[float, float]:
    """The same by xargs; its own CPU is read while it runs."""
    begun, used = time.perf_counter(), 0.0
    line = ["xargs", "-P2", "-n1", "/bin/true"]
    with subprocess.Popen(line, stdin=subprocess.PIPE) as child:
        if child.stdin:
            child.stdin.write(b"x\n" * number)
            child.stdin.close()
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            used = cpu(child.pid, children=False)
            time.sleep(0.005)
        seconds = time.perf_counter() - begun
    return seconds, used


def measure(number: int, rounds: int) -> list[list[str]]:
    ways: dict[str, Callable[[Path], tuple[float, float]]] = {
        "/bin/true by xargs -P2": lambda _: xargs(number),
        "/bin/true by asyncio": lambda _: asyncio.run(children(number, _bare)),
        "/bin/true by vidd.processes": lambda _: asyncio.run(children(number, lambda: process.run(["/bin/true"]))),
        "engine, store in memory": lambda root: asyncio.run(engine(MemoryStore(), root, number)),
        "engine, journal NORMAL": lambda root: asyncio.run(engine(LaxStore(root / "j"), root, number)),
        "engine, journal FULL": lambda root: asyncio.run(engine(SqliteStore(root / "j"), root, number)),
        "intake one by one, NORMAL": lambda root: asyncio.run(admitting(LaxStore(root / "j"), number, 1)),
        "intake one by one, FULL": lambda root: asyncio.run(admitting(SqliteStore(root / "j"), number, 1)),
        "intake by 500, NORMAL": lambda root: asyncio.run(admitting(LaxStore(root / "j"), number * 5, 500)),
        "intake by 500, FULL": lambda root: asyncio.run(admitting(SqliteStore(root / "j"), number * 5, 500)),
    }
    got: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(prefix="vidd-bench-") as root, Path(os.devnull).open("w") as nowhere:
                log.set_up("info", stream=nowhere)
                jobs = number * 5 if "500" in name else number
                got[name].append(tuple(cost / jobs for cost in way(Path(root))))
    rows = []
    for name, runs in got.items():
        wall, used = (statistics.median(run[at] for run in runs) for at in (0, 1))
        rows.append([name, f"{used * 1000:.2f}", f"{wall * 1000:.2f}", f"{1 / wall:.0f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 jobs, 1 round")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    number, rounds = (100, 1) if asked.quick else (asked.jobs, asked.rounds)
    table(
        f"The parent's cost of one job, {number} jobs, {rounds} rounds, medians",
        ["", "CPU ms", "wall ms", "jobs/s"],
        measure(number, rounds),
    )


if __name__ == "__main__":
    main()

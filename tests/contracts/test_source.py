"""What every source promises: what it acknowledged was recorded, and what was not recorded arrives again, once.

The sources run with the engine's own intake over a store in memory, which can be away or be cut off from them.
"""

import asyncio
from contextlib import suppress

import pytest
from builders.mongodb import account, mongodb
from contracts.source_cases import CASES
from peers.servers import ministack

from vidd.engine.clock import SystemClock
from vidd.engine.intake import Intake
from vidd.engine.source_context import EngineSourceContext
from vidd.engine.supervisor import Watchers
from vidd.errors import RetryLater
from vidd.pipelines.registry import model_of, source_module
from vidd.ports import Encoder, Tools
from vidd.ports.kinds import ServesRoutes
from vidd.queues.local import LocalQueue
from vidd.stores.memory import MemoryStore

pytestmark = pytest.mark.peer

__all__ = ["account", "mongodb"]
DEADLINE = 60.0


@pytest.fixture(scope="module")
def aws():
    with ministack() as url:
        yield url


class Store(MemoryStore):
    """A store that is `away`, or that calls `recorded` with each record it has made."""

    def __init__(self):
        super().__init__()
        self.away, self.tried, self.recorded = False, 0, lambda: None

    async def admit(self, jobs):
        self.tried += 1
        if self.away:
            raise RetryLater("The store is away.")
        admitted = await super().admit(jobs)
        self.recorded()
        return admitted


async def until(true):
    async with asyncio.timeout(DEADLINE):
        while not await true():  # noqa: ASYNC110 - other systems are waited for
            await asyncio.sleep(0.01)


class Lives:
    """A daemon's lives with one source: `start` and `stop` it; the store outlives them."""

    def __init__(self, case, state):
        self.case, self.state, self.store = case, state, Store()
        self.task = None

    def start(self):
        """Watch; returns what the web port would serve."""
        case, clock = self.case, SystemClock()
        tools = Tools(self.state, Encoder("ffmpeg"), clock, case.accounts, memory=self.store)
        options = model_of("sources", case.kind).model_validate(case.options)
        watchers = Watchers(clock, lambda _event: None)
        watchers.add("source", case.kind)
        pipelines = {"talks": {"programme": None, "steps": [], "publish": [], "notify": []}}
        intake = Intake(self.store, LocalQueue(), pipelines, clock, lambda _event: None)
        context = EngineSourceContext(
            "source", "talks", tools=tools, store=self.store, intake=intake, watchers=watchers,
            commands=None, programme_read=lambda _name: None, observers=[],
        )  # fmt: skip
        module = source_module(case.kind)
        self.task = asyncio.create_task(module.watch(options, context))
        return module.routes(options, context) if isinstance(module, ServesRoutes) else ()

    async def stop(self):
        self.task.cancel()
        with suppress(asyncio.CancelledError, RetryLater):
            await self.task

    async def jobs(self):
        return await self.store.jobs(pipeline="talks")


@pytest.fixture(params=CASES)
async def lives(request, tmp_path):
    async with CASES[request.param](request, tmp_path) as case:
        lives = Lives(case, tmp_path)
        await MemoryStore.admit(lives.store, case.jobs)
        yield lives
        await lives.stop()


async def nothing_is_acknowledged(lives):
    return lives.case.left is None or await lives.case.left() == 1


async def arrives(lives, routes):
    """Have the thing arrive: by a call, or by itself."""
    if lives.case.ask is not None:
        assert await lives.case.ask(routes) < 300
    await until(lives.jobs)


async def test_what_could_not_be_recorded_is_not_acknowledged_and_arrives_after_the_restart(lives):
    lives.store.away = True
    routes = lives.start()

    async def tried():
        if lives.case.ask is not None:
            with pytest.raises(RetryLater):
                await lives.case.ask(routes)
        return lives.store.tried

    await until(tried)
    await lives.stop()
    assert await nothing_is_acknowledged(lives)
    assert await lives.jobs() == []
    lives.store.away = False
    await arrives(lives, lives.start())
    assert len(await lives.jobs()) == 1


async def test_a_source_that_is_stopped_as_its_arrival_is_recorded_makes_one_job_of_it(lives):
    asked = None
    routes = lives.start()

    def cut():
        (asked or lives.task).cancel()

    lives.store.recorded = cut
    if lives.case.ask is not None:
        asked = asyncio.create_task(lives.case.ask(routes))
        with suppress(asyncio.CancelledError):
            await asked
    await until(lives.jobs)
    await lives.stop()
    assert await nothing_is_acknowledged(lives)
    lives.store.recorded = lambda: None
    tried = lives.store.tried
    await arrives(lives, lives.start())

    async def seen_again():
        return lives.store.tried > tried or lives.case.kind in {"data_sets", "process_content", "published", "timeline"}

    await until(seen_again)
    assert len(await lives.jobs()) == 1
    if lives.case.left is not None:
        await until(lambda: gone(lives))


async def gone(lives):
    return await lives.case.left() == 0

"""What every programme promises: its talks are known, and stay known while their source is away, empty or broken.

The sources run with the engine's own context over a store in memory, which may be away.
"""

import asyncio
from contextlib import suppress

import pytest
from contracts.programme_cases import CASES
from contracts.source_cases import CASES as ARRIVALS

from vidd.engine.clock import SystemClock
from vidd.engine.intake import Intake
from vidd.engine.source_context import EngineSourceContext
from vidd.engine.supervisor import Watchers
from vidd.errors import RetryLater
from vidd.pipelines.registry import SOURCES, model_of, source_module
from vidd.ports import Encoder, Tools
from vidd.queues.local import LocalQueue
from vidd.stores.memory import MemoryStore

pytestmark = pytest.mark.peer

DEADLINE = 60.0


class Store(MemoryStore):
    """A store that may be `away`."""

    away = False

    async def put_talks(self, programme, talks, read):
        if self.away:
            raise RetryLater("The store is away.")
        await super().put_talks(programme, talks, read)


class Lives:
    """A daemon's lives with one programme: `start` and `stop` it; the store outlives them."""

    def __init__(self, case, state):
        self.case, self.state, self.store = case, state, Store()
        self.task = None

    def start(self):
        case, clock = self.case, SystemClock()
        tools = Tools(self.state, Encoder("ffmpeg"), clock, case.accounts, memory=self.store)
        self.watchers = Watchers(clock, lambda _event: None)
        self.watchers.add("programme", case.kind)
        self.context = EngineSourceContext(
            "programme", None, tools=tools, store=self.store,
            intake=Intake(self.store, LocalQueue(), {}, clock, lambda _event: None), watchers=self.watchers,
            commands=None, programme_read=lambda _name: None, observers=[],
        )  # fmt: skip
        options = model_of("sources", case.kind).model_validate(case.options)
        self.task = asyncio.create_task(source_module(case.kind).watch(options, self.context))

    async def stop(self):
        self.task.cancel()
        with suppress(asyncio.CancelledError, RetryLater):
            await self.task

    async def titles(self):
        return [talk.title for talk in await self.store.talks("programme")]

    @property
    def watcher(self):
        return self.watchers.table["programme"]

    async def until(self, true):
        async with asyncio.timeout(DEADLINE):
            while not await true():
                assert not self.task.done(), self.task.result()
                await asyncio.sleep(0.01)

    async def until_read(self, title):
        async def is_read():
            return title in await self.titles()

        await self.until(is_read)

    async def until_down(self):
        async def is_down():
            return not self.watcher.up and self.watcher.reason is not None

        await self.until(is_down)


@pytest.fixture(params=CASES)
async def lives(request, tmp_path):
    async with CASES[request.param](tmp_path) as case:
        case.show("Loops")
        lives = Lives(case, tmp_path)
        lives.start()
        yield lives
        await lives.stop()


def test_every_kind_of_source_brings_recordings_or_knows_a_programme():
    assert {name.partition(" ")[0] for name in (*CASES, *ARRIVALS)} == set(SOURCES)


async def test_its_talks_are_known_and_what_must_not_be_published_is_excluded(lives):
    await lives.until_read("Loops")
    loops, knots = sorted(await lives.store.talks("programme"), key=lambda talk: talk.id, reverse=True)
    assert (loops.id, loops.stage, loops.excluded, loops.fault) == ("LOOPS1", "Main", False, None)
    assert [speaker.name for speaker in loops.speakers] == ["Ada"]
    assert (knots.id, knots.title, knots.excluded, knots.fault) == ("KNOTS2", "Knots", True, None)
    assert lives.watcher.up


async def test_a_change_follows(lives):
    await lives.until_read("Loops")
    lives.case.show("Loops, anew")
    await lives.until_read("Loops, anew")


@pytest.mark.parametrize("how", ["hidden", "empty"])
async def test_while_it_is_away_or_empty_its_talks_stay_and_the_watcher_says_why(lives, how):
    await lives.until_read("Loops")
    lives.case.hide() if how == "hidden" else lives.case.show(None)
    await lives.until_down()
    assert sorted(await lives.titles()) == ["Knots", "Loops"]
    assert lives.watcher.reason.endswith(".")
    lives.case.show("Loops, anew")
    await lives.until_read("Loops, anew")
    assert lives.watcher.up


async def test_after_a_restart_while_it_is_away_its_talks_are_known(lives):
    await lives.until_read("Loops")
    await lives.stop()
    lives.case.hide()
    lives.start()
    await lives.until_down()
    assert sorted(await lives.titles()) == ["Knots", "Loops"]


async def test_a_reading_that_could_not_be_recorded_is_handed_in_again(lives):
    await lives.until_read("Loops")
    lives.store.away = True
    lives.case.show("Loops, anew")
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(RetryLater, match="store is away"):
            await lives.task
    lives.store.away = False
    lives.start()
    await lives.until_read("Loops, anew")

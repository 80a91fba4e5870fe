"""A store that is away for a while: jobs wait, nothing falls, nothing is forgotten, nothing is done twice."""

import asyncio

import pytest
from builders.engine import DEADLINE, Engine, FakePublisher, FakeStep, Gate, arrival

from vidd.errors import Refused, RetryLater
from vidd.model.job import State
from vidd.model.publication import PublicationState
from vidd.stores.memory import MemoryStore


class Remote(MemoryStore):
    """Answers nothing while it is away; of the calls named in `deaf` it loses the next answer, after doing them."""

    def __init__(self):
        super().__init__()
        self.away = False
        self.deaf = set()
        self.asked_in_vain = asyncio.Event()
        self._made = {}

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name.startswith("_") or not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args, **more):
            if self.away:
                self.asked_in_vain.set()
                raise RetryLater("The store is away.", counts=False)
            meant = (args, tuple(more.items()))
            if name.startswith("save") and self._made.pop(name, None) == meant:
                return None
            result = await found(*args, **more)
            if name in self.deaf:
                self.deaf.discard(name)
                self._made[name] = meant
                raise RetryLater("No answer came.", counts=False)
            return result

        return call


async def back(engine, job_id, state=State.PUBLISHED):
    """Have it come back after a minute in which everybody asks in vain, and wait for the job."""
    async with asyncio.timeout(DEADLINE):
        await engine.store.asked_in_vain.wait()
        for _ in range(12):
            engine.clock.forward(5)
            for _ in range(20):
                await asyncio.sleep(0)
        engine.store.away = False
        while (await engine.store.job(job_id)).state is not state:
            engine.clock.forward(5)
            await asyncio.sleep(0)


async def test_a_queued_job_starts_when_the_store_is_back(tmp_path):
    step = FakeStep("trim")
    async with Engine(tmp_path, steps=[step], store=Remote()) as engine:
        await engine.runner.pause()
        job = await engine.one()
        await engine.runner.resume()
        engine.store.away = True
        await back(engine, job.id)
        assert step.runs == 1


async def test_a_step_that_ends_while_the_store_is_away_is_not_made_again(tmp_path):
    gate, library = Gate(), FakePublisher("s3")
    step = FakeStep("trim", results=[gate])
    async with Engine(tmp_path, steps=[step], publishers=[library], store=Remote()) as engine:
        job = await engine.one()
        await gate.wait()
        engine.store.away = True
        gate.open.set()
        await back(engine, job.id)
        assert (step.runs, library.arrived) == (1, [job.id])


async def test_a_receipt_that_comes_while_the_store_is_away_is_kept(tmp_path):
    gate = Gate()
    library = FakePublisher("s3", results=[gate], answers=[Refused("Nobody needs to ask.")])
    async with Engine(tmp_path, publishers=[library], store=Remote()) as engine:
        job = await engine.one()
        await gate.wait()
        engine.store.away = True
        gate.open.set()
        await back(engine, job.id)
        (one,) = await engine.store.publications(job.id)
        assert (one.state, library.arrived) == (PublicationState.DONE, [job.id])


@pytest.mark.parametrize("call", ["save", "save_publication", "record_step", "admit"])
async def test_what_was_saved_without_an_answer_is_not_taken_for_somebody_elses(tmp_path, call):
    step, library = FakeStep("trim"), FakePublisher("s3")
    async with Engine(tmp_path, steps=[step], publishers=[library], store=Remote()) as engine:
        engine.store.deaf = {call}
        if call == "admit":
            with pytest.raises(RetryLater):
                await engine.admit("Main_t1_000000_000100.mp4")
            assert await engine.admit("Main_t1_000000_000100.mp4") == []
        else:
            await engine.one()
        (job,) = await engine.store.jobs()
        async with asyncio.timeout(DEADLINE):
            while (await engine.store.job(job.id)).state is not State.PUBLISHED:
                engine.clock.forward(5)
                await asyncio.sleep(0)
        assert (step.runs, library.arrived) == (1, [job.id])


async def test_a_retry_that_got_no_answer_is_made_all_the_same(tmp_path):
    step = FakeStep("trim", results=[RetryLater("Not now.", after=3600)])
    async with Engine(tmp_path, steps=[step], store=Remote()) as engine:
        job = await engine.one()
        waiting = await engine.until(job.id, State.WAITING)
        engine.store.deaf = {"save"}
        with pytest.raises(RetryLater):
            await engine.commands.retry(waiting)
        async with asyncio.timeout(DEADLINE):
            while (await engine.store.job(job.id)).state is not State.PUBLISHED:
                engine.clock.forward(5)
                await asyncio.sleep(0)


async def test_an_engine_that_drains_does_not_wait_for_the_store(tmp_path):
    store, gate = Remote(), Gate()
    async with Engine(tmp_path, steps=[FakeStep("trim", results=[gate])], store=store) as engine:
        job = await engine.one()
        await gate.wait()
        store.away = True
        gate.open.set()
        async with asyncio.timeout(DEADLINE):
            await store.asked_in_vain.wait()
            await engine.runner.stop_now()
        assert engine.runner.running == []
    store.away = False
    async with Engine(tmp_path, steps=[FakeStep("trim")], store=store) as engine:
        await engine.until(job.id, State.PUBLISHED)


async def test_whoever_waits_for_the_end_waits_while_the_store_is_away(tmp_path):
    async with Engine(tmp_path, store=Remote()) as engine:
        job = await engine.one()
        await engine.until(job.id, State.PUBLISHED)
        engine.store.away = True
        idle = asyncio.create_task(engine.runner.idle(0))
        async with asyncio.timeout(DEADLINE):
            await engine.store.asked_in_vain.wait()
            engine.store.away = False
            while not idle.done():
                engine.clock.forward(30)
                await asyncio.sleep(0)
        await idle


async def test_a_source_hears_that_the_store_is_away(tmp_path):
    async with Engine(tmp_path, store=Remote()) as engine:
        engine.store.away = True
        with pytest.raises(RetryLater):
            await engine.intake.admit("folder", "talks", [arrival()])

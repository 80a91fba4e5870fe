import asyncio
from datetime import timedelta

import pytest
from builders.engine import START, Engine, FakeStep, job

from vidd.engine.day_recorder import DayRecorder
from vidd.errors import RetryLater
from vidd.model.day_totals import space_of
from vidd.model.event import EncodeEnded, JobMoved
from vidd.model.job import State
from vidd.model.media import Artifact, Media, Outcome, StepRecord


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path, steps=[FakeStep("fetch")])


def today(engine):
    return engine.store.recall(space_of(START.date()))


async def published(engine, job_id, *lengths, **more):
    made = job(job_id, state=State.PUBLISHED, **more)
    await engine.store.admit([made])
    for length in lengths:
        media = Artifact("talk", "talk.mp4", 9, media=Media("mp4", length, 9))
        await engine.store.record_step(StepRecord(job_id, f"step{length}", "trim", "1", Outcome((media,)), 1.0))
    return JobMoved(made, State.PUBLISHING)


async def test_encodes_and_published_minutes_of_a_day_add_up(engine):
    recorder = DayRecorder(engine.context)
    recorder.note(EncodeEnded("trim", 2.0, 9.0, 30.0))
    recorder.note(EncodeEnded("transcode", 0.5, 9.0, 10.0))
    recorder.note(await published(engine, "a", 3600.0, 1800.5))
    recorder.note(await published(engine, "b", name="Main_t1_000000_000100.mp4"))
    await recorder.write()
    expected = {"encoded_ms": "65000", "encoding_ms": "40000", "published_ms": "1860500"}
    assert await today(engine) == expected
    await recorder.write()
    assert await today(engine) == expected
    recorder.note(EncodeEnded("trim", 1.0, 9.0, 1.0))
    await recorder.write()
    assert (await today(engine))["encoded_ms"] == "66000"


async def test_what_is_published_again_counts_once(engine):
    recorder = DayRecorder(engine.context)
    moved = await published(engine, "a", 60.0)
    again = moved.job.evolve(state=State.READY)
    await engine.store.save(again, expect=State.PUBLISHED)
    await engine.store.save(again.evolve(state=State.WORKING), expect=State.READY)
    await engine.store.save(again.evolve(state=State.WORKING).evolve(state=State.PUBLISHING), expect=State.WORKING)
    await engine.store.save(moved.job, expect=State.PUBLISHING)
    recorder.note(moved)
    await recorder.write()
    assert await today(engine) == {}


async def test_each_day_has_its_own_numbers(engine):
    recorder = DayRecorder(engine.context)
    recorder.note(EncodeEnded("trim", 1.0, 9.0, 1.0))
    engine.clock.forward(24 * 3600)
    recorder.note(EncodeEnded("trim", 1.0, 9.0, 2.0))
    await recorder.write()
    following = await engine.store.recall(space_of((START + timedelta(days=1)).date()))
    assert ((await today(engine))["encoded_ms"], following["encoded_ms"]) == ("1000", "2000")


async def test_nothing_is_lost_while_the_store_is_away(engine):
    recorder, count, faults = DayRecorder(engine.context), engine.store.count, [RetryLater("The store is away.")] * 2

    async def away(*given):
        if faults:
            raise faults.pop()
        return await count(*given)

    engine.store.count = away
    recorder.note(await published(engine, "a", 60.0))
    task = asyncio.create_task(recorder.run())
    for _ in range(3):
        for _ in range(20):
            await asyncio.sleep(0)
        engine.clock.forward(60)
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert await today(engine) == {"published_ms": "60000"}

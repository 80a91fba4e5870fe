"""A job that fails tells its operators, once for each time it failed, whatever happens in between."""

import asyncio

import pytest
from builders.engine import DEADLINE, Engine, FakePublisher, FakeStep

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.model.job import FAILURE, State
from vidd.model.publication import PublicationState
from vidd.model.retry import RetryRule
from vidd.stores.memory import MemoryStore


async def notice(engine, job, name="told"):
    return next((one for one in await engine.store.publications(job.id) if one.name == name), None)


async def test_a_refused_job_tells_of_it_and_nobody_is_told_that_it_is_published(tmp_path):
    told, mail = FakePublisher("told"), FakePublisher("mail")
    trim = FakeStep("trim", results=[Refused("The file is empty.")])
    async with Engine(tmp_path, steps=[trim], notices=[mail], failures=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.REFUSED)
        await engine.until_idle()
        assert (told.arrived, mail.arrived) == ([job.id], [])
        assert (await notice(engine, job)).state is PublicationState.DONE
        assert (await engine.store.job(job.id)).state is State.REFUSED


async def test_a_job_that_is_published_tells_of_no_failure(tmp_path):
    told, mail = FakePublisher("told"), FakePublisher("mail")
    async with Engine(tmp_path, publishers=[FakePublisher("s3")], notices=[mail], failures=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.until_idle()
        assert (told.arrived, mail.arrived) == ([], [job.id])
        assert await notice(engine, job) is None


async def test_a_job_that_is_unsure_tells_of_it_with_what_is_out_already(tmp_path):
    seen = []

    async def look(context):
        seen.append((context.job.state, context.job.reason, dict(context.receipts), context.facts["trim"]))

    out, lost = (
        FakePublisher("out"),
        FakePublisher("lost", results=[OutcomeUnknown("Broken.")], answers=[OutcomeUnknown("Silence.")]),
    )
    told = FakePublisher("told", results=[look])
    async with Engine(tmp_path, steps=[FakeStep("trim")], publishers=[out, lost], failures=[told]) as engine:
        await engine.until((await engine.one()).id, State.UNSURE)
        await engine.until_idle()
    [(state, reason, receipts, facts)] = seen
    assert (state, reason, list(receipts), facts) == (State.UNSURE, "lost: Silence.", ["out"], 1)


async def test_waits_in_between_tell_nobody_and_the_last_one_tells_once(tmp_path):
    told = FakePublisher("told")
    trim = FakeStep("trim", results=[RetryLater("No."), RetryLater("Still no.")])
    async with Engine(
        tmp_path, steps=[trim], failures=[told], retry=RetryRule(attempts=2, first=10, jitter=0)
    ) as engine:
        job = await engine.one()
        await engine.until(job.id, State.WAITING)
        await engine.until_idle()
        assert told.arrived == []
        engine.clock.forward(100)
        await engine.until(job.id, State.REFUSED)
        await engine.until_idle()
        assert told.arrived == [job.id]


async def test_every_failure_is_told_once_and_the_next_one_anew(tmp_path):
    told = FakePublisher("told")
    trim = FakeStep("trim", results=[Refused("Empty."), Refused("Still empty.")])
    async with Engine(tmp_path, steps=[trim], failures=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.REFUSED)
        await engine.until_idle()
        engine.clock.forward(60)
        await engine.commands.retry(job)
        await engine.until(job.id, State.REFUSED, 2)
        await engine.until_idle()
        assert told.arrived == [job.id] * 2
        assert (await notice(engine, job)).edition == 2
        engine.clock.forward(60)
        await engine.commands.retry(await engine.store.job(job.id))
        await engine.until(job.id, State.PUBLISHED)
        await engine.until_idle()
        assert told.arrived == [job.id] * 2


@pytest.mark.parametrize("point", ["before it is begun", "after it has gone out"])
async def test_a_daemon_that_dies_in_between_tells_neither_twice_nor_never(tmp_path, point):
    store, told = MemoryStore(), FakePublisher("told")
    reached = asyncio.Event()

    async def die(context):
        if point == "after it has gone out":
            told.arrived.append(context.job.id)
        reached.set()
        await asyncio.Event().wait()

    told.results.append(die)
    trim = FakeStep("trim", results=[Refused("Empty.")])
    async with Engine(tmp_path, steps=[trim], failures=[told], store=store) as engine:
        job = await engine.until((await engine.one()).id, State.REFUSED)
        async with asyncio.timeout(DEADLINE):
            await reached.wait()
    for _ in range(2):
        async with Engine(tmp_path, failures=[told], store=store) as engine:
            await engine.until_idle()
    assert told.arrived == [job.id]
    one = await notice(engine, job)
    assert (one.state, one.edition) == (PublicationState.DONE, 1)


async def test_a_mail_server_that_is_away_is_tried_again_while_the_job_stays_refused(tmp_path):
    told = FakePublisher("told", results=[RetryLater("Away."), RetryLater("Away.")])
    trim = FakeStep("trim", results=[Refused("Empty.")])
    async with Engine(tmp_path, steps=[trim], failures=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.REFUSED)
        for attempt in (1, 2):
            await engine.until_idle()
            assert (told.arrived, (await notice(engine, job)).attempt) == ([], attempt)
            engine.clock.forward(100)
            await asyncio.sleep(0)
        await engine.until_idle()
        assert told.arrived == [job.id]
        assert engine.path(job.id)[-1] is State.REFUSED


async def test_what_could_not_be_told_before_the_job_went_on_is_not_told_any_more(tmp_path):
    told = FakePublisher("told", results=[RetryLater("Away.")])
    trim = FakeStep("trim", results=[Refused("Empty.")])
    async with Engine(tmp_path, steps=[trim], failures=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.REFUSED)
        await engine.until_idle()
        await engine.commands.retry(job)
        await engine.until(job.id, State.PUBLISHED)
        engine.clock.forward(100)
        await asyncio.sleep(0)
        await engine.until_idle()
        one = await notice(engine, job)
        assert (told.arrived, one.state, one.reason) == (
            [],
            PublicationState.REFUSED,
            "The job went on before vidd sent this notice.",
        )


async def test_a_failure_whose_telling_is_unsure_can_be_told_again_without_starting_the_job(tmp_path):
    told = FakePublisher("told", results=[OutcomeUnknown("Broken.")], answers=[OutcomeUnknown("It cannot be asked.")])
    trim = FakeStep("trim", results=[Refused("Empty.")])
    async with Engine(tmp_path, steps=[trim], failures=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.REFUSED)
        await engine.until_idle()
        assert (await notice(engine, job)).state is PublicationState.UNSURE
        same = await engine.commands.resolve(job, published=None, name="told")
        await engine.until_idle()
        assert (same.state, told.arrived, trim.runs) == (State.REFUSED, [job.id], 1)


async def test_what_is_known_of_a_failure_stays_with_the_job_until_it_gets_through(tmp_path):
    trim = FakeStep("trim", results=[Refused("Bad.", said="one\ntwo"), RetryLater("Later.", said="three")])
    async with Engine(tmp_path, steps=[trim]) as engine:
        job = await engine.until((await engine.one()).id, State.REFUSED)
        assert job.facts[FAILURE] == {"step": "trim", "said": "one\ntwo", "log": None}
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / f"{job.id}.log").touch()
        await engine.until_idle()
        await engine.commands.retry(job)
        job = await engine.until(job.id, State.WAITING)
        assert job.facts[FAILURE] == {"step": "trim", "said": "three", "log": str(tmp_path / f"logs/{job.id}.log")}
        await engine.until_idle()
        engine.clock.forward(100)
        job = await engine.until(job.id, State.PUBLISHED)
        assert FAILURE not in job.facts


async def test_a_defect_in_telling_of_one_job_does_not_keep_another_from_being_told(tmp_path):
    told = FakePublisher("told")
    trim = FakeStep("trim", results=[Refused("Empty."), Refused("Empty.")])
    async with Engine(tmp_path, steps=[trim], failures=[told]) as engine:
        plan, engine.plan = engine.plan, None
        first = await engine.until((await engine.one("a_t1_000000_000100.mp4")).id, State.REFUSED)
        await engine.until_idle()
        engine.plan = plan
        second = await engine.until((await engine.one("b_t1_000000_000100.mp4")).id, State.REFUSED)
        await engine.until_idle()
        assert first.id != second.id
        assert told.arrived == [second.id]

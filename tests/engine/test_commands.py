"""What a person may ask of a job."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from builders.engine import Engine, FakePublisher, FakeStep, Gate, talk

from vidd.engine.row_requests import RowRequests
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.model.event import JobMoved
from vidd.model.job import IllegalMove, State
from vidd.model.publication import PublicationState


async def publication(engine, job, name="far"):
    return next(one for one in await engine.store.publications(job.id) if one.name == name)


def lost():
    return [OutcomeUnknown("The reply was lost."), OutcomeUnknown("It cannot be asked.")]


async def unsure(engine, far):
    far.results.append(OutcomeUnknown("The reply was lost."))
    far.answers.append(OutcomeUnknown("It cannot be asked: look at it."))
    job = await engine.one()
    return await engine.until(job.id, State.UNSURE)


async def test_what_a_person_found_is_the_receipt_and_nothing_is_sent_again(tmp_path):
    far = FakePublisher("far")
    async with Engine(tmp_path, publishers=[far]) as engine:
        job = await unsure(engine, far)
        await engine.commands.resolve(job, published="https://far.example/1")
        await engine.until(job.id, State.PUBLISHED)
        one = await publication(engine, job)
        assert (one.state, one.receipt.url, far.arrived) == (PublicationState.DONE, "https://far.example/1", [])


async def test_what_a_person_did_not_find_is_sent_again_without_asking(tmp_path):
    far = FakePublisher("far")
    async with Engine(tmp_path, publishers=[far]) as engine:
        job = await unsure(engine, far)
        far.answers.append(OutcomeUnknown("It would still not know."))
        await engine.commands.resolve(job, published=None)
        await engine.until(job.id, State.PUBLISHED)
        assert (far.arrived, len(far.answers)) == ([job.id], 1)


async def test_of_several_unsure_publications_the_one_must_be_named(tmp_path):
    one, two = FakePublisher("one"), FakePublisher("two")
    for far in (one, two):
        far.results.append(OutcomeUnknown("The reply was lost."))
        far.answers.append(OutcomeUnknown("It cannot be asked."))
    async with Engine(tmp_path, publishers=[one, two]) as engine:
        job = await engine.until((await engine.one()).id, State.UNSURE)
        with pytest.raises(Refused, match="one, two"):
            await engine.commands.resolve(job, published=None)
        job = await engine.commands.resolve(job, published="https://one.example/", name="one")
        job = await engine.until(job.id, State.UNSURE, times=2)
        await engine.commands.resolve(job, published=None)
        await engine.until(job.id, State.PUBLISHED)
        assert (one.arrived, two.arrived) == ([], [job.id])


async def test_there_is_nothing_to_resolve_where_nothing_is_unsure(tmp_path):
    async with Engine(tmp_path, publishers=[FakePublisher("far")]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        with pytest.raises(IllegalMove, match="Nothing is unsure"):
            await engine.commands.resolve(job, published=None)


async def test_letters_go_out_once_more_as_the_next_edition(tmp_path):
    far, mail, hook = FakePublisher("far"), FakePublisher("mail", is_email=True), FakePublisher("hook")
    async with Engine(tmp_path, publishers=[far], notices=[mail, hook]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.commands.resend(job)
        job = await engine.until(job.id, State.PUBLISHED, times=2)
        assert (far.arrived, mail.arrived, hook.arrived) == ([job.id], [job.id] * 2, [job.id])
        assert (await publication(engine, job, "mail")).edition == 2
        await engine.commands.resend(job, ["hook"])
        await engine.until(job.id, State.PUBLISHED, times=3)
        assert (len(mail.arrived), len(hook.arrived)) == (2, 2)
        with pytest.raises(Refused, match="no notice fax; it has: mail, hook"):
            await engine.commands.resend(await engine.store.job(job.id), ["fax"])


async def test_a_job_that_is_taken_back_is_cancelled_and_its_publications_say_so(tmp_path):
    far = FakePublisher("far", amends=True)
    async with Engine(tmp_path, publishers=[far], steps=[FakeStep("cut")]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.commands.retract(job)
        job = await engine.until(job.id, State.CANCELLED)
        assert job.reason == f"A person retracted it. far let go of {job.id}."
        assert (far.arrived, (await publication(engine, job)).state) == ([], PublicationState.RETRACTED)
        with pytest.raises(IllegalMove, match="nothing to retract"):
            await engine.commands.retract(job)
        await engine.commands.retry(job)
        await engine.until(job.id, State.PUBLISHED, times=2)
        one = await publication(engine, job)
        assert (far.arrived, one.edition, one.state) == ([job.id], 2, PublicationState.DONE)


async def test_taking_back_waits_and_goes_on_and_a_failure_of_it_is_said(tmp_path):
    far, disk = FakePublisher("far", amends=True), FakePublisher("disk")
    far.faults.append(RetryLater("Quota.", after=60))
    async with Engine(tmp_path, publishers=[far, disk]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.commands.retract(job)
        await engine.until(job.id, State.WAITING)
        assert far.arrived == [job.id]
        engine.clock.forward(70)
        job = await engine.until(job.id, State.REFUSED)
        assert f"vidd cannot retract disk: it is at far://disk/{job.id}." in job.reason
        assert (far.arrived, disk.arrived) == ([], [job.id])


async def test_a_talk_that_is_out_or_on_its_way_is_not_published_by_a_second_recording(tmp_path):
    far, cut = FakePublisher("far", amends=True), FakeStep("cut")
    async with Engine(tmp_path, publishers=[far], steps=[cut], programme="sheet") as engine:
        await engine.store.put_talks("sheet", [talk("t1")], engine.clock.now())
        first = await engine.until((await engine.one()).id, State.PUBLISHED)
        second = await engine.until((await engine.one("Again_t1_000000_000200.mp4")).id, State.REFUSED)
        assert f"already as job {first.id}" in second.reason
        assert f"vidd retry {second.id} --replace" in second.reason
        assert (cut.runs, far.arrived) == (1, [first.id])


async def test_a_second_recording_is_free_once_the_first_can_only_fail(tmp_path):
    far, cut = FakePublisher("far"), FakeStep("cut", results=[Refused("No picture.")])
    async with Engine(tmp_path, publishers=[far], steps=[cut], programme="sheet") as engine:
        await engine.store.put_talks("sheet", [talk("t1")], engine.clock.now())
        await engine.until((await engine.one()).id, State.REFUSED)
        second = await engine.until((await engine.one("Again_t1_000000_000200.mp4")).id, State.PUBLISHED)
        assert far.arrived == [second.id]


async def test_a_job_whose_place_was_taken_is_not_published_again_by_a_retry(tmp_path):
    """It was cancelled half out, another recording took its place, and then somebody retries the first."""
    page, channel = FakePublisher("page", amends=True), FakePublisher("channel", amends=True)
    channel.results.append(RetryLater("Quota.", after=3600))
    async with wished(tmp_path, publishers=[page, channel]) as engine:
        first = await engine.until((await engine.one()).id, State.WAITING)
        engine.clock.forward(1)
        second = await engine.until((await engine.one("Again_t1_000000_000200.mp4")).id, State.REFUSED)
        first = await engine.commands.cancel(await engine.store.job(first.id))
        assert f"Still published: page (far://page/{first.id}); vidd retract {first.id} retracts it." in first.reason
        await engine.commands.retry(second, replace=True)
        await engine.until(second.id, State.PUBLISHED)
        await engine.until(first.id, State.CANCELLED, times=2)
        assert (page.arrived, channel.arrived) == ([second.id], [second.id])
        await engine.commands.retry(await engine.store.job(first.id))
        refused = await engine.until(first.id, State.REFUSED)
        assert f"The job {second.id}" in refused.reason
        assert (page.arrived, channel.arrived) == ([second.id], [second.id])


@asynccontextmanager
async def wished(tmp_path, **how):
    async with Engine(tmp_path, programme="sheet", **how) as engine:
        await engine.store.put_talks("sheet", [talk("t1")], engine.clock.now())
        row_requests = RowRequests(
            engine.context, engine.runner, engine.intake, engine.commands, pipeline="talks", plan=engine.plan
        )
        engine.observers.append(row_requests.note)
        task = asyncio.create_task(row_requests.run())
        try:
            yield engine
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_what_was_refused_for_good_is_sent_anew_when_a_person_says_so(tmp_path):
    far = FakePublisher("far")
    gone = Refused("The video was deleted.")
    far.results.append(OutcomeUnknown("The reply was lost."))
    far.answers += [gone, gone]
    async with Engine(tmp_path, publishers=[far]) as engine:
        job = await engine.until((await engine.one()).id, State.REFUSED)
        await engine.commands.retry(job)
        job = await engine.until(job.id, State.REFUSED, times=2)
        await engine.commands.resolve(job, published=None)
        await engine.until(job.id, State.PUBLISHED)
        assert far.arrived == [job.id]


async def test_a_notice_nobody_knows_of_is_not_quietly_passed_over_by_a_resend(tmp_path):
    far, mail = FakePublisher("far"), FakePublisher("mail", is_email=True)
    mail.results.append(OutcomeUnknown("The reply was lost."))
    mail.answers.append(OutcomeUnknown("It cannot be asked."))
    async with Engine(tmp_path, publishers=[far], notices=[mail]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        with pytest.raises(IllegalMove, match="The notice mail is unsure"):
            await engine.commands.resend(job)
        assert mail.arrived == []


async def test_the_job_that_a_person_puts_first_starts_first(tmp_path):
    gate = Gate()
    async with Engine(tmp_path, steps=[FakeStep("trim", results=[gate])], at_once=1) as engine:
        running = await engine.one("a_t1_000000_000100.mp4")
        await gate.wait()
        jobs = [await engine.one(f"{name}_t1_000000_000100.mp4") for name in "bcd"]
        last = await engine.commands.prioritize(jobs[2], 5)
        assert (last.priority, (await engine.store.job(last.id)).priority) == (5, 5)
        with pytest.raises(IllegalMove, match="which job starts first"):
            await engine.commands.prioritize(running, 5)
        gate.open.set()
        await engine.until_idle()
        with pytest.raises(IllegalMove, match="published"):
            await engine.commands.prioritize(await engine.store.job(running.id), 5)
    moves = [event.job for event in engine.events if isinstance(event, JobMoved)]
    assert [job.name[0] for job in moves if job.state is State.WORKING] == ["a", "d", "b", "c"]


async def test_a_job_of_low_priority_that_gets_a_higher_one_no_longer_makes_room(tmp_path):
    gates = [Gate(), Gate()]
    trim = FakeStep("trim", results=[*gates])
    async with Engine(tmp_path, steps=[trim], at_once=2, background=1) as engine:
        await engine.one("a_t1_000000_000100.mp4", priority=-1)
        await gates[0].wait()
        aside = await engine.one("b_t1_000000_000100.mp4", priority=-1)
        await engine.commands.prioritize(aside, 0)
        await gates[1].wait()
        assert (await engine.store.job(aside.id)).state is State.WORKING
        for gate in gates:
            gate.open.set()
        await engine.until_idle()

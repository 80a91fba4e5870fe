"""What a programme's rows want of the jobs that are there."""

import asyncio
from contextlib import asynccontextmanager

from builders.engine import Engine, FakePublisher, FakeStep, talk

from vidd.engine.row_requests import RowRequests
from vidd.errors import Refused, RetryLater
from vidd.model.job import State
from vidd.model.publication import PublicationState
from vidd.model.talk import revision_of
from vidd.stores.memory import MemoryStore


class CountingStore(MemoryStore):
    """Counts the programme's rows that it gives."""

    rows = 0

    async def talks(self, programme):
        found = await super().talks(programme)
        self.rows += len(found)
        return found

    async def talk(self, programme, talk_id):
        self.rows += 1
        return await super().talk(programme, talk_id)


@asynccontextmanager
async def sheet(tmp_path, *rows, **how):
    """An engine with row_requests, and a function that puts other rows into the programme and waits until they were seen."""
    async with Engine(tmp_path, programme="sheet", **how) as engine:
        row_requests = RowRequests(
            engine.context, engine.runner, engine.intake, engine.commands, pipeline="talks", plan=engine.plan
        )
        engine.observers.append(row_requests.note)

        granting = asyncio.Lock()
        settle = row_requests.grant_pending

        async def settle_alone():
            async with granting:
                await settle()

        async def put(*talks):
            async with granting:
                await engine.store.put_talks("sheet", talks, engine.clock.now())
            row_requests.programme_read("sheet")
            await settle_alone()

        row_requests.grant_pending = settle_alone
        await put(*rows)
        task = asyncio.create_task(row_requests.run())
        try:
            yield engine, put
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_an_excluded_talk_ends_excluded_and_starts_when_it_no_longer_is(tmp_path):
    far = FakePublisher("far")
    async with sheet(tmp_path, talk("t1", excluded=True), publishers=[far]) as (engine, put):
        job = await engine.until((await engine.one()).id, State.EXCLUDED)
        await put(talk("t1"))
        await engine.until(job.id, State.PUBLISHED)
        assert far.arrived == [job.id]


async def test_a_talk_excluded_while_it_is_cut_does_not_go_out(tmp_path):
    far, cutting = FakePublisher("far"), asyncio.Event()
    cut = FakeStep("cut", results=[cutting.wait])
    async with sheet(tmp_path, talk("t1"), publishers=[far], steps=[cut]) as (engine, put):
        job = await engine.one()
        await engine.until(job.id, State.WORKING)
        await put(talk("t1", excluded=True))
        cutting.set()
        await engine.until(job.id, State.EXCLUDED)
        assert far.arrived == []


async def test_a_row_that_is_gone_while_its_talk_is_cut_keeps_nothing_back(tmp_path):
    far, cutting = FakePublisher("far"), asyncio.Event()
    cut = FakeStep("cut", results=[cutting.wait])
    async with sheet(tmp_path, talk("t1"), talk("t2"), publishers=[far], steps=[cut]) as (engine, put):
        job = await engine.one()
        await engine.until(job.id, State.WORKING)
        await put(talk("t2"))
        cutting.set()
        await engine.until(job.id, State.PUBLISHED)
        assert far.arrived == [job.id]


async def test_a_waiting_talk_is_excluded_at_once_and_a_published_one_stays_out(tmp_path):
    far = FakePublisher("far")
    cut = FakeStep("cut", results=[None, RetryLater("Tomorrow.", after=86400)])
    async with sheet(tmp_path, talk("t1"), talk("t2"), publishers=[far], steps=[cut]) as (engine, put):
        out = await engine.until((await engine.one()).id, State.PUBLISHED)
        waits = await engine.until((await engine.one("Main_t2_000000_000100.mp4")).id, State.WAITING)
        await put(talk("t1", excluded=True), talk("t2", excluded=True))
        await engine.until(waits.id, State.EXCLUDED)
        assert (await engine.store.job(out.id)).state is State.PUBLISHED


async def test_a_changed_description_reaches_what_is_published_and_nothing_is_cut_or_told_again(tmp_path):
    far, disk, mail, cut = (
        FakePublisher("far", amends=True),
        FakePublisher("disk"),
        FakePublisher("mail"),
        FakeStep("cut"),
    )
    rows = {"publishers": [far, disk], "notices": [mail], "steps": [cut]}
    async with sheet(tmp_path, talk("t1", description="Old."), **rows) as (engine, put):
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await put(talk("t1", description="New.", priority=3))
        job = await engine.until(job.id, State.PUBLISHED, times=2)
        assert (far.said[job.id], disk.said[job.id]) == ("New.", "Old.")
        assert (far.arrived, disk.arrived, mail.arrived, cut.runs) == ([job.id], [job.id], [job.id], 1)
        await put(talk("t1", description="New.", priority=4))
        await engine.until_idle()
        assert engine.path(job.id).count(State.PUBLISHED) == 2


async def test_words_that_changed_while_the_talk_was_cut_are_made_good_after_it(tmp_path):
    far, cutting = FakePublisher("far", amends=True), asyncio.Event()
    async with sheet(
        tmp_path, talk("t1", description="Old."), publishers=[far], steps=[FakeStep("cut", results=[cutting.wait])]
    ) as (engine, put):
        job = await engine.one()
        await engine.until(job.id, State.WORKING)
        await put(talk("t1", description="New."))
        cutting.set()
        await engine.until(job.id, State.PUBLISHED, times=2)
        assert (far.said[job.id], far.arrived) == ("New.", [job.id])


async def test_a_change_that_must_wait_waits_and_one_that_is_refused_is_said_and_not_repeated(tmp_path):
    far = FakePublisher("far", amends=True)
    far.faults += [RetryLater("Quota.", after=60), Refused("Too long.")]
    async with sheet(tmp_path, talk("t1", description="Old."), publishers=[far]) as (engine, put):
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        new = talk("t1", description="New.")
        await put(new)
        await engine.until(job.id, State.WAITING)
        engine.clock.forward(70)
        job = await engine.until(job.id, State.PUBLISHED, times=2)
        assert job.reason == "Published, but not changed: far: Too long."
        [one] = await engine.store.publications(job.id)
        assert (one.state, one.revision, far.said[job.id]) == (PublicationState.DONE, revision_of(new), "Old.")
        await engine.until_idle()
        await engine.commands.retry(await engine.store.job(job.id))
        job = await engine.until(job.id, State.PUBLISHED, times=3)
        assert (job.reason, far.said[job.id]) == (None, "New.")


async def test_reprocess_makes_one_new_job_for_each_mark_and_takes_the_earlier_one_back(tmp_path):
    far, cut = FakePublisher("far", amends=True), FakeStep("cut")
    async with sheet(tmp_path, talk("t1"), publishers=[far], steps=[cut]) as (engine, put):
        first = await engine.until((await engine.one()).id, State.PUBLISHED)
        engine.clock.forward(1)
        await put(talk("t1", reprocess="1"))
        await engine.until(first.id, State.CANCELLED)
        second = (await engine.store.jobs(talk="t1"))[0]
        assert (second.id != first.id, far.arrived, cut.runs) == (True, [second.id], 2)
        await put(talk("t1", reprocess="1", title="Another."))
        await engine.until(second.id, State.PUBLISHED, times=2)
        assert len(await engine.store.jobs(talk="t1")) == 2
        engine.clock.forward(1)
        await put(talk("t1", title="Another.", reprocess="2"))
        await engine.until(second.id, State.CANCELLED)
        assert len(await engine.store.jobs(talk="t1")) == 3
        assert len(far.arrived) == 1


async def test_what_was_replaced_in_its_place_is_not_taken_away(tmp_path):
    shelf = FakePublisher("shelf", amends=True, address="far://shelf/t1")
    async with sheet(tmp_path, talk("t1"), publishers=[shelf]) as (engine, put):
        first = await engine.until((await engine.one()).id, State.PUBLISHED)
        engine.clock.forward(1)
        await put(talk("t1", reprocess="1"))
        first = await engine.until(first.id, State.CANCELLED)
        second = (await engine.store.jobs(talk="t1"))[0]
        assert shelf.arrived == [first.id, second.id]
        assert first.reason == f"The job {second.id} took its place."


async def test_a_job_that_moves_has_only_its_own_row_read(tmp_path):
    store = CountingStore()
    async with Engine(tmp_path, programme="sheet", publishers=[FakePublisher("far")], store=store) as engine:
        row_requests = RowRequests(
            engine.context, engine.runner, engine.intake, engine.commands, pipeline="talks", plan=engine.plan
        )
        engine.observers.append(row_requests.note)
        await store.put_talks("sheet", [talk(f"t{number}") for number in range(50)], engine.clock.now())
        await row_requests.grant_pending()
        await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.until_idle()
        assert row_requests.outstanding
        store.rows = 0
        await row_requests.grant_pending()
        assert store.rows == 1
        row_requests.programme_read("sheet")
        await row_requests.grant_pending()
        assert store.rows == 51


async def test_a_row_that_comes_back_is_looked_at_anew(tmp_path):
    async with sheet(tmp_path, talk("t1", priority=5), publishers=[FakePublisher("far")]) as (engine, put):
        await put()
        job = await engine.until((await engine.one()).id, State.WAITING)
        await put()
        await put(talk("t1", priority=5))
        assert (await engine.store.job(job.id)).priority == 5


async def test_a_mark_that_was_there_before_the_recording_asks_for_nothing(tmp_path):
    far = FakePublisher("far")
    async with sheet(tmp_path, talk("t1", reprocess="1", resend="1"), publishers=[far]) as (engine, _):
        await engine.until_idle()
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.until_idle()
        assert (await engine.store.jobs(), far.arrived) == ([await engine.store.job(job.id)], [job.id])


async def test_resend_sends_the_letters_again_once_for_each_mark(tmp_path):
    far, mail = FakePublisher("far"), FakePublisher("mail", is_email=True)
    async with sheet(tmp_path, talk("t1"), publishers=[far], notices=[mail]) as (engine, put):
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await put(talk("t1", resend="1"))
        await engine.until(job.id, State.PUBLISHED, times=2)
        await put(talk("t1", resend="1", priority=2))
        await engine.until_idle()
        await put(talk("t1"))
        await engine.until_idle()
        await put(talk("t1", resend="1"))
        await engine.until(job.id, State.PUBLISHED, times=3)
        assert (far.arrived, mail.arrived) == ([job.id], [job.id] * 3)


async def test_the_rows_priority_puts_a_queued_job_before_the_others(tmp_path):
    far, cutting = FakePublisher("far"), asyncio.Event()
    cut = FakeStep("cut", results=[cutting.wait])
    rows = [talk("t1"), talk("t2"), talk("t3")]
    async with sheet(tmp_path, *rows, publishers=[far], steps=[cut], at_once=1) as (engine, put):
        jobs = await engine.admit(*[f"Main_{one.id}_000000_000100.mp4" for one in rows])
        await engine.until(jobs[0].id, State.WORKING)
        await put(talk("t1"), talk("t2"), talk("t3", priority=5))
        cutting.set()
        for job in jobs:
            await engine.until(job.id, State.PUBLISHED)
        assert far.arrived == [jobs[0].id, jobs[2].id, jobs[1].id]

from builders.engine import Engine, FakePublisher, FakeStep, talk

from vidd.engine.row_sync import RowSync
from vidd.errors import Refused, RetryLater
from vidd.model.event import JobMoved
from vidd.model.job import State
from vidd.model.talk import Status, TalkStatus


class Sheet:
    """Keeps what it was told last of each talk."""

    def __init__(self):
        self.rows = {}

    async def follow(self, standings, _tools):
        self.rows |= {one.talk: one for one in standings}


async def test_a_row_follows_its_job_to_the_link(tmp_path):
    sheet = Sheet()
    async with Engine(tmp_path, publishers=[FakePublisher("s3")]) as engine:
        row_sync = RowSync(engine.context, "talks", sheet.follow)
        job = await engine.one()
        await engine.until(job.id, State.PUBLISHED)
        for event in engine.events:
            row_sync.note(event)
        await row_sync.flush()
        far = f"far://s3/{job.id}"
        assert sheet.rows == {"t1": TalkStatus("t1", Status.PUBLISHED, far, {"s3": far})}


async def test_a_talk_that_is_out_stays_published_whatever_comes_after_it(tmp_path):
    sheet, library = Sheet(), FakePublisher("s3")
    async with Engine(tmp_path, publishers=[library]) as engine:
        row_sync = RowSync(engine.context, "talks", sheet.follow)
        first = await engine.one()
        await engine.until(first.id, State.PUBLISHED)
        library.results.append(Refused("There is another file already."))
        second = await engine.one("Again_t1_000000_000100.mp4")
        await engine.until(second.id, State.REFUSED)
        for event in engine.events:
            row_sync.note(event)
        await row_sync.flush()
        far = f"far://s3/{first.id}"
        assert sheet.rows["t1"] == TalkStatus("t1", Status.PUBLISHED, far, {"s3": far})


async def test_a_talk_that_is_taken_back_says_so_even_while_others_are_still_to_be_told(tmp_path):
    sheet, library = Sheet(), FakePublisher("s3", amends=True)
    hook = FakePublisher("hook", tells_retraction=True)
    async with Engine(tmp_path, publishers=[library], notices=[hook]) as engine:
        row_sync = RowSync(engine.context, "talks", sheet.follow)
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        hook.results.append(RetryLater("Tomorrow.", after=86400))
        await engine.commands.retract(job)
        await engine.until(job.id, State.WAITING)
        row_sync.note(JobMoved(await engine.store.job(job.id), None))
        await row_sync.flush()
        assert sheet.rows["t1"].status is Status.RETRACTED


async def test_a_name_with_wrong_times_fails_in_its_talks_row(tmp_path):
    sheet = Sheet()
    async with Engine(tmp_path, programme="sheet") as engine:
        await engine.store.put_talks("sheet", [talk("t1")], engine.clock.now())
        row_sync = RowSync(engine.context, "talks", sheet.follow)
        job = await engine.one("Main_t1_000200_000100.mp4")
        refused = await engine.until(job.id, State.REFUSED)
        assert "before it starts" in refused.reason
        row_sync.note(engine.events[-1])
        await row_sync.flush()
        assert sheet.rows["t1"].status is Status.FAILED


async def test_the_files_of_a_job_refused_long_ago_are_removed(tmp_path):
    trim = FakeStep("trim", results=[Refused("No.")])
    async with Engine(tmp_path, steps=[FakeStep("fetch"), trim]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.REFUSED)
        await engine.until_idle()
        await engine.runner._sweep()
        assert [path.name for path in (tmp_path / "jobs").iterdir()] == [job.id]
        engine.clock.forward(7 * 86400 + 1)
        await engine.runner._sweep()
        assert list((tmp_path / "jobs").iterdir()) == []

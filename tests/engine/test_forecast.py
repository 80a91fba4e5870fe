import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from builders.engine import DEADLINE, START, Engine, FakePublisher, FakeStep, Gate, job

from vidd.engine.forecast import Forecast
from vidd.errors import RetryLater
from vidd.model.event import JobMoved, Progressed, PublicationMoved, StepEnded, StepStarted
from vidd.model.job import State
from vidd.model.media import Artifact, Media, Outcome, StepRecord
from vidd.model.publication import Publication, PublicationState, Receipt


def at(seconds):
    return START + timedelta(seconds=seconds)


class Weather:
    """A forecast over an engine that does not run: the test says what happens."""

    def __init__(self, root, **engine):
        given = {
            "steps": [FakeStep("fetch"), FakeStep("trim", "encodes")],
            "publishers": [FakePublisher("tube", "uploads"), FakePublisher("shelf", "uploads")],
            "notices": [FakePublisher("mail", "mails")],
        }
        self.engine = Engine(root, **{**given, **engine})
        self.paused, self.limits, self.monotonic = False, (2, 1), 0.0
        self.forecast = Forecast(
            self.engine.context, lambda: self.limits, lambda: self.paused, monotonic=lambda: self.monotonic
        )
        self.note = self.forecast.note

    def end(self, job_id):
        """Seconds from START until the job is expected to end."""
        self.monotonic += 1000
        end = self.forecast.end_of(job_id)
        return None if end is None else (end - START).total_seconds()

    @property
    def end_of_queue(self):
        self.monotonic += 1000
        end = self.forecast.end_of_queue
        return None if end is None else (end - START).total_seconds()

    async def record(self, number, length, **more):
        """A published job of so many seconds: its fetch took 10 s, its trim half its length, its uploads a tenth."""
        name, store = f"Main_t{number}_000000_{length // 60:04}{length % 60:02}.mp4", self.engine.store
        old = job(f"old{number}", state=State.PUBLISHED, name=name, created=at(-1000 + number), **more)
        await store.admit([old])
        for step, seconds in (("fetch", 10.0), ("trim", length / 2)):
            await store.record_step(StepRecord(old.id, step, step, "1", Outcome(), seconds))
        for publisher, seconds in (("tube", length / 10), ("shelf", 1.0), ("mail", 2.0)):
            sent = Publication(
                old.id, publisher, publisher, at(seconds), tried=at(0), attempt=1, state=PublicationState.DONE,
                receipt=Receipt("x"), notice=publisher == "mail",
            )  # fmt: skip
            await store.save_publication(sent, expect=None)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.forecast.run())
        try:
            for _ in range(50):
                await asyncio.sleep(0)
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def weather(tmp_path):
    return Weather(tmp_path)


def arrived(job_id="new1", **more):
    return job(job_id, name="Main_t9_000000_001000.mp4", **more)


async def test_without_a_history_nobody_knows(weather):
    async with weather.running():
        weather.note(JobMoved(arrived(), None))
        assert weather.end("new1") is None
        assert weather.end_of_queue is None
        assert weather.end("never") is None


async def test_the_journal_of_earlier_jobs_tells_when_a_new_one_will_be_done(weather):
    for number, length in enumerate((300, 600, 1200)):
        await weather.record(number, length)
    async with weather.running():
        weather.note(JobMoved(arrived(), None))
        # 600 s: fetched in 10 s, trimmed in 300 s, the slower upload takes 60 s, the mail 2 s
        assert weather.end("new1") == 372
        weather.note(JobMoved(arrived("new2"), None))
        assert weather.end("new2") == 672
        assert weather.end_of_queue == 672


async def test_what_runs_is_told_by_its_own_speed_and_never_ends_in_the_past(weather):
    await weather.record(1, 600)
    async with weather.running():
        new = arrived()
        weather.note(JobMoved(new, None))
        weather.note(JobMoved(new.evolve(state=State.READY).evolve(state=State.WORKING), State.READY))
        weather.note(StepStarted(new.id, "talks", "fetch", "fetch"))
        weather.engine.clock.forward(4)
        assert weather.end(new.id) == 372
        weather.engine.clock.forward(16)
        # It takes longer than it should: a tenth of the time so far is expected on top.
        assert weather.end(new.id) == 20 + 2 + 362
        weather.note(StepEnded(new.id, "talks", "fetch", "fetch", 20.0, "done"))
        weather.note(StepStarted(new.id, "talks", "trim", "trim"))
        assert weather.end(new.id) == 20 + 362
        weather.engine.clock.forward(100)
        weather.note(Progressed(new.id, "trim", 100.0, 600.0, "s", 1.0))
        assert weather.end(new.id) == 120 + 500 + 62
        weather.engine.clock.forward(1000)
        weather.note(Progressed(new.id, "trim", 600.0, 600.0, "s", 1.0))
        assert weather.end(new.id) == 1120 + 110 + 62
        weather.engine.clock.forward(100_000)
        assert weather.forecast.end_of(new.id) >= weather.engine.clock.now()


async def test_a_publication_that_is_tried_again_later_counts_from_then(weather):
    await weather.record(1, 600)
    async with weather.running():
        new = arrived()
        for state, before in ((State.SEEN, None), (State.READY, State.SEEN), (State.WORKING, State.READY)):
            weather.note(JobMoved(arrived(state=state), before))
        for step in ("fetch", "trim"):
            weather.note(StepEnded(new.id, "talks", step, step, 1.0, "done"))
        weather.note(JobMoved(arrived(state=State.PUBLISHING), State.WORKING))
        tube = Publication(new.id, "tube", "tube", START, state=PublicationState.STARTED)
        weather.note(PublicationMoved(tube, "talks"))
        assert weather.end(new.id) == 62
        weather.note(
            PublicationMoved(tube.evolve(state=PublicationState.WAITING, until=at(500), changed=at(1)), "talks")
        )
        assert weather.end(new.id) == 562
        weather.note(JobMoved(arrived(state=State.WAITING, until=at(500)), State.PUBLISHING))
        assert weather.end(new.id) == 562


async def test_a_run_of_today_counts_for_the_next_job(weather):
    async with weather.running():
        first = arrived(state=State.WORKING)
        weather.note(JobMoved(first, None))
        for step, seconds in (("fetch", 5.0), ("trim", 60.0)):
            weather.note(StepStarted(first.id, "talks", step, step))
            weather.note(StepEnded(first.id, "talks", step, step, seconds, "done"))
        for name in ("tube", "shelf", "mail"):
            sent = Publication(first.id, name, name, START, state=PublicationState.STARTED)
            weather.note(PublicationMoved(sent, "talks"))
            weather.note(PublicationMoved(sent.evolve(state=PublicationState.DONE, changed=at(7)), "talks"))
        weather.note(JobMoved(first.evolve(state=State.PUBLISHING).evolve(state=State.PUBLISHED), State.PUBLISHING))
        weather.note(JobMoved(arrived("new2"), None))
        assert weather.end("new2") == 5 + 60 + 7 + 7
        assert weather.end(first.id) is None


async def test_a_failed_run_does_not_count(weather):
    async with weather.running():
        weather.note(JobMoved(arrived(state=State.WORKING), None))
        weather.note(StepEnded("new1", "talks", "fetch", "fetch", 5.0, "again"))
        weather.note(JobMoved(arrived("new2"), None))
        assert weather.end("new2") is None


async def test_after_a_restart_what_was_done_is_not_counted_again(weather):
    await weather.record(1, 600)
    await weather.engine.store.admit([arrived(state=State.READY)])
    media = Media("mp4", 600.0, 99)
    made = Outcome((Artifact("talk", "talk.mp4", 99, media=media),))
    await weather.engine.store.record_step(StepRecord("new1", "fetch", "fetch", "1", made, 9.0))
    async with weather.running():
        assert weather.end("new1") == 300 + 60 + 2


async def test_a_rework_counts_the_steps_from_its_first_one_on(weather):
    await weather.record(1, 600)
    published = arrived(state=State.PUBLISHED, facts={"rework": {"edition": 2, "step": "trim"}})
    await weather.engine.store.admit([published])
    for step, seconds in (("fetch", 10.0), ("trim", 300.0)):
        await weather.engine.store.record_step(StepRecord("new1", step, step, "1", Outcome(), seconds))
    async with weather.running():
        weather.note(JobMoved(published.evolve(state=State.READY), State.PUBLISHED))
        for _ in range(20):
            await asyncio.sleep(0)
        assert weather.end("new1") == 300 + 60 + 2


async def test_nothing_is_expected_of_what_waits_for_a_person(tmp_path):
    weather = Weather(tmp_path, review=True)
    await weather.record(1, 600)
    async with weather.running():
        weather.note(JobMoved(arrived(), None))
        assert weather.end("new1") is None
        weather.note(JobMoved(arrived(state=State.PUBLISHING), State.HELD))
        for _ in range(20):
            await asyncio.sleep(0)
        assert weather.end("new1") == 62
        weather.note(JobMoved(arrived(state=State.REFUSED), State.PUBLISHING))
        assert weather.end("new1") is None


async def test_while_the_daemon_is_paused_only_what_runs_is_expected_to_end(weather):
    await weather.record(1, 600)
    weather.paused = True
    async with weather.running():
        weather.note(JobMoved(arrived("new1", state=State.WORKING), None))
        weather.note(JobMoved(arrived("new2"), None))
        assert weather.end("new1") == 372
        assert weather.end("new2") is None
        assert weather.end_of_queue is None


async def test_a_store_that_is_away_is_asked_again(weather):
    await weather.record(1, 600)
    page, faults = weather.engine.store.page, [RetryLater("The store is away.")]

    async def away(*given):
        if faults:
            raise faults.pop()
        return await page(*given)

    weather.engine.store.page = away
    async with weather.running():
        weather.note(JobMoved(arrived(), None))
        assert weather.end("new1") is None
        weather.engine.clock.forward(5)
        for _ in range(50):
            await asyncio.sleep(0)
        assert weather.end("new1") == 5 + 372


async def test_a_forecast_serves_for_a_moment_before_another_is_made(weather):
    await weather.record(1, 600)
    async with weather.running():
        weather.note(JobMoved(arrived(), None))
        assert weather.end("new1") == 372
        weather.note(JobMoved(arrived("new2"), None))
        assert weather.forecast.end_of("new2") is None
        weather.monotonic += 1
        assert weather.forecast.end_of("new2") is not None


async def test_a_forecast_of_many_jobs_is_made_beside_everything_else(weather):
    await weather.record(1, 600)
    async with weather.running(), asyncio.timeout(DEADLINE):
        for number in range(500):
            weather.note(JobMoved(arrived(f"new{number:03}"), None))
        assert weather.end("new499") is None
        while weather.end("new499") is None:  # noqa: ASYNC110 - a forecast tells nobody
            await asyncio.sleep(0.01)
        # Each waits for the only slot for encodes, 300 s a job; the first one is fetched in 10 s.
        assert weather.end("new499") == 10 + 500 * 300 + 62


async def test_where_a_job_stands_is_told_by_the_slot_it_waits_for_and_those_before_it(tmp_path):
    gate = Gate()
    trim = FakeStep("trim", "encodes", results=[gate, None, None])
    async with Engine(tmp_path, steps=[trim], at_once=3) as engine, asyncio.timeout(DEADLINE):
        forecast = Forecast(engine.context, lambda: engine.runner.limits, lambda: False)
        engine.observers.append(forecast.note)
        jobs = await engine.admit(*[f"Main_t{number}_000000_000100.mp4" for number in range(5)])
        await gate.wait()
        while engine.context.slots.pools["encodes"].waiting < 2:  # noqa: ASYNC110 - a pool tells nobody
            await asyncio.sleep(0)
        found = [forecast.standing(await engine.store.job(each.id), running=3, put_aside=False) for each in jobs]
        assert found[0].parts == ("trim",)
        assert found[0].slot is None
        assert [standing.slot for standing in found[1:3]] == [("encodes", 1, 0), ("encodes", 1, 1)]
        assert [standing.ahead for standing in found] == [None, None, None, 0, 1]
        assert (found[4].running, found[4].most) == (3, 3)
        gate.open.set()
        await engine.until_idle()


RECORDED = [
    (18, 9.16, 0.0), (28, 6.84, 0.0), (64, 13.35, 0.0), (90, 19.61, 0.0), (20, 4.45, 4.6), (24, 5.09, 10.0),
    (35, 6.61, 16.7), (50, 8.25, 25.2), (12, 3.07, 28.4), (10, 2.53, 31.0), (16, 2.20, 33.4), (40, 7.72, 41.2),
    (8, 2.59, 43.9), (14, 4.58, 48.6),
]  # fmt: skip
"""Recordings that a vidd transcoded one after the other on two busy cores: seconds of video, seconds that the step took, and
when the job was published, in seconds since the fourth one was."""


async def test_on_a_recorded_history_the_ends_of_ten_jobs_are_off_by_an_eighth_at_most(tmp_path):
    weather = Weather(tmp_path, steps=[FakeStep("transcode", "encodes")], publishers=[], notices=[])
    for number, (length, seconds, _) in enumerate(RECORDED[:4]):
        old = job(f"a{number}", state=State.PUBLISHED, name=f"Main_t{number}_000000_{_clock(length)}.mp4")
        await weather.engine.store.admit([old])
        await weather.engine.store.record_step(StepRecord(old.id, "transcode", "transcode", "1", Outcome(), seconds))
    async with weather.running():
        queued = {f"b{number:02}": row for number, row in enumerate(RECORDED[4:])}
        for job_id, (length, _, _) in queued.items():
            weather.note(JobMoved(job(job_id, name=f"Main_{job_id}_000000_{_clock(length)}.mp4"), None))
        errors = [abs(weather.end(job_id) - ended) / ended for job_id, (_, _, ended) in queued.items()]
    assert sum(errors) / len(errors) < 0.125


def _clock(seconds):
    return f"00{seconds // 60:02}{seconds % 60:02}"

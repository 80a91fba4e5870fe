import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from builders.engine import DEADLINE, Engine, FakePublisher, FakeStep, Gate, arrival, talk

from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.model.event import StepEnded
from vidd.model.job import IllegalMove, State
from vidd.model.media import Outcome
from vidd.model.publication import PublicationState
from vidd.model.retry import RetryRule
from vidd.stores.memory import MemoryStore

WHOLE_PATH = [State.SEEN, State.READY, State.WORKING, State.PUBLISHING, State.PUBLISHED]


async def test_an_arrival_goes_down_the_whole_path_and_leaves_no_file(tmp_path):
    step, library, mail = FakeStep("trim"), FakePublisher("s3"), FakePublisher("mail")
    async with Engine(tmp_path, steps=[step], publishers=[library], notices=[mail]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.PUBLISHED)
        await engine.until_idle()
        assert engine.path(job.id) == WHOLE_PATH
        assert (step.runs, library.arrived, mail.arrived) == (1, [job.id], [job.id])
        assert list((tmp_path / "jobs").iterdir()) == []
        assert [one.state for one in await engine.store.publications(job.id)] == [
            PublicationState.DONE,
            PublicationState.DONE,
        ]


async def test_the_same_arrival_is_worked_on_once(tmp_path):
    step = FakeStep("trim")
    async with Engine(tmp_path, steps=[step]) as engine:
        job = await engine.one()
        assert await engine.admit("Main_t1_000000_000100.mp4") == []
        await engine.until(job.id, State.PUBLISHED)
        await engine.until_idle()
        assert step.runs == 1


async def test_a_step_that_failed_runs_again_at_its_time_and_recorded_steps_do_not(tmp_path):
    fetch, trim = FakeStep("fetch"), FakeStep("trim", results=[RetryLater("The disk is slow.")])
    async with Engine(tmp_path, steps=[fetch, trim]) as engine:
        job = await engine.one()
        waiting = await engine.until(job.id, State.WAITING)
        assert (waiting.attempt, waiting.reason) == (1, "The disk is slow.")
        engine.clock.forward(9)
        await asyncio.sleep(0)
        assert (await engine.store.job(job.id)).state is State.WAITING
        engine.clock.forward(1)
        await engine.until(job.id, State.PUBLISHED)
        assert (fetch.runs, trim.runs) == (1, 2)


async def test_a_recorded_step_runs_again_once_its_outcome_serves_no_more(tmp_path):
    seen = []

    def still(context, outcome):
        seen.append((context.job.id, outcome.facts))
        return len(seen) > 1

    class Fetch(FakeStep):
        def planned(self):
            return replace(super().planned(), is_still_valid=still)

    fetch, between = Fetch("fetch"), FakeStep("between")
    trim = FakeStep("trim", results=[RetryLater("No."), RetryLater("No.")])
    async with Engine(tmp_path, steps=[fetch, between, trim]) as engine:
        job = await engine.one()
        for time in (1, 2):
            await engine.until(job.id, State.WAITING, time)
            await engine.until_idle()
            engine.clock.forward(100)
        await engine.until(job.id, State.PUBLISHED)
        # What was made from the old file is made anew as well.
        assert (fetch.runs, between.runs, trim.runs) == (2, 2, 3)
        assert seen == [(job.id, {"fetch": 1}), (job.id, {"fetch": 2})]


async def test_attempts_are_bounded_and_the_last_reason_is_kept(tmp_path):
    trim = FakeStep("trim", results=[RetryLater("No."), RetryLater("No."), RetryLater("Still no.")])
    async with Engine(tmp_path, steps=[trim]) as engine:
        job = await engine.one()
        for time in (1, 2):
            await engine.until(job.id, State.WAITING, time)
            await engine.until_idle()
            engine.clock.forward(100)
        refused = await engine.until(job.id, State.REFUSED)
        assert refused.reason == "Given up after 3 attempts: Still no."


async def test_a_wait_that_is_nobodys_failure_uses_up_no_attempt(tmp_path):
    full = [RetryLater("The disk is full.", after=60, counts=False) for _ in range(5)]
    trim = FakeStep("trim", results=list(full))
    async with Engine(tmp_path, steps=[trim], retry=RetryRule(attempts=2, first=10, jitter=0)) as engine:
        job = await engine.one()
        for time in range(1, 6):
            assert (await engine.until(job.id, State.WAITING, time)).attempt == 0
            await engine.until_idle()
            engine.clock.forward(61)
        await engine.until(job.id, State.PUBLISHED)


async def test_a_publishers_wait_that_is_nobodys_failure_leaves_its_attempts_for_real_ones(tmp_path):
    quota = [RetryLater("The quota is used up.", after=60, counts=False) for _ in range(4)]
    far = FakePublisher("far", results=[*quota, RetryLater("503.")], answers=[None, *quota])
    async with Engine(tmp_path, publishers=[far], retry=RetryRule(attempts=2, first=10, jitter=0)) as engine:
        job = await engine.one()
        for time in range(1, 10):
            await engine.until(job.id, State.WAITING, time)
            [one] = await engine.store.publications(job.id)
            assert one.attempt == (time == 9), time
            await engine.until_idle()
            engine.clock.forward(61)
        await engine.until(job.id, State.PUBLISHED)


async def test_bad_input_is_refused_with_its_sentence_and_delays_nothing_else(tmp_path):
    trim = FakeStep("trim", results=[Refused("The file is empty: record it again.")])
    async with Engine(tmp_path, steps=[trim], at_once=1) as engine:
        bad = await engine.one("a_t1_000000_000100.mp4")
        good = await engine.one("b_t1_000000_000100.mp4")
        assert (await engine.until(bad.id, State.REFUSED)).reason == "The file is empty: record it again."
        await engine.until(good.id, State.PUBLISHED)


@pytest.mark.slow
async def test_a_defect_in_a_step_keeps_the_jobs_record_and_says_so(tmp_path):
    async with Engine(tmp_path, steps=[FakeStep("trim", results=[KeyError("width")])]) as engine:
        job = await engine.one()
        assert "KeyError: 'width'" in (await engine.until(job.id, State.REFUSED)).reason
        assert [one.fate for one in engine.events if isinstance(one, StepEnded)] == ["defect"]


async def test_publishers_run_side_by_side_and_one_failure_leaves_the_others_receipts(tmp_path):
    gate = Gate()
    slow = FakePublisher("s3", results=[gate])
    bad = FakePublisher("youtube", results=[Refused("The token is revoked.")])
    mail = FakePublisher("mail")
    async with Engine(tmp_path, publishers=[slow, bad], notices=[mail]) as engine:
        job = await engine.one()
        await gate.wait()
        gate.open.set()
        refused = await engine.until(job.id, State.REFUSED)
        assert refused.reason == "youtube: The token is revoked."
        assert mail.arrived == []
        await engine.commands.retry(refused)
        await engine.until(job.id, State.PUBLISHED)
        assert (slow.arrived, bad.arrived, mail.arrived) == ([job.id], [job.id], [job.id])


async def test_an_optional_publisher_may_fail(tmp_path):
    extra = FakePublisher("extra", required=False, results=[Refused("No.")])
    async with Engine(tmp_path, publishers=[FakePublisher("s3"), extra]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.PUBLISHED)


async def test_a_lost_reply_is_asked_for_and_nothing_is_sent_twice(tmp_path):
    s3 = FakePublisher("s3")

    async def commit_and_drop(context):
        s3.arrived.append(context.job.id)
        raise OutcomeUnknown("The connection broke before the answer.")

    s3.results.append(commit_and_drop)
    async with Engine(tmp_path, publishers=[s3]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.PUBLISHED)
        assert s3.arrived == [job.id]


async def test_what_provably_did_not_arrive_is_sent_again(tmp_path):
    s3 = FakePublisher("s3", results=[OutcomeUnknown("The connection broke.")])
    async with Engine(tmp_path, publishers=[s3]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.WAITING)
        await engine.until_idle()
        engine.clock.forward(60)
        await engine.until(job.id, State.PUBLISHED)
        assert s3.arrived == [job.id]


async def test_what_cannot_be_asked_is_unsure_and_is_not_sent_again(tmp_path):
    lost = OutcomeUnknown("The server does not say.")
    s3 = FakePublisher("s3", results=[OutcomeUnknown("Broken.")], answers=[lost, lost])
    async with Engine(tmp_path, publishers=[s3]) as engine:
        job = await engine.one()
        unsure = await engine.until(job.id, State.UNSURE)
        assert unsure.reason == "s3: The server does not say."
        await engine.commands.retry(unsure)
        await engine.until(job.id, State.UNSURE, 2)
        assert s3.arrived == []


async def test_a_provider_that_cannot_be_reached_is_asked_again_before_anything_is_sent(tmp_path):
    away = RetryLater("The provider is away.")
    s3 = FakePublisher("s3", results=[OutcomeUnknown("Broken.")], answers=[away, away])
    async with Engine(tmp_path, publishers=[s3], retry=RetryRule(attempts=9, first=10, jitter=0)) as engine:
        job = await engine.one()
        s3.arrived.append(job.id)
        for time in (1, 2):
            await engine.until(job.id, State.WAITING, time)
            await engine.until_idle()
            engine.clock.forward(100)
        await engine.until(job.id, State.PUBLISHED)
        assert s3.arrived == [job.id]


async def test_a_refused_notice_does_not_unpublish_and_can_be_sent_later_without_any_step(tmp_path):
    trim, mail = FakeStep("trim"), FakePublisher("mail", results=[Refused("Wrong password.")])
    async with Engine(tmp_path, steps=[trim], publishers=[FakePublisher("s3")], notices=[mail]) as engine:
        job = await engine.one()
        published = await engine.until(job.id, State.PUBLISHED)
        assert "mail: Wrong password." in published.reason
        await engine.until_idle()
        await engine.commands.retry(published)
        await engine.until_idle()
        again = await engine.until(job.id, State.PUBLISHED, 2)
        assert (again.reason, mail.arrived, trim.runs) == (None, [job.id], 1)
        with pytest.raises(IllegalMove, match="nothing to retry"):
            await engine.commands.retry(again)


async def test_a_lost_file_makes_its_step_and_those_after_it_run_again(tmp_path):
    fetch, trim, library = FakeStep("fetch"), FakeStep("trim"), FakePublisher("s3", results=[RetryLater("busy")])
    async with Engine(tmp_path, steps=[fetch, trim], publishers=[library]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.WAITING)
        (tmp_path / "jobs" / job.id / "fetch.bin").write_bytes(b"short")
        await asyncio.sleep(0)
        engine.clock.forward(60)
        await engine.until(job.id, State.PUBLISHED)
        assert (fetch.runs, trim.runs) == (2, 2)


async def test_one_job_uploads_while_the_next_encodes(tmp_path):
    upload, encode = Gate(), Gate()
    trim = FakeStep("trim", pool="encodes", results=[None, encode])
    library = FakePublisher("s3", pool="uploads", results=[upload])
    async with Engine(tmp_path, steps=[trim], publishers=[library]) as engine:
        await engine.admit("a_t1_000000_000100.mp4", "b_t1_000000_000100.mp4")
        await upload.wait()
        await encode.wait()
        upload.open.set()
        encode.open.set()
        await engine.until_idle()


@dataclass
class Encode(FakeStep):
    """Takes its place by itself, after a look at its source; each of `gates` holds one encode."""

    gates: list[Gate] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    both_looked: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, context):
        letter, gate = context.job.name[0], self.gates[self.runs]
        self.runs += 1
        self.order.append(f"looks at {letter}")
        if self.runs == 2:
            self.both_looked.set()
        async with context.slot():
            self.order.append(f"encodes {letter}")
            await gate()
        self.order.append(f"checks {letter}")
        return Outcome()

    def planned(self):
        return replace(super().planned(), takes_own_slot=True)


async def test_one_job_is_looked_at_and_another_checked_while_a_third_encodes(tmp_path):
    step = Encode("trim", pool="encodes", gates=[Gate(), Gate()])
    async with Engine(tmp_path, steps=[step]) as engine, asyncio.timeout(DEADLINE):
        await engine.admit("a_t1_000000_000100.mp4", "b_t1_000000_000100.mp4")
        await step.gates[0].wait()
        await step.both_looked.wait()
        for gate in step.gates:
            gate.open.set()
        await engine.until_idle()
    assert step.order == ["looks at a", "encodes a", "looks at b", "checks a", "encodes b", "checks b"]


async def test_a_place_that_comes_free_while_the_daemon_drains_is_not_taken(tmp_path):
    step = Encode("trim", pool="encodes", gates=[Gate(), Gate()])
    async with Engine(tmp_path, steps=[step]) as engine, asyncio.timeout(DEADLINE):
        done, given_back = await engine.admit("a_t1_000000_000100.mp4", "b_t1_000000_000100.mp4")
        await step.both_looked.wait()
        draining = asyncio.create_task(engine.runner.drain(DEADLINE))
        await asyncio.sleep(0)
        step.gates[0].open.set()
        await draining
        assert (await engine.store.job(given_back.id)).state is State.READY
    assert "encodes b" not in step.order
    fates = {one.job: one.fate for one in engine.events if isinstance(one, StepEnded)}
    assert fates == {done.id: "done", given_back.id: "cancelled"}


async def test_an_urgent_job_overtakes(tmp_path):
    gate, order = Gate(), []

    async def note(context):
        order.append(context.job.name[0])

    library = FakePublisher("s3", results=[note] * 4)
    trim = FakeStep("trim", results=[gate])
    async with Engine(tmp_path, steps=[trim], publishers=[library], at_once=1) as engine:
        await engine.admit("a_t1_000000_000100.mp4")
        await gate.wait()
        await engine.admit("b_t1_000000_000100.mp4", "c_t1_000000_000100.mp4")
        await engine.one("d_t1_000000_000100.mp4", priority=9)
        gate.open.set()
        await engine.until_idle()
        assert order == ["a", "d", "b", "c"]


async def test_jobs_of_one_priority_go_out_in_the_order_in_which_they_arrived(tmp_path):
    gates = {letter: Gate() for letter in "abcd"}
    order, busy = [], Gate()

    class Trim(FakeStep):
        async def run(self, context):
            await gates[context.job.name[0]]()
            return await super().run(context)

    async def note(context):
        order.append(context.job.name[0])
        await busy()

    library = FakePublisher("s3", pool="uploads", results=[note] * 4)
    async with Engine(tmp_path, steps=[Trim("trim")], publishers=[library], limits={"encodes": 4}) as engine:
        jobs = await engine.admit(*(f"{letter}_t1_000000_000100.mp4" for letter in "abcd"))
        gates["c"].open.set()
        await busy.wait()
        # While c goes out, the others are done in another order than that of their arrival.
        for job, letter in ((jobs[3], "d"), (jobs[1], "b"), (jobs[0], "a")):
            gates[letter].open.set()
            await engine.until(job.id, State.PUBLISHING)
        async with asyncio.timeout(60):
            while engine.context.slots.pools["uploads"].waiting < 3:  # noqa: ASYNC110 - the pool tells nobody
                await asyncio.sleep(0)
        busy.open.set()
        await engine.until_idle()
    assert order == ["c", "a", "b", "d"]


async def test_a_job_that_waited_takes_its_turn_before_those_that_arrived_after_it(tmp_path):
    order, gate = [], Gate()

    class Trim(FakeStep):
        async def run(self, context):
            order.append(context.job.name[0])
            return await super().run(context)

    trim = Trim("trim", results=[RetryLater("No."), gate])
    async with Engine(tmp_path, steps=[trim], at_once=1) as engine:
        first, *_ = await engine.admit(*(f"{letter}_t1_000000_000100.mp4" for letter in "abcd"))
        await engine.until(first.id, State.WAITING)
        await gate.wait()
        engine.clock.forward(100)
        await engine.until(first.id, State.READY, 2)
        gate.open.set()
        await engine.until_idle()
    assert order == ["a", "b", "a", "c", "d"]


async def test_a_pause_lets_running_jobs_end_and_starts_none_even_after_a_restart(tmp_path):
    gate = Gate()
    trim = FakeStep("trim", results=[gate])
    async with Engine(tmp_path, steps=[trim]) as engine:
        first = await engine.one("a_t1_000000_000100.mp4")
        await gate.wait()
        await engine.runner.pause()
        second = await engine.one("b_t1_000000_000100.mp4")
        gate.open.set()
        await engine.until(first.id, State.PUBLISHED)
        await engine.until_idle()
        assert (await engine.store.job(second.id)).state is State.SEEN
    async with Engine(tmp_path, steps=[trim], store=engine.store) as later:
        await later.until_idle()
        assert (await later.store.job(second.id)).state is State.SEEN
        await later.runner.resume()
        await later.until(second.id, State.PUBLISHED)


async def test_a_job_that_waits_is_found_due_by_the_next_daemon(tmp_path):
    trim = FakeStep("trim", results=[RetryLater("later", after=3600)])
    async with Engine(tmp_path, steps=[trim]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.WAITING)
        await engine.until_idle()
    async with Engine(tmp_path, steps=[trim], store=engine.store) as later:
        await asyncio.sleep(0)
        assert (await later.store.job(job.id)).state is State.WAITING
        later.clock.forward(3600)
        await later.until(job.id, State.PUBLISHED)


async def test_a_cancelled_job_ends_what_runs_for_it_and_leaves_no_file(tmp_path):
    gate = Gate()
    async with Engine(tmp_path, steps=[FakeStep("fetch"), FakeStep("trim", results=[gate])]) as engine:
        job = await engine.one()
        await gate.wait()
        cancelled = await engine.commands.cancel(await engine.store.job(job.id))
        assert cancelled.state is State.CANCELLED
        assert (await engine.store.job(job.id)).state is State.CANCELLED
        assert list((tmp_path / "jobs").iterdir()) == []
        assert engine.runner.running == []


async def test_on_the_way_down_a_running_step_ends_and_the_next_does_not_start(tmp_path):
    gate = Gate()
    fetch, trim = FakeStep("fetch", results=[gate]), FakeStep("trim")
    async with Engine(tmp_path, steps=[fetch, trim]) as engine:
        job = await engine.one()
        await gate.wait()
        draining = asyncio.create_task(engine.runner.drain(60))
        await asyncio.sleep(0)
        gate.open.set()
        async with asyncio.timeout(DEADLINE):
            await draining
        assert (await engine.store.job(job.id)).state is State.READY
        assert (fetch.runs, trim.runs) == (1, 0)
        assert [one.name for one in await engine.store.steps(job.id)] == ["fetch"]


async def test_what_does_not_end_within_grace_is_interrupted_and_goes_on_after_the_start(tmp_path):
    gate = Gate()
    trim = FakeStep("trim", results=[gate])
    async with Engine(tmp_path, steps=[trim]) as engine:
        job = await engine.one()
        await gate.wait()
        async with asyncio.timeout(DEADLINE):
            await engine.runner.drain(0)
        assert (await engine.store.job(job.id)).state is State.READY
    async with Engine(tmp_path, steps=[trim], store=engine.store) as later:
        await later.until(job.id, State.PUBLISHED)


async def test_a_held_job_goes_out_only_when_a_person_approves(tmp_path):
    library = FakePublisher("s3")
    async with Engine(tmp_path, publishers=[library], review=True) as engine:
        job = await engine.one()
        held = await engine.until(job.id, State.HELD)
        assert library.arrived == []
        await engine.until_idle()
        await engine.commands.approve(held)
        await engine.until(job.id, State.PUBLISHED)
        with pytest.raises(IllegalMove):
            await engine.commands.approve(held.evolve(state=State.PUBLISHING))


class TestProgramme:
    """A pipeline with a programme looks its talk up."""

    async def test_an_excluded_talk_is_not_worked_on_and_starts_once_it_is_included(self, tmp_path):
        trim = FakeStep("trim")
        async with Engine(tmp_path, steps=[trim], programme="sheet") as engine:
            await engine.store.put_talks("sheet", [talk("t1", excluded=True)], engine.clock.now())
            job = await engine.one()
            excluded = await engine.until(job.id, State.EXCLUDED)
            assert (trim.runs, excluded.reason) == (0, "The programme 'sheet' excludes the talk t1.")
            await engine.until_idle()
            await engine.store.put_talks("sheet", [talk("t1")], engine.clock.now())
            await engine.commands.retry(excluded)
            await engine.until(job.id, State.PUBLISHED)

    async def test_an_unknown_talk_waits_for_the_next_reading_and_is_then_refused(self, tmp_path):
        async with Engine(tmp_path, programme="sheet") as engine:
            await engine.store.put_talks("sheet", [talk("other")], engine.clock.now())
            job = await engine.one()
            await engine.until(job.id, State.WAITING)
            assert engine.asked == ["sheet"]
            await engine.until_idle()
            engine.clock.forward(1)
            await engine.store.put_talks("sheet", [talk("other")], engine.clock.now())
            engine.clock.forward(60)
            refused = await engine.until(job.id, State.REFUSED)
            assert "has no talk 't1'" in refused.reason

    async def test_a_retry_reads_the_programme_again_before_it_refuses_a_talk_that_is_not_there(self, tmp_path):
        async with Engine(tmp_path, programme="sheet") as engine:
            job = await engine.one()
            await engine.until(job.id, State.WAITING)
            await engine.until_idle()
            await self._read(engine)
            refused = await engine.until(job.id, State.REFUSED)
            await engine.until_idle()
            # The row is added and a person asks at once, before the sheet's next reading.
            engine.clock.forward(60)
            engine.asked.clear()
            await engine.commands.retry(refused)
            waiting = await engine.until(job.id, State.WAITING, times=2)
            assert "as soon as it has read the programme 'sheet' again" in waiting.reason
            assert engine.asked == ["sheet"]
            await engine.until_idle()
            await self._read(engine, talk("t1"))
            await engine.until(job.id, State.PUBLISHED)

    async def test_a_talk_that_a_reading_after_the_retry_does_not_have_is_refused_again(self, tmp_path):
        async with Engine(tmp_path, programme="sheet") as engine:
            job = await engine.one()
            await engine.until(job.id, State.WAITING)
            await engine.until_idle()
            await self._read(engine)
            await engine.commands.retry(await engine.until(job.id, State.REFUSED))
            await engine.until(job.id, State.WAITING, times=2)
            await engine.until_idle()
            await self._read(engine)
            await engine.until(job.id, State.REFUSED, times=2)

    @pytest.mark.parametrize(
        "trouble", [{"fault": "In row 2 is a fault."}, {"facts": {"unreachable": {"Ada": "No address."}}}]
    )
    async def test_a_retry_reads_a_row_again_that_had_to_be_corrected(self, tmp_path, trouble):
        mail = FakePublisher("mail", results=[] if "fault" in trouble else [Refused("No address.")])
        async with Engine(tmp_path, notices=[mail], programme="sheet") as engine:
            await self._read(engine, talk("t1", **trouble))
            job = await engine.one()
            rested = await engine.until(job.id, State.REFUSED if "fault" in trouble else State.PUBLISHED)
            await engine.until_idle()
            await engine.commands.retry(rested)
            await engine.until(job.id, State.WAITING)
            await engine.until_idle()
            await self._read(engine, talk("t1"))
            await engine.until(job.id, State.PUBLISHED, times=1 if "fault" in trouble else 2)
            assert mail.arrived == [job.id]

    async def test_a_retry_of_a_job_whose_row_is_right_waits_for_no_reading(self, tmp_path):
        far = FakePublisher("far", results=[Refused("No.")])
        async with Engine(tmp_path, publishers=[far], programme="sheet") as engine:
            await self._read(engine, talk("t1"))
            job = await engine.one()
            await engine.commands.retry(await engine.until(job.id, State.REFUSED))
            await engine.until(job.id, State.PUBLISHED)
            assert engine.asked == []

    @staticmethod
    async def _read(engine, *talks):
        engine.clock.forward(1)
        await engine.store.put_talks("sheet", talks, engine.clock.now())
        engine.clock.forward(60)

    async def test_a_talk_whose_reading_comes_in_the_middle_of_the_look_is_not_refused(self, tmp_path):
        class ReadMeanwhile(MemoryStore):
            """The next reading, with the talk, comes after the first question about it."""

            async def talk(self, programme, talk_id):
                return await self.answered(super().talk(programme, talk_id))

            async def programme(self, name):
                return await self.answered(super().programme(name))

            async def answered(self, asked):
                found = await asked
                engine.clock.forward(1)
                await self.put_talks("sheet", [talk("t1")], engine.clock.now())
                return found

        async with Engine(tmp_path, programme="sheet", store=ReadMeanwhile()) as engine:
            await engine.store.put_talks("sheet", [talk("other")], engine.clock.now())
            job = await engine.one()
            await engine.until(job.id, State.PUBLISHED)

    async def test_a_talk_that_the_next_reading_brings_is_worked_on(self, tmp_path):
        async with Engine(tmp_path, programme="sheet") as engine:
            job = await engine.one()
            await engine.until(job.id, State.WAITING)
            await engine.until_idle()
            await engine.store.put_talks("sheet", [talk("t1")], engine.clock.now())
            await engine.until_idle()
            engine.clock.forward(60)
            await engine.until(job.id, State.PUBLISHED)

    async def test_a_row_with_a_fault_refuses_its_jobs(self, tmp_path):
        async with Engine(tmp_path, programme="sheet") as engine:
            await engine.store.put_talks("sheet", [talk("t1", fault="Rows 3 and 7 are both t1.")], engine.clock.now())
            job = await engine.one()
            assert (await engine.until(job.id, State.REFUSED)).reason == "Rows 3 and 7 are both t1."

    async def test_a_name_that_says_no_talk_is_refused(self, tmp_path):
        async with Engine(tmp_path, programme="sheet") as engine:
            job = await engine.one("holiday.mp4")
            assert "does not say which talk" in (await engine.until(job.id, State.REFUSED)).reason


class TestJournal:
    """A journal that cannot be written for a while is nobody's failure."""

    class Full(MemoryStore):
        """Takes nothing while it is full."""

        full = False

        def _room(self):
            if self.full:
                raise RetryLater("The journal cannot be written.", counts=False)

        async def save(self, job, *, expect):
            self._room()
            await super().save(job, expect=expect)

        async def save_publication(self, publication, *, expect):
            self._room()
            await super().save_publication(publication, expect=expect)

        async def record_step(self, record):
            self._room()
            await super().record_step(record)

    async def written_again(self, engine, job):
        """Let the journal be full for a minute, and then have room."""
        for _ in range(12):
            engine.clock.forward(5)
            await asyncio.sleep(0)
        engine.store.full = False
        async with asyncio.timeout(DEADLINE):
            while (await engine.store.job(job.id)).state is not State.PUBLISHED:
                engine.clock.forward(5)
                await asyncio.sleep(0)

    async def test_a_step_whose_record_could_not_be_saved_is_not_made_again_when_there_is_room(self, tmp_path):
        gate, library = Gate(), FakePublisher("s3")
        step = FakeStep("trim", results=[gate])
        async with Engine(tmp_path, steps=[step], publishers=[library], store=self.Full()) as engine:
            job = await engine.one()
            await gate.wait()
            engine.store.full = True
            gate.open.set()
            await self.written_again(engine, job)
            assert (step.runs, library.arrived) == (1, [job.id])

    async def test_a_receipt_that_could_not_be_saved_is_asked_for_and_nothing_is_sent_twice(self, tmp_path):
        gate = Gate()
        library = FakePublisher("s3", results=[gate])
        async with Engine(tmp_path, publishers=[library], store=self.Full()) as engine:
            job = await engine.one()
            await gate.wait()
            engine.store.full = True
            gate.open.set()
            await self.written_again(engine, job)
            assert library.arrived == [job.id]

    async def test_a_job_that_comes_due_while_the_journal_is_full_is_taken_up_later(self, tmp_path):
        step = FakeStep("trim", results=[RetryLater("Not now.", after=60)])
        async with Engine(tmp_path, steps=[step], store=self.Full()) as engine:
            job = await engine.one()
            await engine.until(job.id, State.WAITING)
            await engine.until_idle()
            engine.store.full = True
            engine.clock.forward(60)
            await self.written_again(engine, job)


async def test_an_arrival_whose_source_is_stopped_while_it_is_recorded_is_queued_all_the_same(tmp_path):
    class Slow(MemoryStore):
        async def admit(self, jobs):
            fresh = await super().admit(jobs)
            await gate()
            return fresh

    gate = Gate()
    async with Engine(tmp_path, store=Slow()) as engine:
        admitting = asyncio.create_task(engine.intake.admit("folder", "talks", [arrival()]))
        await gate.wait()
        admitting.cancel()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await admitting
        (job,) = await engine.store.jobs()
        await engine.until(job.id, State.PUBLISHED)


async def test_a_wait_that_is_nobodys_failure_is_made_even_where_one_attempt_is_all(tmp_path):
    full = RetryLater("The disk is full.", after=60, counts=False)
    step, library = FakeStep("trim", results=[full]), FakePublisher("s3", results=[full])
    rule = RetryRule(attempts=1, first=10, jitter=0)
    async with Engine(tmp_path, steps=[step], publishers=[library], retry=rule) as engine:
        job = await engine.one()
        for times in (1, 2):
            await engine.until(job.id, State.WAITING, times)
            await engine.until_idle()
            engine.clock.forward(60)
        await engine.until(job.id, State.PUBLISHED)


async def test_a_retry_that_is_refused_changes_no_settings(tmp_path):
    gate = Gate()
    async with Engine(tmp_path, steps=[FakeStep("trim", results=[gate])]) as engine:
        job = await engine.one()
        await gate.wait()
        working = await engine.store.job(job.id)
        with pytest.raises(IllegalMove):
            await engine.commands.retry(working, {"other": True})
        assert (await engine.store.job(job.id)).settings == job.settings
        gate.open.set()
        await engine.until(job.id, State.PUBLISHED)


async def test_who_goes_out_last_waits_for_the_receipts_of_the_others_and_is_given_them(tmp_path):
    gate = Gate()
    index, files = FakePublisher("index", runs_last=True), FakePublisher("files", results=[RetryLater("503."), gate])
    async with Engine(tmp_path, publishers=[index, files]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.WAITING)
        await engine.until_idle()
        engine.clock.forward(100)
        await gate.wait()
        assert index.given == []
        gate.open.set()
        await engine.until(job.id, State.PUBLISHED)
        assert (files.given, index.given) == ([{}, {}], [{"files": f"far://files/{job.id}"}])


async def test_who_goes_out_last_does_not_where_another_was_refused(tmp_path):
    index, files = FakePublisher("index", runs_last=True), FakePublisher("files", results=[Refused("No such bucket.")])
    async with Engine(tmp_path, publishers=[files, index]) as engine:
        job = await engine.one()
        refused = await engine.until(job.id, State.REFUSED)
        assert refused.reason == "files: No such bucket."
        assert index.given == []


async def test_a_job_is_published_only_once_the_last_of_its_publishers_has_a_receipt(tmp_path):
    index, files = FakePublisher("index", runs_last=True, results=[RetryLater("Away.")]), FakePublisher("files")
    async with Engine(tmp_path, publishers=[files, index]) as engine:
        job = await engine.one()
        assert (await engine.until(job.id, State.WAITING)).reason == "index: Away."
        await engine.until_idle()
        engine.clock.forward(100)
        await engine.until(job.id, State.PUBLISHED)
        assert (files.arrived, index.arrived) == ([job.id], [job.id])


async def test_jobs_of_a_priority_below_zero_leave_room_for_the_others(tmp_path):
    gate = Gate()
    slow = FakeStep("slow", results=[gate, gate])
    async with Engine(tmp_path, steps=[slow], at_once=3, background=1) as engine:
        first = await engine.one("a_t1_000000_000100.mp4", priority=-1)
        await gate.wait()
        second = await engine.one("b_t2_000000_000100.mp4", priority=-1)
        for _ in range(50):
            await asyncio.sleep(0)
        assert (await engine.store.job(second.id)).state is State.SEEN
        slow.results.clear()
        urgent = await engine.one("c_t3_000000_000100.mp4")
        await engine.until(urgent.id, State.PUBLISHED)
        assert first.id in engine.runner.running
        assert (await engine.store.job(second.id)).state is State.SEEN
        gate.open.set()
        await engine.until(first.id, State.PUBLISHED)
        await engine.until(second.id, State.PUBLISHED)


async def test_of_the_jobs_put_aside_no_more_are_looked_at_than_there_is_room_for(tmp_path):
    gate = Gate()
    slow = FakeStep("slow", results=[gate])
    async with Engine(tmp_path, steps=[slow], at_once=2, background=1) as engine:
        first = await engine.one("a_t0_000000_000100.mp4", priority=-1)
        await gate.wait()
        others = [await engine.one(f"b_t{number}_000000_000100.mp4", priority=-1) for number in range(1, 20)]
        for _ in range(500):
            await asyncio.sleep(0)
        await engine.runner.cancel(others[0], "Nobody wants it.")
        reads = Counter()
        read = engine.store.job

        async def count(job_id):
            reads[job_id] += 1
            return await read(job_id)

        engine.store.job = count
        urgent = await engine.one("c_t99_000000_000100.mp4")
        await engine.until(urgent.id, State.PUBLISHED)
        while urgent.id in engine.runner.running:  # noqa: ASYNC110 - the runner tells nobody
            await asyncio.sleep(0)
        for _ in range(500):
            await asyncio.sleep(0)
        assert not {job.id for job in others} & set(reads)
        gate.open.set()
        await engine.until(others[-1].id, State.PUBLISHED)
        states = [(await read(job.id)).state for job in (first, *others)]
        assert states == [State.PUBLISHED, State.CANCELLED] + [State.PUBLISHED] * 18


async def test_a_job_that_was_put_aside_starts_at_once_where_there_is_more_room_or_it_becomes_urgent(tmp_path):
    gate = Gate()
    slow = FakeStep("slow", results=[gate])
    async with Engine(tmp_path, steps=[slow], at_once=4, background=1) as engine:
        await engine.one("a_t1_000000_000100.mp4", priority=-1)
        await gate.wait()
        second = await engine.one("b_t2_000000_000100.mp4", priority=-1)
        third = await engine.one("c_t3_000000_000100.mp4", priority=-1)
        for _ in range(50):
            await asyncio.sleep(0)
        risen = (await engine.store.job(second.id)).evolve(priority=5)
        await engine.store.save(risen, expect=State.SEEN)
        engine.runner.queue(risen)
        await engine.until(second.id, State.PUBLISHED)
        assert (await engine.store.job(third.id)).state is State.SEEN
        engine.runner.resize(4, background=2)
        await engine.until(third.id, State.PUBLISHED)
        gate.open.set()
        await engine.until_idle()

"""What the check found of a file decides whether its job goes out, waits for a person, or is refused."""

import itertools
import shutil
from dataclasses import dataclass, field, replace

from builders.engine import Engine, FakePublisher, FakeStep

from vidd.errors import Refused, RetryLater
from vidd.model.job import State
from vidd.model.media import Artifact, Outcome

BLACK = {"duration": 300.0, "black": [[60.0, 200.0]]}
SENTENCE = "The video is black from 1:00 to 3:20 (2 min 20 s)."


@dataclass
class Checked(FakeStep):
    """A step that checks what it makes; each making has another id."""

    found: dict = field(default_factory=dict)
    role: str = "talk"
    numbers: object = field(default_factory=lambda: itertools.count(1))

    async def run(self, context):
        outcome = await super().run(context)
        record = {"id": f"{self.role}{next(self.numbers)}", **self.found}
        made = replace(outcome.artifacts[0], role=self.role, facts={"check": record})
        return Outcome((made,), outcome.facts)


class Silent(FakeStep):
    """A step that makes a file and checks nothing."""

    async def run(self, context):
        outcome = await super().run(context)
        return replace(outcome, artifacts=(replace(outcome.artifacts[0], role=self.name),))


async def test_what_a_person_must_decide_waits_for_him_with_a_sentence_that_says_what_and_where(tmp_path):
    trim, far = Checked("trim", found=BLACK), FakePublisher("far")
    async with Engine(tmp_path, steps=[trim], publishers=[far]) as engine:
        held = await engine.until((await engine.one()).id, State.HELD)
        assert held.reason == f"The check found: talk: {SENTENCE}"
        await engine.until_idle()
        assert far.arrived == []
        await engine.commands.approve(held)
        await engine.until(held.id, State.PUBLISHED)
        assert (trim.runs, far.arrived) == (1, [held.id])


async def test_a_hold_and_its_approval_survive_restarts(tmp_path):
    trim, far = Checked("trim", found=BLACK), FakePublisher("far", results=[RetryLater("Not now.")])
    async with Engine(tmp_path, steps=[trim], publishers=[far]) as engine:
        held = await engine.until((await engine.one()).id, State.HELD)
        await engine.until_idle()
    async with Engine(tmp_path, steps=[trim], publishers=[far], store=engine.store) as second:
        await second.until_idle()
        assert (await second.store.job(held.id)).state is State.HELD
        await second.commands.approve(held)
        waiting = await second.until(held.id, State.WAITING)
        await second.until_idle()
    async with Engine(tmp_path, steps=[trim], publishers=[far], store=engine.store) as third:
        await third.commands.retry(waiting)
        await third.until(held.id, State.PUBLISHED)
        assert State.HELD not in third.path(held.id)
        assert trim.runs == 1


async def test_a_file_that_is_made_anew_is_held_again(tmp_path):
    trim, far = Checked("trim", found=BLACK), FakePublisher("far", results=[Refused("The token is wrong.")])
    async with Engine(tmp_path, steps=[trim], publishers=[far]) as engine:
        held = await engine.until((await engine.one()).id, State.HELD)
        await engine.commands.approve(held)
        refused = await engine.until(held.id, State.REFUSED)
        await engine.until_idle()
        shutil.rmtree(tmp_path / "jobs" / held.id)
        await engine.commands.retry(refused)
        await engine.until(held.id, State.HELD, times=2)
        assert (trim.runs, far.arrived) == (2, [])


async def test_what_the_policy_refuses_is_refused_and_goes_out_unmade_once_the_policy_allows_it(tmp_path):
    trim, far = Checked("trim", found=BLACK), FakePublisher("far")
    async with Engine(tmp_path, steps=[trim], publishers=[far]) as engine:
        engine.intake.pipelines["talks"]["check"] = {"black": "refuse", "black_for": 5.0}
        refused = await engine.until((await engine.one()).id, State.REFUSED)
        assert refused.reason.startswith(f"The check refused it. talk: {SENTENCE}")
        assert f"vidd retry {refused.id} --fresh-settings" in refused.reason
        await engine.until_idle()
        await engine.commands.retry(refused, {"programme": None, "check": {"black": "note"}})
        await engine.until(refused.id, State.PUBLISHED)
        assert (trim.runs, far.arrived) == (1, [refused.id])


async def test_what_is_only_noted_holds_nothing_up(tmp_path):
    trim, far = Checked("trim", found={"duration": 300.0, "frozen": [[0.0, 290.0]]}), FakePublisher("far")
    async with Engine(tmp_path, steps=[trim], publishers=[far]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        assert State.HELD not in engine.path(job.id)


async def test_a_review_and_a_finding_are_decided_by_one_look(tmp_path):
    trim, far = Checked("trim", found=BLACK), FakePublisher("far")
    async with Engine(tmp_path, steps=[trim], publishers=[far], review=True) as engine:
        held = await engine.until((await engine.one()).id, State.HELD)
        assert held.reason == f"A person must look at it and approve it. The check found: talk: {SENTENCE}"
        await engine.commands.approve(held)
        await engine.until(held.id, State.PUBLISHED)
        assert engine.path(held.id).count(State.HELD) == 1


async def test_a_review_that_was_given_does_not_stand_for_what_is_found_later(tmp_path):
    trim, far = Checked("trim"), FakePublisher("far", results=[Refused("The token is wrong.")])
    async with Engine(tmp_path, steps=[trim], publishers=[far], review=True) as engine:
        held = await engine.until((await engine.one()).id, State.HELD)
        assert held.reason == "A person must look at it and approve it."
        await engine.commands.approve(held)
        refused = await engine.until(held.id, State.REFUSED)
        await engine.until_idle()
        shutil.rmtree(tmp_path / "jobs" / held.id)
        trim.found = BLACK
        await engine.commands.retry(refused)
        again = await engine.until(held.id, State.HELD, times=2)
        assert again.reason == f"The check found: talk: {SENTENCE}"


async def test_a_finding_that_was_approved_does_not_stand_for_a_review(tmp_path):
    trim, far = Checked("trim", found=BLACK), FakePublisher("far", results=[Refused("The token is wrong.")])
    async with Engine(tmp_path, steps=[trim], publishers=[far]) as engine:
        held = await engine.until((await engine.one()).id, State.HELD)
        await engine.commands.approve(held)
        refused = await engine.until(held.id, State.REFUSED)
        await engine.until_idle()
        engine.plan = replace(engine.plan, review=True)
        await engine.commands.retry(refused)
        again = await engine.until(held.id, State.HELD, times=2)
        assert again.reason == "A person must look at it and approve it."


async def test_the_same_finding_of_two_files_is_said_once(tmp_path):
    steps = [Checked("trim", found=BLACK), Checked("transcode", found=BLACK, role="rendition-720p")]
    async with Engine(tmp_path, steps=steps, publishers=[FakePublisher("far")]) as engine:
        held = await engine.until((await engine.one()).id, State.HELD)
        assert held.reason == f"The check found: talk, rendition-720p: {SENTENCE}"


async def test_a_file_that_no_publisher_takes_holds_nothing_up(tmp_path):
    steps = [Checked("trim", found=BLACK), Checked("transcode", role="rendition-720p")]
    async with Engine(tmp_path, steps=steps, publishers=[FakePublisher("far")]) as engine:
        engine.plan = replace(engine.plan, publishers=[replace(engine.plan.publishers[0], roles=("rendition-720p",))])
        await engine.until((await engine.one()).id, State.PUBLISHED)


async def test_a_published_job_that_is_taken_up_again_is_not_held(tmp_path):
    trim, far, mail = Checked("trim"), FakePublisher("far"), FakePublisher("mail", is_email=True)
    async with Engine(tmp_path, steps=[trim], publishers=[far], notices=[mail]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.until_idle()
        (record,) = await engine.store.steps(job.id)
        worse = replace(record.outcome.artifacts[0], facts={"check": {"id": "talk1", **BLACK}})
        await engine.store.record_step(replace(record, outcome=Outcome((worse,))))
        await engine.commands.resend(job)
        await engine.until(job.id, State.PUBLISHED, times=2)
        assert len(mail.arrived) == 2


async def test_every_file_that_goes_out_gets_a_record_whatever_step_made_it(tmp_path):
    asked = []

    async def examine(path, artifact, name):
        asked.append((path.read_bytes(), artifact.role, name))
        return None, {"id": f"{artifact.role}1", **BLACK}

    steps, far = [Silent("source"), Silent("film"), Silent("poster")], FakePublisher("far")
    async with Engine(tmp_path, steps=steps, publishers=[far]) as engine:
        engine.plan = replace(engine.plan, publishers=[replace(engine.plan.publishers[0], roles=("film",))])
        engine.context.examine = examine
        held = await engine.until((await engine.one()).id, State.HELD)
        assert asked == [(b"x" * 10, "film", held.name)]
        await engine.until_idle()
        found = {one.role: one.facts for step in await engine.store.steps(held.id) for one in step.outcome.artifacts}
        assert found == {"source": {}, "film": {"check": {"id": "film1", **BLACK}}, "poster": {}}
        await engine.commands.approve(held)
        await engine.until(held.id, State.PUBLISHED)
        assert len(asked) == 1


async def test_a_source_that_goes_out_as_it_is_gets_a_record(tmp_path):
    async with Engine(tmp_path, steps=[Silent("source")], publishers=[FakePublisher("far")]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        (step,) = await engine.store.steps(job.id)
        (artifact,) = step.outcome.artifacts
        assert isinstance(artifact, Artifact)
        assert artifact.facts["check"]["size"] == 10


async def test_what_does_not_decode_is_refused_before_anything_goes_out(tmp_path):
    async def examine(*_):
        raise Refused("It does not decode.")

    far = FakePublisher("far")
    async with Engine(tmp_path, steps=[Silent("film")], publishers=[far]) as engine:
        engine.context.examine = examine
        refused = await engine.until((await engine.one()).id, State.REFUSED)
        assert (refused.reason, far.arrived) == ("It does not decode.", [])

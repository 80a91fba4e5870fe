"""What follows a published job: started once, replaced by a newer edition, taken back with what it follows."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from builders.engine import Engine, FakePublisher, FakeStep, Gate

from vidd.engine.source_context import EngineSourceContext
from vidd.engine.supervisor import Watchers
from vidd.errors import Refused
from vidd.integrations.published import source
from vidd.integrations.published.source import Options
from vidd.model.handover import handovers_of
from vidd.model.job import REPLACES, State
from vidd.model.publication import PublicationState
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import Settings, SettingsFault

DEADLINE = 60.0
OPTIONS = Options(of="talks", pipeline="captions", keep="7d")


class Far(FakePublisher):
    """Files there can be replaced."""

    def planned(self):
        return replace(super().planned(), replace_files=self.amend)


class Studio:
    """An engine whose pipeline `talks` is followed by `captions`; both run the same plan."""

    def __init__(self, root):
        self.step, self.far = FakeStep("talk"), Far("far", amends=True)
        self.engine = Engine(root, steps=[self.step], publishers=[self.far])
        self.engine.context.followers = {"talks": [("captions", "talk")]}
        settings = self.engine.intake.pipelines["talks"]
        self.engine.intake.pipelines = {"talks": settings, "captions": settings}
        self.task = None

    def follow(self):
        watchers = Watchers(self.engine.clock, lambda _event: None)
        watchers.add("captions", "published")
        context = EngineSourceContext(
            "captions", "captions", tools=self.engine.context.tools, store=self.engine.store, intake=self.engine.intake,
            watchers=watchers, commands=self.engine.commands, programme_read=lambda _name: None,
            observers=self.engine.observers,
        )  # fmt: skip
        self.task = asyncio.create_task(source.watch(OPTIONS, context))

    async def stop(self):
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})

    async def talk(self):
        job = await self.engine.one()
        return await self.engine.until(job.id, State.PUBLISHED)

    async def follow_ups(self, *states):
        """The follow-ups, newest first, once they are in these states."""
        async with asyncio.timeout(DEADLINE):
            while True:
                found = await self.engine.store.jobs(pipeline="captions")
                if [job.state for job in found] == list(states):
                    return found
                await asyncio.sleep(0.01)

    async def retracted(self, job):
        """Return once all that a job published is retracted."""
        async with asyncio.timeout(DEADLINE):
            while True:
                publications = await self.engine.store.publications(job.id)
                if {publication.state for publication in publications} == {PublicationState.RETRACTED}:
                    return
                await asyncio.sleep(0.01)

    async def handovers(self, count):
        async with asyncio.timeout(DEADLINE):
            while True:
                root = handovers_of(self.engine.context.tools.state, "captions")
                found = list(root.iterdir()) if root.exists() else []
                if len(found) == count:
                    return found
                await asyncio.sleep(0.01)

    async def rework(self, job):
        now = await self.engine.store.job(job.id)
        await self.engine.commands.rework(now, now.settings, "talk", {})
        return await self.engine.until(job.id, State.PUBLISHED, 2)


@asynccontextmanager
async def studio(root):
    made = Studio(root)
    async with made.engine:
        try:
            yield made
        finally:
            await made.stop()


async def test_a_published_job_gets_one_follow_up_that_knows_where_it_was_published(tmp_path):
    async with studio(tmp_path) as world:
        world.follow()
        talk = await world.talk()
        [job] = await world.follow_ups(State.PUBLISHED)
        assert (job.source, job.priority, job.talk) == ("captions", -10, "t1")
        assert job.location.startswith("file:///")
        published = job.facts["published"]
        assert published["job"] == talk.id
        assert published["receipts"]["far"]["url"] == f"far://far/{talk.id}"
        await world.handovers(0)


async def test_what_was_published_while_nobody_watched_is_followed_at_the_next_start_once(tmp_path):
    async with studio(tmp_path) as world:
        await world.talk()
        assert await world.engine.store.jobs(pipeline="captions") == []
        world.follow()
        await world.follow_ups(State.PUBLISHED)
        await world.stop()
        world.follow()
        await world.engine.until_idle()
        await world.follow_ups(State.PUBLISHED)


async def test_a_job_that_is_not_published_yet_is_not_followed(tmp_path):
    async with studio(tmp_path) as world:
        talk = await world.talk()
        [directory] = await world.handovers(1)
        unfinished = (await world.engine.store.job(talk.id)).evolve(state=State.READY)
        await world.engine.store.save(unfinished, expect=State.PUBLISHED)
        world.follow()
        await world.engine.until_idle()
        assert await world.engine.store.jobs(pipeline="captions") == []
        assert directory.exists()


async def test_a_new_edition_gets_a_new_follow_up_that_replaces_the_old_one(tmp_path):
    async with studio(tmp_path) as world:
        world.follow()
        talk = await world.talk()
        [first] = await world.follow_ups(State.PUBLISHED)
        await world.rework(talk)
        second, old = await world.follow_ups(State.PUBLISHED, State.CANCELLED)
        assert (old.id, second.facts[REPLACES]) == (first.id, first.id)
        assert second.facts["published"]["edition"] == 2
        assert sorted(world.far.arrived) == sorted([talk.id, second.id])


async def test_a_follow_up_under_way_gives_way_to_that_of_the_next_edition(tmp_path):
    async with studio(tmp_path) as world:
        world.follow()
        talk = await world.talk()
        [first] = await world.follow_ups(State.PUBLISHED)
        failed = (await world.engine.store.job(first.id)).evolve(state=State.READY).evolve(state=State.WORKING)
        failed = failed.evolve(state=State.REFUSED)
        await world.engine.store.save(failed, expect=State.PUBLISHED)
        await world.rework(talk)
        second, old = await world.follow_ups(State.PUBLISHED, State.CANCELLED)
        assert old.id == first.id
        await world.retracted(first)
        assert second.id in world.far.arrived
        assert first.id not in world.far.arrived


async def test_the_follow_up_of_another_recording_of_the_talk_replaces_that_of_the_first(tmp_path):
    async with studio(tmp_path) as world:
        world.follow()
        talk = await world.talk()
        [first] = await world.follow_ups(State.PUBLISHED)
        again = await world.engine.one("Other_t1_000000_000100.mp4", facts={REPLACES: talk.id})
        published = await world.engine.until(again.id, State.PUBLISHED)
        await world.engine.commands.supersede(published)
        second, old = await world.follow_ups(State.PUBLISHED, State.CANCELLED)
        await world.engine.until(talk.id, State.CANCELLED)
        assert (old.id, second.facts[REPLACES]) == (first.id, first.id)
        assert sorted(world.far.arrived) == sorted([again.id, second.id])


async def test_a_follow_up_that_runs_while_its_job_is_retracted_ends_and_publishes_nothing(tmp_path):
    gate = Gate()
    async with studio(tmp_path) as world:
        talk = await world.talk()
        world.step.results = [gate]
        world.follow()
        await gate.wait()
        await world.engine.commands.retract(await world.engine.store.job(talk.id))
        [follow_up] = await world.follow_ups(State.CANCELLED)
        assert follow_up.reason == f"What it follows ({talk.id}) was taken back."
        assert world.far.arrived == []


async def test_a_retracted_job_has_its_follow_up_taken_back(tmp_path):
    async with studio(tmp_path) as world:
        world.follow()
        talk = await world.talk()
        await world.follow_ups(State.PUBLISHED)
        await world.engine.commands.retract(await world.engine.store.job(talk.id))
        await world.follow_ups(State.CANCELLED)
        assert world.far.arrived == []


async def test_a_retraction_that_nobody_watched_is_followed_at_the_next_start(tmp_path):
    async with studio(tmp_path) as world:
        world.follow()
        talk = await world.talk()
        await world.follow_ups(State.PUBLISHED)
        await world.stop()
        await world.engine.commands.retract(await world.engine.store.job(talk.id))
        await world.engine.until(talk.id, State.CANCELLED)
        world.follow()
        await world.follow_ups(State.CANCELLED)
        assert world.far.arrived == []


async def test_a_job_that_was_retracted_before_anybody_followed_it_is_not_followed(tmp_path):
    async with studio(tmp_path) as world:
        talk = await world.talk()
        await world.engine.commands.retract(talk)
        await world.engine.until(talk.id, State.CANCELLED)
        world.follow()
        await world.handovers(0)
        assert await world.engine.store.jobs(pipeline="captions") == []


async def test_a_job_that_is_published_anew_after_its_retraction_gets_a_follow_up_again(tmp_path):
    async with studio(tmp_path) as world:
        world.follow()
        talk = await world.talk()
        await world.follow_ups(State.PUBLISHED)
        await world.engine.commands.retract(await world.engine.store.job(talk.id))
        await world.follow_ups(State.CANCELLED)
        await world.engine.until(talk.id, State.CANCELLED)
        await world.engine.commands.retry(await world.engine.store.job(talk.id))
        await world.engine.until(talk.id, State.PUBLISHED, 2)
        second, _ = await world.follow_ups(State.PUBLISHED, State.CANCELLED)
        assert sorted(world.far.arrived) == sorted([talk.id, second.id])


async def test_the_file_of_a_follow_up_that_failed_is_kept_for_a_retry_and_then_goes(tmp_path):
    async with studio(tmp_path) as world:
        await world.talk()
        world.step.results = [Refused("No model.")]
        world.follow()
        [failed] = await world.follow_ups(State.REFUSED)
        await world.engine.until_idle()
        await world.handovers(1)
        await world.engine.commands.retry(failed)
        await world.follow_ups(State.PUBLISHED)
        await world.handovers(0)


async def test_the_file_of_a_failure_that_nobody_retries_goes_after_its_time(tmp_path):
    async with studio(tmp_path) as world:
        await world.talk()
        world.step.results = [Refused("No model.")]
        world.follow()
        await world.follow_ups(State.REFUSED)
        await world.engine.until_idle()
        await world.handovers(1)
        world.engine.clock.forward(timedelta(days=7, hours=2).total_seconds())
        await world.handovers(0)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"job": "x"}'])
async def test_what_is_no_hand_over_is_removed_and_the_others_are_followed(tmp_path, content):
    broken = handovers_of(tmp_path, "captions") / "0-broken"
    broken.mkdir(parents=True)
    (broken / "record.json").write_text(content)
    async with studio(tmp_path) as world:
        world.follow()
        await world.talk()
        await world.follow_ups(State.PUBLISHED)
        await world.handovers(0)


async def test_a_hand_over_whose_file_is_gone_is_removed(tmp_path):
    async with studio(tmp_path) as world:
        await world.talk()
        [directory] = await world.handovers(1)
        (directory / json.loads((directory / "record.json").read_text())["file"]).unlink()
        world.follow()
        await world.handovers(0)
        assert await world.engine.store.jobs(pipeline="captions") == []


# ---- settings


def settings(**changes):
    table = {"kind": "published", "of": "talks", "pipeline": "captions", **changes}
    programme = {"kind": "sheet", "path": "p.csv"}
    pipelines = {"talks": {"programme": "programme"}, "captions": {}, "titled": {"programme": "programme"}}
    return Settings(sources={"follow": table, "programme": programme}, pipelines=pipelines)


def test_settings_that_follow_a_pipeline_can_be_used():
    assert make_ready(settings()).sources["follow"][0] == "published"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"of": "films"}, "it follows [pipelines.films], which does not exist"),
        ({"pipeline": "talks"}, "the pipeline talks cannot follow itself"),
        ({"pipeline": "titled"}, "leave the programme to [pipelines.talks]"),
        ({"pipeline": "none"}, "there is no [pipelines.none]"),
    ],
)
def test_a_pipeline_that_cannot_be_followed_is_a_fault_of_the_settings(changes, sentence):
    with pytest.raises(SettingsFault) as fault:
        make_ready(settings(**changes))
    assert any(sentence in found for found in fault.value.faults)


async def test_the_check_says_what_is_followed():
    assert "'talks'" in await source.check(OPTIONS, None)

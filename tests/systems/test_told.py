"""Notices to other programs through the real engine: lost answers, a person's word, another edition."""

from dataclasses import replace

import pytest
from builders.engine import Engine, FakePublisher, arrival, talk
from peers.certificates import make_certificate
from peers.receivers import SLACK, Receivers

from vidd.integrations.webhook import publisher as webhook_publisher
from vidd.integrations.webhook.account import Account
from vidd.model.job import REPLACES, IllegalMove, State
from vidd.model.publication import PublicationState
from vidd.ports import PlannedPublisher

pytestmark = pytest.mark.daemon


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("told"))


@pytest.fixture
def far(certificate):
    far = Receivers()
    with far.serving(certificate):
        yield far


class Told:
    """A webhook as a notice of a plan, with its account."""

    def __init__(self, account, **options):
        self.account, self.options = account, webhook_publisher.Options(account="far", **options)

    def planned(self):
        def with_account(context):
            return replace(context, tools=replace(context.tools, accounts={"far": self.account}))

        return PlannedPublisher(
            "hook", "webhook", None, True,
            lambda context: webhook_publisher.publish(self.options, with_account(context)),
            lambda context: webhook_publisher.reconcile(self.options, with_account(context)),
            tells_retraction=self.options.tells_retraction,
        )  # fmt: skip


async def the_notice(engine, job, name="hook"):
    return next(one for one in await engine.store.publications(job.id) if one.name == name)


def hook(far, certificate, **options):
    return Told(Account(url=f"{far.url}/hook", ca=certificate.file), **options)


async def test_a_lost_answer_ends_in_one_notice_and_another_edition_in_a_second(far, certificate, tmp_path):
    far.misstep("POST", "/hook", after=True)
    told = Told(Account(url=f"{far.url}/hook", ca=certificate.file))
    async with Engine(tmp_path, publishers=[FakePublisher("library")], notices=[told]) as engine:
        job = await engine.one()
        await engine.until(job.id, State.WAITING)
        engine.clock.forward(60)
        job = await engine.until(job.id, State.PUBLISHED)
        assert len(far.requests) == 2
        assert far.requests[0].body == far.requests[1].body
        assert far.requests[0].data["urls"] == {"library": f"far://library/{job.id}"}
        await engine.commands.resend(job, ["hook"])
        await engine.until(job.id, State.PUBLISHED, times=2)
    assert list(far.held) == [f"{job.id}_hook_1", f"{job.id}_hook_2"]


async def test_slack_is_told_once_and_a_second_time_only_at_a_persons_word(far, certificate, tmp_path):
    far.misstep("POST", "/services", after=True)
    told = Told(Account(url=far.url + SLACK, ca=certificate.file), format="slack")
    async with Engine(tmp_path, publishers=[FakePublisher("library")], notices=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        notice = await the_notice(engine, job)
        assert notice.state is PublicationState.UNSURE
        assert "look into the channel" in notice.reason
        await engine.commands.retry(job)
        job = await engine.until(job.id, State.PUBLISHED, times=2)
        assert (await the_notice(engine, job)).state is PublicationState.UNSURE
        assert len(far.messages) == 1
        await engine.commands.resolve(job, published=None)
        job = await engine.until(job.id, State.PUBLISHED, times=3)
        assert (await the_notice(engine, job)).state is PublicationState.DONE
    assert len(far.messages) == 2


async def test_whoever_was_told_is_told_once_that_it_was_taken_back_and_again_when_it_comes_out_anew(
    far, certificate, tmp_path
):
    library = FakePublisher("library", amends=True)
    async with Engine(tmp_path, publishers=[library], notices=[hook(far, certificate)]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.commands.retract(job)
        job = await engine.until(job.id, State.CANCELLED)
        told = [one.data for one in far.requests]
        assert [one["type"] for one in told] == ["job.published", "job.retracted"]
        assert told[1]["state"] == "retracted"
        assert told[1]["urls"] == told[0]["urls"] == {"library": f"far://library/{job.id}"}
        await engine.commands.retry(job)
        job = await engine.until(job.id, State.PUBLISHED, times=2)
        await engine.commands.retract(job)
        await engine.until(job.id, State.CANCELLED, times=2)
    assert [(one.data["type"], one.data["edition"]) for one in far.requests] == [
        ("job.published", 1), ("job.retracted", 1), ("job.published", 2), ("job.retracted", 2),
    ]  # fmt: skip
    assert len(far.held) == 4


async def test_a_lost_answer_to_a_retraction_ends_in_one(far, certificate, tmp_path):
    library = FakePublisher("library", amends=True)
    async with Engine(tmp_path, publishers=[library], notices=[hook(far, certificate)]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        far.misstep("POST", "/hook", after=True)
        await engine.commands.retract(job)
        job = await engine.until(job.id, State.WAITING)
        assert "hook (retracted)" in job.reason
        # A person who is impatient has it go on, not out again.
        await engine.commands.retry(job)
        job = await engine.until(job.id, State.CANCELLED)
        assert (library.arrived, job.reason) == ([], "A person retracted it.")
    assert len(far.requests) == 3
    assert far.requests[1].body == far.requests[2].body
    assert len(far.held) == 2


async def test_a_retraction_that_slack_may_have_heard_of_is_told_again_only_at_a_persons_word(
    far, certificate, tmp_path
):
    library = FakePublisher("library", amends=True)
    told = Told(Account(url=far.url + SLACK, ca=certificate.file), format="slack")
    async with Engine(tmp_path, publishers=[library], notices=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        far.misstep("POST", "/services", after=True)
        await engine.commands.retract(job)
        job = await engine.until(job.id, State.CANCELLED)
        assert "Not told: hook (retracted): " in job.reason
        assert len(far.messages) == 2
        await engine.commands.retract(job)
        job = await engine.until(job.id, State.CANCELLED, times=2)
        assert len(far.messages) == 2
        await engine.commands.resolve(job, published=None)
        job = await engine.until(job.id, State.CANCELLED, times=3)
        assert (await the_notice(engine, job, "hook (retracted)")).state is PublicationState.DONE
        assert library.arrived == []
    texts = [one["text"] for one in far.messages]
    assert texts[1] == texts[2]
    assert texts[1].startswith("Taken back: ")
    assert "far://" not in texts[1]


async def test_a_retraction_that_was_refused_is_told_by_asking_once_more(far, certificate, tmp_path):
    library = FakePublisher("library", amends=True)
    async with Engine(tmp_path, publishers=[library], notices=[hook(far, certificate)]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        far.misstep("POST", "/hook", "status", status=400)
        await engine.commands.retract(job)
        job = await engine.until(job.id, State.CANCELLED)
        assert "Not told: hook (retracted): " in job.reason
        await engine.commands.retract(job)
        job = await engine.until(job.id, State.CANCELLED, times=2)
        assert far.requests[-1].data["type"] == "job.retracted"
        with pytest.raises(IllegalMove, match="nothing to retract"):
            await engine.commands.retract(job)


@pytest.mark.parametrize(
    ("options", "tells"),
    [
        ({}, True),
        ({"retractions": False}, False),
        ({"format": "slack"}, True),
        ({"format": "slack", "text": "{{ title }} is out"}, False),
        ({"format": "slack", "text": "{{ title }}: {{ state }}", "retractions": True}, True),
        ({"format": "template", "body": "{}"}, False),
    ],
)
async def test_templates_tell_of_retractions_only_where_they_are_asked_to(far, certificate, tmp_path, options, tells):
    library = FakePublisher("library", amends=True)
    where = f"{far.url}{SLACK if options.get('format') == 'slack' else '/hook'}"
    told = Told(Account(url=where, ca=certificate.file), **options)
    async with Engine(tmp_path, publishers=[library], notices=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        await engine.commands.retract(job)
        await engine.until(job.id, State.CANCELLED)
    assert len(far.requests) == 1 + tells


async def test_what_another_job_took_the_place_of_is_not_told_as_taken_back(far, certificate, tmp_path):
    library = FakePublisher("library", amends=True)
    async with Engine(tmp_path, programme="sheet", publishers=[library], notices=[hook(far, certificate)]) as engine:
        await engine.store.put_talks("sheet", [talk("t1")], engine.clock.now())
        first = await engine.until((await engine.one()).id, State.PUBLISHED)
        engine.clock.forward(1)
        again = replace(arrival("Main_t1_000000_000200.mp4"), facts={REPLACES: first.id})
        (second,) = await engine.intake.admit("folder", "talks", [again])
        second = await engine.until(second.id, State.PUBLISHED)
        await engine.commands.supersede(second)
        await engine.until(first.id, State.CANCELLED)
    assert [(one.data["type"], one.data["job"]) for one in far.requests] == [
        ("job.published", first.id), ("job.published", second.id),
    ]  # fmt: skip

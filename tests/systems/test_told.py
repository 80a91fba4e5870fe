"""Notices to other programs through the real engine: lost answers, a person's word, another edition."""

from dataclasses import replace

import pytest
from builders import Engine, FakePublisher
from peers.certificates import make_certificate
from peers.receivers import SLACK, Receivers

from vidd.clients.webhook import Account
from vidd.model.job import State
from vidd.model.publication import Sending
from vidd.ports import PlannedPublisher
from vidd.publishers import webhook


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
        self.account, self.options = account, webhook.Options(account="far", **options)

    def planned(self):
        def with_account(parcel):
            return replace(parcel, tools=replace(parcel.tools, accounts={"far": self.account}))

        return PlannedPublisher(
            "hook", "webhook", webhook.SLOT, True,
            lambda parcel: webhook.publish(self.options, with_account(parcel)),
            lambda parcel: webhook.reconcile(self.options, with_account(parcel)),
        )  # fmt: skip


async def the_notice(engine, job):
    return next(one for one in await engine.store.publications(job.id) if one.name == "hook")


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
        await engine.acts.resend(job, ["hook"])
        await engine.until(job.id, State.PUBLISHED, times=2)
    assert list(far.held) == [f"{job.id}_hook_1", f"{job.id}_hook_2"]


async def test_slack_is_told_once_and_a_second_time_only_at_a_persons_word(far, certificate, tmp_path):
    far.misstep("POST", "/services", after=True)
    told = Told(Account(url=far.url + SLACK, ca=certificate.file), format="slack")
    async with Engine(tmp_path, publishers=[FakePublisher("library")], notices=[told]) as engine:
        job = await engine.until((await engine.one()).id, State.PUBLISHED)
        notice = await the_notice(engine, job)
        assert notice.state is Sending.UNSURE
        assert "look into the channel" in notice.reason
        await engine.acts.retry(job)
        job = await engine.until(job.id, State.PUBLISHED, times=2)
        assert (await the_notice(engine, job)).state is Sending.UNSURE
        assert len(far.messages) == 1
        await engine.acts.resolve(job, published=None)
        job = await engine.until(job.id, State.PUBLISHED, times=3)
        assert (await the_notice(engine, job)).state is Sending.DONE
    assert len(far.messages) == 2

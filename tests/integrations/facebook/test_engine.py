"""The Facebook publisher in the engine that saves its states, through lost replies, waits and restarts."""

from functools import partial

import pytest
from builders.engine import Engine, FakeStep
from peers.certificates import make_certificate
from peers.facebook import Facebook, GraphRefusal

from vidd.integrations.facebook import publisher as facebook_publisher
from vidd.integrations.facebook.account import Account
from vidd.model.job import State
from vidd.model.media import Artifact, Outcome
from vidd.model.retry import RetryRule
from vidd.ports import PlannedPublisher

FILE = b"x" * 5000


class Talk(FakeStep):
    async def run(self, context):
        (context.directory / "talk.mp4").write_bytes(FILE)
        return Outcome((Artifact("talk", "talk.mp4", len(FILE), "video/mp4"),), {"title": "On Looms"})


class Page:
    """The publisher as `kinds` would plan it."""

    def planned(self):
        options = facebook_publisher.Options(account="page")
        return PlannedPublisher(
            "facebook", "facebook", "uploads", True,
            partial(facebook_publisher.publish, options), partial(facebook_publisher.reconcile, options),
        )  # fmt: skip


@pytest.fixture
def service(tmp_path):
    service = Facebook()
    service.page()
    certificate = make_certificate(tmp_path)
    with service.serving(certificate):
        service.account = Account(
            token="EAAPAGETOKEN1001SECRET", page="1001", url=service.url, video_url=service.url, ca=certificate.file
        )
        yield service


def an_engine(service, tmp_path, store=None):
    engine = Engine(tmp_path, steps=[Talk("talk")], publishers=[Page()], store=store, retry=RetryRule(jitter=0))
    engine.context.tools.accounts["page"] = service.account
    return engine


async def the_publication(engine, job):
    (publication,) = await engine.store.publications(job.id)
    return publication


async def test_a_400_then_a_lost_finish_then_a_restart_make_one_video(service, tmp_path):
    service.goes_wrong("start", "answer", refusal=GraphRefusal(400, 100, "Invalid parameter"))
    service.goes_wrong("finish", "drop", after=True)
    service.looks = 3
    async with an_engine(service, tmp_path) as engine:
        job = await engine.one()
        await engine.until(job.id, State.WAITING)
        waiting = await the_publication(engine, job)
        assert (waiting.until - engine.clock.now()).total_seconds() == 6 * 3600
        assert "vidd will retry at 2026-05-01 18:00 UTC" in waiting.reason
        engine.clock.forward(6 * 3600)
        await engine.until(job.id, State.WAITING, times=2)
    again = an_engine(service, tmp_path, engine.store)
    again.clock.forward(6 * 3600)
    async with again:
        times = 0
        while (await again.store.job(job.id)).state is not State.PUBLISHED:
            times += 1
            again.clock.forward(60)
            await again.until_idle()
            assert times < 20
    receipt = (await the_publication(again, job)).receipt
    (film,) = service.published()
    assert receipt.facts["video"] == film.id
    assert film.title == "On Looms"
    assert (service.count("finish"), service.did.count(("start", 200))) == (1, 1)


async def test_a_revoked_token_refuses_the_publication_and_names_the_account(service, tmp_path):
    service.revoked["EAAPAGETOKEN1001SECRET"] = 460
    async with an_engine(service, tmp_path) as engine:
        job = await engine.one()
        await engine.until(job.id, State.REFUSED)
        refused = await the_publication(engine, job)
    assert "token of the account 'page'" in refused.reason
    assert "EAAPAGE" not in str(refused)

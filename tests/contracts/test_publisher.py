"""What every publisher promises: it asks before it sends again, and whatever cuts it off, the far side gets it once.

The publishers run in the engine's own code for publications, with its retries, over a store in memory.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from builders.mongodb import account, mongodb
from builders.pcloud import MovableClock, no_line_left
from contracts.publisher_cases import CASES, NO_ANSWER_TO_LOSE, TALK
from peers.certificates import make_certificate
from peers.servers import ministack

from vidd.engine.context import EngineContext
from vidd.engine.publication_run import Publishing
from vidd.engine.slots import Slots
from vidd.engine.step_run import StepResults
from vidd.engine.workspace import Workspace
from vidd.model.publication import PublicationState
from vidd.model.retry import RetryRule
from vidd.pipelines.registry import PUBLISHERS, model_of
from vidd.pipelines.resolve import resolve
from vidd.ports import Encoder, Tools
from vidd.stores.memory import MemoryStore

pytestmark = pytest.mark.peer

__all__ = ["account", "mongodb", "no_line_left"]
DEADLINE = 60.0


@pytest.fixture(scope="module")
def aws():
    with ministack() as url:
        yield url


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


class Store(MemoryStore):
    """Keeps what was saved; `cut` is called after the so-manieth save of a publication that has begun."""

    def __init__(self):
        super().__init__()
        self.saves, self.cut_after, self.cut = 0, None, lambda: None

    async def save_publication(self, publication, *, expect):
        await super().save_publication(publication, expect=expect)
        if publication.begun:
            self.saves += 1
            if self.saves == self.cut_after:
                self.cut()


class Daemon:
    """What of a daemon publishes one job; another `run` is as after a restart."""

    def __init__(self, case, state):
        self.case, self.store, self.clock, self.calls = case, Store(), MovableClock(), []
        case.clock(self.clock)
        tools = Tools(state, Encoder(Path("ffmpeg")), self.clock, case.accounts, memory=self.store)
        pools = {"uploads": 1, "mails": 1}
        self.engine = EngineContext(
            self.store, Slots(pools), Workspace(case.directory.parent), tools, resolve, lambda _event: None,
            RetryRule(attempts=20, total=1e9, jitter=0),
        )  # fmt: skip

    def planned(self):
        options = model_of("publishers", self.case.kind).model_validate(self.case.options)
        row = {"name": self.case.kind, "kind": self.case.kind, "options": options.model_dump(mode="json")}
        settings = {"programme": None, "review": False, "steps": [], "publish": [row], "notify": []}
        [planned] = resolve(settings).publishers

        async def publish(context):
            self.calls.append("publish")
            return await planned.publish(context)

        async def reconcile(context):
            self.calls.append("reconcile")
            return await planned.reconcile(context)

        return replace(planned, publish=publish, reconcile=reconcile)

    async def attempt(self):
        results = StepResults(dict(self.case.artifacts), dict(self.case.facts))
        publishing = Publishing(self.engine, self.case.job, TALK, results)
        async with asyncio.timeout(DEADLINE):
            [publication] = await publishing.run_all([self.planned()], notice=False, receipts=self.case.receipts)
        return publication

    async def run(self):
        """Attempt until it waits for nothing but a person."""
        for _ in range(40):
            publication = await self.attempt()
            if publication.until is None:
                return publication
            self.clock.at = max(self.clock.at, publication.until) + timedelta(seconds=1)
        raise AssertionError(publication)

    async def saved(self):
        [publication] = await self.store.publications(self.case.job.id)
        return publication


@pytest.fixture(params=CASES)
async def case(request, tmp_path):
    async with CASES[request.param](request, tmp_path) as case:
        case.name = request.param
        yield case


@pytest.fixture
def daemon(case, tmp_path):
    return Daemon(case, tmp_path)


def told_apart(case, receipt):
    return receipt.url, {name: fact for name, fact in receipt.facts.items() if name not in case.counts}


def sends_twice_only_after_asking(calls):
    """Whether between any two calls of publish there is one of reconcile."""
    return all((before, after) != ("publish", "publish") for before, after in pairwise(calls))


def test_every_kind_of_publisher_has_a_case():
    assert {name.partition(" ")[0] for name in CASES} == set(PUBLISHERS)
    assert NO_ANSWER_TO_LOSE.keys() < CASES.keys()


async def test_it_arrives_once_and_a_daemon_that_forgot_the_receipt_gets_the_same_again(case, daemon):
    publication = await daemon.run()
    assert publication.state is PublicationState.DONE, publication.reason
    assert await case.held() == case.expected
    forgotten = replace(publication, state=PublicationState.STARTED, receipt=None, revision=None)
    await daemon.store.save_publication(forgotten, expect=PublicationState.DONE)
    daemon.calls.clear()
    again = await daemon.run()
    assert daemon.calls[0] == "reconcile"
    assert await case.held() == case.expected
    if case.can_tell or again.state is PublicationState.DONE:
        assert told_apart(case, again.receipt) == told_apart(case, publication.receipt)
    else:
        assert again.state is PublicationState.UNSURE


@pytest.fixture
def forgetful(case):
    if case.lose is None:
        assert case.name in NO_ANSWER_TO_LOSE
        pytest.skip(NO_ANSWER_TO_LOSE[case.name])
    assert case.name not in NO_ANSWER_TO_LOSE
    return case


async def test_after_a_lost_answer_it_asks_and_sends_nothing_twice(forgetful, daemon):
    forgetful.lose("drop")
    publication = await daemon.run()
    assert await forgetful.held() == forgetful.expected
    assert sends_twice_only_after_asking(daemon.calls)
    assert publication.state is (PublicationState.DONE if forgetful.can_tell else PublicationState.UNSURE)


async def test_one_that_is_cancelled_while_it_waits_for_the_answer_is_not_sent_twice(forgetful, daemon):
    forgetful.lose("hang")
    attempt = asyncio.create_task(daemon.run())
    async with asyncio.timeout(DEADLINE):
        while not forgetful.hangs():  # noqa: ASYNC110 - the far side is a thread of its own
            await asyncio.sleep(0.01)
    attempt.cancel()
    await asyncio.wait({attempt})
    saved = await daemon.saved()
    assert saved.begun
    assert saved.state in {PublicationState.STARTED, PublicationState.SENT}
    publication = await daemon.run()
    assert await forgetful.held() == forgetful.expected
    assert sends_twice_only_after_asking(daemon.calls)
    assert publication.state is (PublicationState.DONE if forgetful.can_tell else PublicationState.UNSURE)


@pytest.mark.parametrize("saves", [1, 2, 4])
async def test_one_that_is_cancelled_after_any_of_its_saves_goes_on_from_there(case, daemon, saves):
    attempt = asyncio.create_task(daemon.run())
    daemon.store.cut_after, daemon.store.cut = saves, attempt.cancel
    await asyncio.wait({attempt})
    saved = await daemon.saved()
    if attempt.cancelled():
        assert saved.begun
        daemon.calls.append("restart")
    publication = await daemon.run()
    assert sends_twice_only_after_asking(daemon.calls)
    held = await case.held()
    if publication.state is PublicationState.UNSURE and not case.can_tell:
        assert all(held.count(effect) <= case.expected.count(effect) for effect in held)
    else:
        assert publication.state is PublicationState.DONE, publication.reason
        assert held == case.expected

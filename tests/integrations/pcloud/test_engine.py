"""A step that hands over a tree, and the pCloud publisher, in the engine: through lost replies, a doubt and a restart."""

import asyncio
import os
from contextlib import asynccontextmanager
from functools import partial

import pytest
from builders.engine import DEADLINE, Engine, FakeStep
from builders.pcloud import an_account, certificate, no_line_left, service

from vidd.files.tree import tree_artifact
from vidd.integrations.pcloud import publisher as pcloud_publisher
from vidd.model.job import State
from vidd.model.media import Outcome
from vidd.model.publication import PublicationState
from vidd.model.retry import RetryRule
from vidd.ports import PlannedPublisher

pytestmark = pytest.mark.peer

__all__ = ["certificate", "no_line_left", "service"]
FILES = {f"body/scene_{number % 3:03}/{number}.glb": os.urandom(2000) for number in range(30)}


class Analysis(FakeStep):
    async def run(self, context):
        self.runs += 1
        for path, data in FILES.items():
            (context.directory / "results" / path).parent.mkdir(parents=True, exist_ok=True)
            (context.directory / "results" / path).write_bytes(data)
        made = tree_artifact("annotations", context.directory, "results")
        return Outcome((made,), {"folder_id": self.results[0]})


class Mirror:
    """The publisher as `kinds` would plan it."""

    def planned(self):
        options = pcloud_publisher.Options(account="cloud", folder="{{ facts.folder_id }}", delete=True, parallel=1)
        return PlannedPublisher(
            "pcloud", "pcloud", "uploads", True,
            partial(pcloud_publisher.publish, options), partial(pcloud_publisher.reconcile, options),
        )  # fmt: skip


@pytest.fixture
def step(service):
    return Analysis("analysis", results=[service.folder("/annotations/v1").id])


def an_engine(service, tmp_path, step, store=None):
    engine = Engine(tmp_path, steps=[step], publishers=[Mirror()], store=store, retry=RetryRule(jitter=0))
    engine.context.tools.accounts["cloud"] = an_account(service)
    return engine


@asynccontextmanager
async def running(engine):
    """The engine, with a clock that goes on."""

    async def tick():
        while True:
            engine.clock.forward(1)
            await asyncio.sleep(0.002)

    async with engine:
        ticking = asyncio.create_task(tick())
        try:
            async with asyncio.timeout(3 * DEADLINE):
                yield engine
        finally:
            ticking.cancel()


async def test_lost_replies_a_doubt_and_a_restart_leave_each_file_once_and_whole(service, tmp_path, step):
    service.misstep("POST", "^/uploadfile$", "drop", after=True, times=4)
    service.misstep("POST", "^/uploadfile$", "status", status=503, skip=3, times=4)
    service.misstep("POST", "^/renamefile$", "drop", after=True, skip=5, times=3)
    service.misstep("POST", "^/uploadfile$", "hang", skip=10, times=99)
    async with running(an_engine(service, tmp_path, step)) as engine:
        job = await engine.one()
        assert await asyncio.to_thread(service.hung.wait, 20)
    service.missteps.clear()
    begun = len(service.tree("/annotations/v1"))
    assert 0 < begun < len(FILES)
    async with running(an_engine(service, tmp_path, step, engine.store)) as again:
        await again.until(job.id, State.PUBLISHED)
    assert service.tree("/annotations/v1") == FILES
    assert step.runs == 1
    (publication,) = await again.store.publications(job.id)
    assert publication.receipt.facts["files"] == len(FILES)
    assert publication.receipt.facts["sent"] < len(FILES)


async def test_a_tree_of_which_a_file_is_gone_after_a_restart_is_made_again(service, tmp_path, step):
    service.misstep("POST", "^/uploadfile$", "hang", times=99)
    async with running(an_engine(service, tmp_path, step)) as engine:
        job = await engine.one()
        assert await asyncio.to_thread(service.hung.wait, 20)
    service.missteps.clear()
    (tmp_path / "jobs" / job.id / "results" / next(iter(FILES))).unlink()
    async with running(an_engine(service, tmp_path, step, engine.store)) as again:
        await again.until(job.id, State.PUBLISHED)
    assert step.runs == 2
    assert service.tree("/annotations/v1") == FILES


async def test_an_unknown_folder_refuses_the_job_by_its_id_and_keeps_its_record(service, tmp_path, step):
    step.results[0] = 4711
    async with running(an_engine(service, tmp_path, step)) as engine:
        job = await engine.one()
        refused = await engine.until(job.id, State.REFUSED)
    assert "There is no folder 4711 on pCloud" in refused.reason
    (publication,) = await engine.store.publications(job.id)
    assert publication.state is PublicationState.REFUSED

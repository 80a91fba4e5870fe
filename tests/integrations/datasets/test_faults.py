"""Data sets while the bucket and the database have a bad day."""

import pytest
from builders.aws import Bucket, an_account
from builders.datasets import Lab, augmentations, maker, s3
from builders.mongodb import an_account as a_database
from builders.mongodb import server
from peers.faulty_proxy import faulty_proxy

from vidd.errors import RetryLater
from vidd.integrations.datasets import publisher

pytestmark = pytest.mark.peer

__all__ = ["maker", "s3", "server"]
WHOLE = 3 * 6 + 3


@pytest.fixture
async def lab(s3, server, tmp_path, request):
    bucket = await Bucket(an_account(s3), f"b{abs(hash(request.node.nodeid))}").make()
    lab = Lab(a_database(server.uri, timeout=2), bucket, tmp_path)
    yield lab
    lab.close()


def puts(method, path):
    return method == "PUT" and "dataset" in path


def reads(method, path):
    return method == "GET" and "contents" in path and "list-type" not in path


def lists(method, path):
    return method == "GET" and "list-type" in path


@pytest.mark.parametrize(
    ("matches", "how"),
    [(puts, "drop reply"), (puts, 503), (puts, "late error"), (reads, "cut"), (reads, "refuse"), (lists, 500)],
)
async def test_every_object_is_there_once_whatever_becomes_of_some_requests(lab, maker, s3, matches, how):
    version = lab.version(await lab.task(6))
    direct = lab.bucket.account
    async with faulty_proxy(s3) as proxy:
        lab.bucket.account = an_account(proxy.url)
        proxy.next_time(matches, how, times=3)
        sent, _ = await maker.make(version)
        lab.bucket.account = direct
        assert not any(trouble.times for trouble in proxy.troubles)
    assert sent["sent"] + sent["equal"] == WHOLE
    assert len(await lab.objects()) == WHOLE
    assert lab.document(version)["taskStatus"]["state"] == "complete"


async def test_a_database_that_dies_in_the_middle_is_waited_for_and_the_rest_goes_on(lab, maker, server):
    tasks = [await lab.task(6), await lab.task(6, first=10)]
    version = lab.version(*tasks, augmentationTypes=augmentations(CLOCKWISE=[1]))
    context, outcome = await maker.build(version)
    desk = maker.desk(context, outcome)
    context, real = desk.context, desk.context.checkpoint

    async def checkpoint(token):
        await real(token)
        server.kill()

    object.__setattr__(context, "checkpoint", checkpoint)
    with pytest.raises(RetryLater, match="MongoDB"):
        await publisher.publish(maker.options(publisher), context)
    server.start()
    assert [task["state"] for task in lab.document(version)["taskStatus"]["tasks"]] == ["complete", "pending"]
    desk.token = desk.checkpoints[-1]
    receipt = await publisher.publish(maker.options(publisher), desk.context)
    assert receipt.facts["sent"] == 2 * (18 + 3) + 3
    assert lab.document(version)["taskStatus"]["state"] == "complete"


async def test_while_the_database_cannot_be_written_nothing_is_called_complete(lab, maker, server):
    version = lab.version(await lab.task(3))
    context, outcome = await maker.build(version)
    server.fail(["update"], "alwaysOn", errorCode=11602)
    desk = maker.desk(context, outcome)
    with pytest.raises(RetryLater):
        await publisher.publish(maker.options(publisher), desk.context)
    server.behave()
    assert lab.document(version)["taskStatus"]["state"] == "pending"
    await publisher.publish(maker.options(publisher), desk.context)
    assert lab.document(version)["taskStatus"]["state"] == "complete"

"""A MongoDB that is no replica set: its readers see none or all of the tasks, whatever ends vidd between two writes."""

import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from builders.annotation import OPTIONS, Shelf, a_box
from builders.mongodb import an_account
from peers.mongo import MongoServer
from peers.single_mongo import SingleMongo

from vidd.errors import Refused, RetryLater
from vidd.integrations.annotation_service import publisher
from vidd.integrations.mongodb.account import SINGLE_SERVER

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    single = SingleMongo(tmp_path_factory.mktemp("single") / "data")
    single.start()
    yield single
    single.stop()


@pytest.fixture
def shelf(single, tmp_path):
    account = an_account(single.uri, timeout="5s")
    shelf = Shelf(account, tmp_path, reader=single.server.uri)
    single.commands.clear()
    yield shelf
    shelf.client.drop_database(account.database)
    shelf.client.close()


async def publish(shelf, *job, **asked):
    context, desk = shelf.context(*job, **asked)
    return await publisher.publish(OPTIONS, replace(context, publication=desk.context.publication))


async def test_the_documents_are_written_without_a_transaction(shelf, single):
    await publish(shelf)
    document = shelf.document()
    assert (document["status"], document["taskCount"], len(shelf.tasks())) == (1, 3, 3)
    assert shelf.db.AnnotationFrame.count_documents({}) == 12
    assert shelf.db.AnnotationProject.find_one()["contentUploads"] == [shelf.upload]
    # The switch is one command, and what says that all is done comes after it.
    writes = [command for command in single.commands if command.partition(" ")[0] in {"insert", "update", "delete"}]
    assert writes[-6:] == [
        "update AnnotationContentUpload", "delete AnnotationTask", "insert AnnotationTask", "update AnnotationProject",
        "update AnnotationContentUpload", "delete AnnotationFrame",
    ]  # fmt: skip
    assert SINGLE_SERVER in await publisher.check(OPTIONS, shelf.context()[0].tools)


async def test_a_reader_sees_none_or_all_of_the_tasks_at_any_moment(shelf):
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            status = shelf.document()["status"]
            seen.add((status, shelf.db.AnnotationTask.count_documents({"uploadId": shelf.upload})))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        await publish(shelf, tasks=40, frames=1)
    finally:
        stop.set()
        reader.join(20)
    assert seen <= {(0, 0), (0, 40), (1, 40)}


@pytest.mark.parametrize("before", [0, 2])
async def test_whatever_ends_vidd_between_two_writes_leaves_none_or_all_of_the_tasks(shelf, single, before):
    if before:
        await publish(shelf, "01job", tasks=before)
    old = [task["_id"] for task in shelf.tasks()]
    context, desk = shelf.context("02job")
    shown, done, receipt = [], 0, None
    while receipt is None:
        with single.cut_after(done), suppress(RetryLater):
            receipt = await publisher.publish(OPTIONS, replace(context, publication=desk.context.publication))
        left = [task["_id"] for task in shelf.tasks()]
        shown.append(len(left))
        assert left in (old, []) or len(left) == 3
        # The upload is done no sooner than its tasks are there.
        assert len(left) == 3 or shelf.document()["status"] == (1 if before else 0)
        done += 1
    assert 3 in shown[:-1]
    assert len(shelf.tasks()) == 3
    assert shelf.db.AnnotationFrame.count_documents({}) == 12
    assert shelf.document()["status"] == 1


async def test_what_people_began_before_vidd_came_back_stays(shelf, single):
    """vidd was killed when the tasks were to be seen, and the end of the upload was not yet written."""
    context, desk = shelf.context()
    for done in range(20):
        with single.cut_after(done), pytest.raises(RetryLater):
            await publisher.publish(OPTIONS, replace(context, publication=desk.context.publication))
        if shelf.tasks():
            break
    frame = {"taskId": shelf.tasks()[0]["_id"], "frameId": 1}
    drawn = {"id": 1, "boundaries": {"id": 1, "label": "car"}}
    shelf.db.AnnotationFrame.update_one(frame, {"$set": {"boxes": [drawn], "isEmpty": False}})
    shelf.db.AnnotationTask.update_one({"_id": frame["taskId"]}, {"$set": {"status": 1}})
    before = shelf.tasks()
    await publisher.publish(OPTIONS, replace(context, publication=desk.context.publication))
    assert (shelf.tasks(), shelf.document()["status"]) == (before, 1)
    assert shelf.db.AnnotationFrame.find_one(frame)["boxes"] == [drawn]


async def test_what_a_server_lost_of_one_command_is_written_and_the_rest_stays(shelf):
    context, desk = shelf.context()
    await publisher.publish(OPTIONS, context)
    # The server was killed in the middle of the tasks; it keeps the first of them.
    lost, *left = reversed(shelf.tasks())
    shelf.db.AnnotationTask.delete_one({"_id": lost["_id"]})
    shelf.db.AnnotationContentUpload.update_one({}, {"$set": {"status": 0}, "$unset": {"vidd.done": ""}})
    shelf.db.AnnotationFrame.update_one({"taskId": left[0]["_id"], "frameId": 1}, {"$set": {"isEmpty": False}})
    await publisher.publish(OPTIONS, replace(context, publication=desk.context.publication))
    assert [task["_id"] for task in shelf.tasks()] == [task["_id"] for task in reversed([lost, *left])]
    assert shelf.frame(left[0], 1)["isEmpty"] is False
    assert (shelf.db.AnnotationFrame.count_documents({}), shelf.document()["status"]) == (12, 1)


async def test_boxes_are_written_and_what_people_save_meanwhile_is_kept(shelf, single):
    await publish(shelf, "01job")
    frame = {"taskId": shelf.tasks()[0]["_id"], "frameId": 1}
    drawn = {"id": 1, "boundaries": {"id": 1, "label": "car"}}
    found = [(0, 1, [a_box("new")]), (0, 2, [a_box("new")])]
    asked = {"request_type": 2, "auto_anno_version": 2, "boxes": found}

    def draw():
        shelf.db.AnnotationFrame.update_one(frame, {"$push": {"boxes": drawn}})

    # Somebody saves the frame after vidd read it.
    single.before("update AnnotationFrame", 1, draw)
    await publish(shelf, "02job", **asked)
    labels = [
        [box["boundaries"]["label"] for box in shelf.frame({"_id": frame["taskId"]}, number)["boxes"]]
        for number in (1, 2)
    ]
    assert labels == [["car", "new"], ["new"]]
    assert (shelf.document()["request_annotation_version"], shelf.document()["status"]) == (2, 1)
    assert {task["AutoAnnotationVersion"] for task in shelf.tasks()} == {2}


async def test_a_newer_job_is_noticed_before_anything_is_written(shelf):
    await publish(shelf, "02job")
    before = shelf.tasks()
    with pytest.raises(Refused, match="a newer job works on it"):
        await publish(shelf, "01job", tasks=2)
    assert shelf.tasks() == before
    assert shelf.db.AnnotationFrame.count_documents({}) == 12


async def test_a_replica_set_that_refuses_transactions_is_written_as_a_single_server(tmp_path):
    """Servers that only speak the protocol name a set, and have no transactions."""
    single = SingleMongo(tmp_path / "data", MongoServer(tmp_path / "data"))
    single.start()
    try:
        shelf = Shelf(an_account(single.uri), tmp_path, reader=single.server.uri)
        await publish(shelf)
        assert (len(shelf.tasks()), shelf.document()["status"]) == (3, 1)
        shelf.client.close()
    finally:
        single.stop()

"""Data sets by the real daemon: asked for as its front end does, killed at the worst moments, taken up by themselves."""

import asyncio
import json
import shutil
import signal
import urllib.error
import urllib.request
from urllib.parse import urlencode

import pytest
from builders.aws import Bucket, an_account
from builders.datasets import Lab, augmentations, jpeg, told
from builders.mongodb import account, mongodb
from peers.daemon import until
from peers.servers import ministack

pytestmark = pytest.mark.daemon

__all__ = ["account", "mongodb"]
KEY = "key-of-the-front-end"
# Of each of six frames three objects, of two augmentations of one of them three more; and the lists of the whole.
WHOLE = 3 * (6 * 3 + 2 * 3) + 3


@pytest.fixture(scope="module")
def s3():
    with ministack() as url:
        yield url


@pytest.fixture
def lab(s3, account, tmp_path, request):
    lab = Lab(account, asyncio.run(Bucket(an_account(s3), f"b{abs(hash(request.node.nodeid))}").make()), tmp_path)
    yield lab
    lab.close()


@pytest.fixture
def place(place, lab, s3):
    configure(place, lab, s3)
    return place


def configure(place, lab, s3, more=""):
    place.settings(
        more=f"""
[accounts.papers]
kind = "mongodb"
uri = "{lab.account.uri.get_secret_value()}"
database = "{lab.account.database}"

[accounts.store]
kind = "s3"
endpoint_url = "{s3}"
bucket = "{lab.bucket.name}"
access_key = "{lab.bucket.account.access_key}"
secret_key = "{lab.bucket.account.secret_key.get_secret_value()}"

[accounts.front]
kind = "secret"
value = "{KEY}"

[sources.data_sets]
kind = "data_sets"
account = "papers"
pipeline = "datasets"
{more}

[[pipelines.datasets.steps]]
kind = "data_set"
database = "papers"
account = "store"

[[pipelines.datasets.publish]]
kind = "data_set"
database = "papers"
account = "store"
"""
    )


def three_tasks(lab, **changes):
    async def make():
        return [await lab.task(6, first=number, filmed=number == 10) for number in (0, 10, 20)]

    tasks = asyncio.run(make())
    status = {"state": "complete", "tasks": []}
    values = {"augmentationTypes": augmentations(NOISE_PERCENTAGE=[5, 20], CLOCKWISE=[1]), "taskStatus": status}
    return tasks, lab.version(*tasks, **{**values, **changes})


def posted(daemon, path, fields):
    """Status and body of what the front end sends."""
    (said,) = daemon.ready().said("ready")
    request = urllib.request.Request(f"http://{':'.join(map(str, said['listen']))}{path}", urlencode(fields).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["detail"]


POINTS = {
    "before the second task's files": ("vidd.integrations.datasets.build:Builder.run_worker", "before", 2),
    "after a task's page": ("vidd.integrations.datasets.build_record:BuildRecord.write", "after", 1),
    "in the middle of the objects": ("vidd.integrations.aws.s3_upload:Upload.run", "after", 7),
    "before a task's frames": ("vidd.integrations.datasets.documents:Documents.change_frames", "before", 2),
    "after a task is complete": ("vidd.integrations.datasets.documents:Documents.finish_task", "after", 1),
    "before all of it is": ("vidd.integrations.datasets.documents:Documents.finish", "before", 1),
}


def test_a_data_set_killed_at_point_after_point_ends_as_one_that_was_not(place, lab):
    tasks, version = three_tasks(lab, taskStatus={"state": "pending"})
    frames, papers = [lab.frames(one) for one in tasks], list(lab.db.AnnotationTask.find())
    for point, (target, when, nth) in POINTS.items():
        with place.daemon(fate={"target": target, "when": when, "nth": nth}) as daemon:
            assert daemon.ended() == -signal.SIGKILL, f"{point} was not reached: {daemon.log.read_text()[-3000:]}"
        assert lab.document(version)["taskStatus"]["state"] == "pending"
    place.drain()
    killed = asyncio.run(lab.objects()), told(lab, version, tasks)
    assert killed[1][0]["taskStatus"]["state"] == "complete"
    assert len(killed[0]) == WHOLE

    asyncio.run(lab.empty())
    shutil.rmtree(place.root / "data-sets")
    for collection, documents in (
        ("AnnotationTask", papers),
        ("AnnotationFrame", [one for row in frames for one in row]),
    ):
        for one in documents:
            lab.db[collection].replace_one({"_id": one["_id"]}, one)
    lab.db.AnnotationDatasetVersion.update_one(
        {}, {"$set": {"taskStatus": {"state": "pending"}}, "$unset": {"size": ""}}
    )
    place.drain()
    assert (asyncio.run(lab.objects()), told(lab, version, tasks)) == killed
    assert list((place.root / "jobs").iterdir()) == []


def test_the_front_ends_calls_begin_it_and_an_edit_sends_what_changed(place, lab, s3):
    configure(place, lab, s3, 'auth_key = "front.value"')
    tasks, version = three_tasks(lab)
    with place.daemon() as daemon:
        fields = {"data_version_id": version, "auth_key": KEY}
        assert posted(daemon, "/api/createDataSet", {"data_version_id": version})[0] == 401
        assert posted(daemon, "/api/createDataSet", {**fields, "auth_key": "guessed"})[0] == 401
        assert posted(daemon, "/api/createDataSet", {"auth_key": KEY})[0] == 400
        status, sentence = posted(daemon, "/api/createDataSet", {**fields, "data_version_id": "0" * 24})
        assert (status, sentence.partition(":")[0]) == (404, f"There is no data set version '{'0' * 24}'")
        assert posted(daemon, "/api/createDataSet", fields) == (201, b"")
        job = daemon.job("published", pipeline="datasets")
        assert job["publications"][0]["receipt"]["facts"]["sent"] == WHOLE
        # One that no augmentation was drawn for, which is by the ids: those of it would be sent, too.
        plain = next(one for one in lab.frames(tasks[2]) if not one["datasetVersions"][0]["augmentationImages"])
        asyncio.run(lab.bucket.put(f"contents/up/task-20-cam/{plain['frameId']}.jpg", jpeg(500)))
        assert posted(daemon, "/api/editDataSet", fields) == (201, b"")
        until(lambda: [one["state"] for one in daemon.jobs()] == ["published"] * 2, "the edit is out")
        (facts,) = [
            one["receipt"]["facts"] for one in daemon.ask(f"/api/jobs/{daemon.jobs()[0]['id']}")[1]["publications"]
        ]
        # The picture, its small one, and the samples it is among.
        assert facts["sent"] == 3
        daemon.stopped()


def test_the_command_line_begins_it_once_while_it_is_being_made(place, lab):
    _, version = three_tasks(lab)
    with place.daemon() as daemon:
        daemon.ready()
        assert place.vidd("pause")[0] == 0
        code, out, _ = place.vidd("dataset", version, "--json")
        assert code == 0
        job = json.loads(out)["id"]
        assert json.loads(place.vidd("dataset", "-v", version, "--json")[1])["id"] == job
        for words in ((), (version, "-v", version)):
            code, _, error = place.vidd("dataset", *words)
            assert (code, "name one version, as VERSION or as -v VERSION" in error) == (2, True)
        code, _, error = place.vidd("dataset", "nothing")
        assert (code, error) == (1, "vidd: There is no data set version 'nothing': give the _id of one.\n")
        assert place.vidd("resume")[0] == 0
        daemon.job("published")
        assert len(daemon.jobs()) == 1
        daemon.stopped()


def test_what_is_pending_is_taken_up_at_the_start_and_by_resume(place, lab):
    _, first = three_tasks(lab, taskStatus={"state": "pending", "tasks": []})
    with place.daemon() as daemon:
        daemon.job("published")
        second = lab.version(*lab.document(first)["taskList"], number="2")
        assert place.vidd("resume")[0] == 0
        until(lambda: [one["state"] for one in daemon.jobs()] == ["published"] * 2, "the second one is out")
        assert {lab.document(one)["taskStatus"]["state"] for one in (first, second)} == {"complete"}
        daemon.stopped()


def test_one_at_fault_is_refused_with_its_reason_and_goes_on_after_a_retry(place, lab):
    _, version = three_tasks(lab, taskStatus={"state": "pending"})
    asyncio.run(lab.bucket.delete("contents/up/task-20-cam/3.jpg"))
    with place.daemon() as daemon:
        job = daemon.job("refused")
        assert "the image of frame 3 is not in the bucket" in job["reason"]
        states = [one["state"] for one in lab.document(version)["taskStatus"]["tasks"]]
        assert states == ["complete", "complete", "pending"]
        until(lambda: daemon.ask("/health")[1]["watchers"]["data_sets"].get("note"), "the source names it")
        assert lab.document(version)["taskStatus"]["error"] == job["reason"]
        asyncio.run(lab.bucket.put("contents/up/task-20-cam/3.jpg", jpeg(23)))
        assert place.vidd("retry", job["id"])[0] == 0
        daemon.job("published")
        status = lab.document(version)["taskStatus"]
        assert (status["state"], status.get("error")) == ("complete", None)
        assert len(daemon.jobs()) == 1
        daemon.stopped()


def test_a_version_that_makes_no_sense_says_so_in_its_document(place, lab):
    _, version = three_tasks(lab, taskStatus={"state": "pending"}, dataSetGroupId="a/b")
    with place.daemon() as daemon:
        job = daemon.job("refused")
        until(lambda: lab.document(version)["taskStatus"].get("error") == job["reason"], "the document says why")
        assert lab.document(version)["taskStatus"]["state"] == "pending"
        daemon.stopped()

"""The annotation service: its call, its documents, its files, as a front end and an annotator see them."""

import asyncio
import io
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from bson import ObjectId
from builders.mongodb import server
from footage import clips
from peers.daemon import Place, until
from peers.mongo import MongoServer
from peers.servers import ministack
from PIL import Image, ImageColor
from pymongo import MongoClient

pytestmark = pytest.mark.daemon

__all__ = ["server"]
KEY = "a key of sixteen letters"
SETTINGS = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"
grace = "5s"

[limits]
disk_reserve = "1MiB"

[retry]
first = "200ms"
longest = "1s"

[accounts.base]
kind = "mongodb"
uri = "{uri}"
database = "annotation"
timeout = "3s"

[accounts.store]
kind = "s3"
endpoint_url = "{s3}"
access_key = "KEY4711"
secret_key = "SECRET4711"
bucket = "contents"
region = "us-east-1"

[accounts.caller]
kind = "secret"

[sources.calls]
kind = "process_content"
account = "base"
auth_key = "caller.value"
root = "uploads"
pipeline = "annotation"
tell_every = "0s"
{more}

[[pipelines.annotation.steps]]
kind = "frames"
per_task = 12
images = true
thumbnails = true

[[pipelines.annotation.publish]]
kind = "s3"
label = "files"
account = "store"
files = ["tasks"]
prefix = "contents/{{{{ facts.upload_id }}}}"
overwrite = true

[[pipelines.annotation.publish]]
kind = "mongo_tasks"
account = "base"
"""


class Service:
    """The database and the bucket as the other programs of the service see them."""

    def __init__(self, place, server, s3):
        self.place, self.s3 = place, s3
        self.client = MongoClient(server.uri)
        self.db = self.client["annotation"]
        self.project = ObjectId()
        self.db.AnnotationProject.insert_one({"_id": self.project, "name": "test", "contentUploads": []})
        self.root = place.root / "uploads" / "p1"
        self.root.mkdir(parents=True)
        self.files = boto3.client(
            "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="KEY4711",
            aws_secret_access_key="SECRET4711",
        )  # fmt: skip
        self.files.create_bucket(Bucket="contents")

    def upload(self, **more):
        made = {"_id": ObjectId(), "projectId": self.project, "status": 0, "progress": 0, "vidd": {}, **more}
        return self.db.AnnotationContentUpload.insert_one(made).inserted_id

    def document(self, upload):
        return self.db.AnnotationContentUpload.find_one({"_id": upload})

    def tasks(self, upload):
        return list(self.db.AnnotationTask.find({"uploadId": upload}).sort("frameStart"))

    def frames(self, task):
        return list(self.db.AnnotationFrame.find({"taskId": task["_id"]}).sort("frameId"))

    def fields(self, upload, **more):
        return {
            "upload_id": str(upload), "auth_key": KEY, "project_id": str(self.project), "frame_rate": 5,
            "content_path": "p1/cam.mp4", "force_write": 0, "auto_anno_version": 0, "request_type": 0,
            "content_type": 1, **more,
        }  # fmt: skip

    def stored(self):
        return sorted(one["Key"] for one in self.files.list_objects_v2(Bucket="contents").get("Contents", ()))

    def close(self):
        self.client.close()
        self.files.close()


@pytest.fixture
def service(place, server):
    with ministack() as s3:
        service = Service(place, server, s3)
        place.config.write_text(SETTINGS.format(root=place.root, uri=server.uri, s3=s3, more=""))
        clips.recording(service.root / "cam.mp4", rate="30", seconds=8)
        yield service
        service.close()


def running(place):
    return place.daemon(VIDD_ACCOUNTS__CALLER__VALUE=KEY)


def curl(daemon, fields, *, form=True, path="/api/processContent"):
    """Status and document of what curl is answered."""
    port = daemon.ready().said("ready")[0]["listen"][1]
    words = [word for name, value in fields.items() for word in ("--data-urlencode", f"{name}={value}")]
    if not form:
        words = ["-H", "Content-Type: application/json", "-d", json.dumps(fields)]
    argv = ["curl", "-s", "-w", "\n%{http_code}", *words, f"http://127.0.0.1:{port}{path}"]
    out = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    body, _, status = out.rpartition("\n")
    return int(status), json.loads(body)


@contextmanager
def watching(service, upload):
    """A front end that reads the upload and its tasks all the time; yields what it saw."""
    seen, stop = [], threading.Event()

    def look():
        with MongoClient(service.client.address[0], service.client.address[1]) as client:
            db = client["annotation"]
            while not stop.is_set():
                one = db.AnnotationContentUpload.find_one({"_id": upload})
                seen.append((one["status"], one["progress"], db.AnnotationTask.count_documents({"uploadId": upload})))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(20)


def etags(service):
    return {one["Key"]: one["ETag"] for one in service.files.list_objects_v2(Bucket="contents")["Contents"]}


def done(service, upload):
    return until(lambda: (one := service.document(upload)) and one["status"] == 1 and one, "the upload is done")


def test_the_call_makes_tasks_that_appear_all_at_once_while_progress_moves(place, service):
    upload = service.upload()
    with running(place) as daemon, watching(service, upload) as seen:
        status, told = curl(daemon, service.fields(upload))
        assert (status, told["state"], told["upload"]) == (202, "seen", str(upload))
        document = done(service, upload)
        assert daemon.ask(told["links"]["job"])[1]["state"] in {"publishing", "published"}
        daemon.job("published")
        daemon.stopped()
    assert (document["taskCount"], document["frames_per_task"], document["frame_rate"]) == (4, 12, 5)
    assert (document["progress"], document["errorMessage"], document["request_type"]) == (100, {}, 0)
    assert service.db.AnnotationProject.find_one()["contentUploads"] == [upload]
    assert ("taskId", 1) in service.db.AnnotationFrame.index_information()["taskId_1_frameId_1"]["key"]
    tasks = service.tasks(upload)
    assert [one["taskName"] for one in tasks] == [f"task-{n}-cam" for n in range(4)]
    assert [(one["frameStart"], one["frameEnd"], one["frameCount"]) for one in tasks] == [
        (6, 72, 12), (78, 144, 12), (150, 216, 12), (222, 240, 4)
    ]  # fmt: skip
    assert tasks[0]["original_frames"] == str([6.0 * k for k in range(1, 13)])
    assert (tasks[0]["videoDuration"], tasks[0]["Originalframerate"]) == ("0:00:02", 30)
    frames = service.frames(tasks[3])
    assert [one["frameId"] for one in frames] == [1, 2, 3, 4]
    assert [one["vidd"]["frame"] for one in frames] == [221, 227, 233, 239]
    assert sum(len(service.frames(one)) for one in tasks) == 40 == service.db.AnnotationFrame.count_documents({})
    place_of = f"contents/{upload}/task-3-cam/"
    assert [key for key in service.stored() if key.startswith(place_of)] == sorted(
        [f"{place_of}task-3-cam.mp4", *(f"{place_of}{k}{end}.jpg" for k in range(1, 5) for end in ("", "_thumbnail"))]
    )
    assert tasks[3]["S3_url"] == f"{place_of}task-3-cam.mp4"
    assert frames[0]["imageUrl"] == f"{place_of}1.jpg"
    # What a front end saw: progress that only grows, and never some of the tasks.
    assert {tasks for _, _, tasks in seen} == {0, 4}
    moved = [progress for _, progress, _ in seen]
    assert moved == sorted(moved)
    assert len(set(moved)) >= 4
    # The upload was read before its tasks.
    assert {tasks for status, _, tasks in seen if status == 1} == {4}


def test_thirty_frames_a_second_of_29_97_are_every_frame_and_the_tasks_say_29_97(place, service):
    clips.recording(service.root / "cam.mp4", rate="30000/1001", seconds=2)
    upload = service.upload()
    with running(place) as daemon:
        assert curl(daemon, service.fields(upload, frame_rate=30))[0] == 202
        # The upload says what was asked for.
        assert (document := done(service, upload))["frame_rate"] == 30, document
        daemon.stopped()
    tasks = service.tasks(upload)
    assert [(task["frameStart"], task["frameEnd"]) for task in tasks] == [(k, k + 11) for k in range(1, 60, 12)]
    real = pytest.approx(30000 / 1001)
    for task in tasks:
        assert (task["frameRate"], task["Originalframerate"]) == (real, real)
        assert task["skipFrameCount"] * task["frameRate"] == pytest.approx(24)


def test_the_same_call_twice_is_one_job_and_another_for_the_upload_waits(place, service):
    upload = service.upload()
    with running(place) as daemon:
        daemon.ready()
        assert place.vidd("pause")[0] == 0
        first, second = (curl(daemon, service.fields(upload), form=form) for form in (True, False))
        assert (first[0], second[0], first[1]["job"]) == (202, 202, second[1]["job"])
        status, told = curl(daemon, service.fields(upload, frame_rate=6))
        assert (status, told["detail"]) == (
            409, f"The job {first[1]['job']} works on this upload: wait for it, or cancel it."
        )  # fmt: skip
        assert place.vidd("resume")[0] == 0
        done(service, upload)
        daemon.job("published")
        assert curl(daemon, service.fields(upload))[0] == 409
        old = {one["_id"] for one in service.tasks(upload)}
        status, told = curl(daemon, service.fields(upload, force_write=1, frame_rate=6))
        assert status == 202
        until(
            lambda: len(service.tasks(upload)) == 4 and service.document(upload)["frame_rate"] == 6, "it is made anew"
        )
        until(lambda: service.db.AnnotationFrame.count_documents({}) == 48, "the old frames are gone")
        assert old.isdisjoint(one["_id"] for one in service.tasks(upload))
        daemon.stopped()


def test_a_forced_call_is_a_new_job_though_the_document_was_not_told_of_the_last_one(place, service):
    upload = service.upload()
    with running(place) as daemon:
        made = []
        for _ in range(3):
            status, told = curl(daemon, service.fields(upload, force_write=1, frame_rate=1))
            assert status == 202
            made.append(told["job"])
            until(lambda: daemon.ask(f"/api/jobs/{made[-1]}")[1]["state"] == "published", "the job is published")
            service.db.AnnotationContentUpload.update_one({"_id": upload}, {"$set": {"vidd.generation": 0}})
        assert len(set(made)) == 3
        assert {one["vidd"]["job"] for one in service.tasks(upload)} == {made[-1]}
        daemon.stopped()


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"auth_key": "wrong"}, 401, "auth_key is not the key"),
        ({"auth_key": ""}, 400, "auth_key is missing"),
        ({"frame_rate": 0}, 400, "frame_rate cannot be '0'"),
        ({"frame_rate": -1}, 400, "frame_rate cannot be '-1'"),
        ({"frame_rate": 10_000}, 400, "frame_rate cannot be '10000'"),
        ({"frame_rate": "--5"}, 400, "frame_rate cannot be '--5'"),
        ({"content_path": "a" * 300 + ".mp4"}, 422, "is longer than a file name"),
        ({"frame_rate": "five"}, 400, "frame_rate cannot be 'five'"),
        ({"frame_rate": 31}, 422, "The call asks for 31 frames a second, and 'cam.mp4' has 30"),
        ({"force_write": 2}, 400, "force_write cannot be '2'"),
        ({"request_type": 3}, 400, "request_type cannot be '3'"),
        ({"content_type": 9}, 400, "content_type cannot be '9'"),
        ({"auto_anno_version": 1}, 422, "Request type 0 makes tasks without annotations"),
        ({"request_type": 1}, 422, "send the version, 1 or more, as auto_anno_version"),
        ({"request_type": 2, "auto_anno_version": 1}, 409, "The upload has no tasks yet"),
        ({"content_path": "../vidd.toml"}, 422, "leads out of the content root"),
        ({"content_path": "/etc/passwd"}, 422, "leads out of the content root"),
        ({"content_path": "p1/link.mp4"}, 422, "leads out of the content root, or through a link"),
        ({"content_path": "p1/none.mp4"}, 422, "There is no file"),
        ({"content_path": "p1/words.txt"}, 422, "is no video by its name"),
        ({"content_path": "p1/words.mp4"}, 422, "is a text and no video"),
        ({"content_type": 2}, 422, "There is no image, zip file or directory"),
        ({"upload_id": "0" * 24}, 404, "There is no upload"),
        ({"project_id": "nobody"}, 404, "There is no project"),
    ],
)
async def test_a_call_that_may_not_be_is_answered_with_a_sentence(asking, changes, status, sentence):
    service, ask = asking
    got, told = await asyncio.to_thread(ask, service.fields(service.first, **changes))
    assert (got, sentence in told["detail"]) == (status, True), told
    # What was wrong with the call itself is told to its caller alone.
    document = await asyncio.to_thread(service.document, service.first)
    if status in {400, 401} or "upload_id" in changes:
        assert document["status"] == 0
    else:
        assert (document["status"], document["errorMessage"]["error_message"]) == (2, told["detail"])
    await asyncio.to_thread(
        service.db.AnnotationContentUpload.update_one, {"_id": service.first}, {"$set": {"status": 0}}
    )


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """A daemon that is asked many times."""
    mongo = MongoServer(tmp_path_factory.mktemp("mongo") / "data")
    mongo.start()
    root = Path(tempfile.mkdtemp(prefix="vidd-"))
    place = Place(root)
    with ministack() as s3:
        service = Service(place, mongo, s3)
        place.config.write_text(SETTINGS.format(root=root, uri=mongo.uri, s3=s3, more=""))
        clips.recording(service.root / "cam.mp4", rate="30", seconds=1)
        (service.root / "link.mp4").symlink_to(service.root / "cam.mp4")
        for name in ("words.txt", "words.mp4"):
            (service.root / name).write_text("words\n")
        service.first = service.upload()
        with running(place) as daemon:
            daemon.ready()
            yield service, lambda fields: curl(daemon, fields)
            daemon.stopped()
        service.close()
    mongo.stop()
    shutil.rmtree(root)


def test_every_field_that_is_missing_is_named(asking):
    service, ask = asking
    for name in service.fields(service.first).keys() - {"content_type"}:
        fields = service.fields(service.first)
        del fields[name]
        status, told = ask(fields)
        assert (status, f"{name} is missing" in told["detail"]) == (400, True), told


def test_what_cannot_be_worked_on_is_told_in_the_upload(place, service):
    upload = service.upload()
    with running(place) as daemon:
        daemon.ready()
        place.vidd("pause")
        _, told = curl(daemon, service.fields(upload))
        (service.root / "cam.mp4").write_bytes(b"\0" * 5000)
        place.vidd("resume")
        document = until(lambda: (one := service.document(upload))["status"] == 2 and one, "it is told to have failed")
        reason = daemon.ask(told["links"]["job"])[1]["reason"]
        assert document["errorMessage"] == {"error_code": 1, "error_message": reason}
        assert document["finishedAt"] is not None
        assert service.tasks(upload) == []
        clips.recording(service.root / "cam.mp4", rate="30", seconds=8)
        assert curl(daemon, service.fields(upload))[0] == 202
        assert done(service, upload)["errorMessage"] == {}
        daemon.stopped()


def test_what_the_documents_refuse_is_told_in_the_upload_and_the_job_is_not_published(place, service):
    upload = service.upload()
    with running(place) as daemon:
        daemon.ready()
        place.vidd("pause")
        _, told = curl(daemon, service.fields(upload))
        # Another program takes the upload over in the name of a newer job.
        service.db.AnnotationContentUpload.update_one({"_id": upload}, {"$set": {"vidd.job": "z"}})
        place.vidd("resume")
        daemon.job("refused")
        assert "a newer job works on it" in daemon.ask(told["links"]["job"])[1]["reason"]
        daemon.stopped()
    assert service.tasks(upload) == []


def test_a_database_that_goes_away_under_a_running_daemon_is_waited_for(place, service, server):
    upload = service.upload()
    clips.recording(service.root / "cam.mp4", rate="30", seconds=40)
    with running(place) as daemon:
        _, told = curl(daemon, service.fields(upload))
        until(lambda: service.document(upload)["progress"] > 20, "it is under way")
        server.kill()
        until(lambda: daemon.ask(told["links"]["job"])[1]["state"] == "waiting", "the job waits for its documents")
        until(lambda: daemon.ask("/health")[0] == 503, "the daemon says that it is not well")
        assert daemon.ask("/health")[1]["watchers"]["calls"]["up"] is False
        assert curl(daemon, service.fields(upload))[0] == 503
        server.start()
        assert done(service, upload)["taskCount"] == 17
        assert daemon.job("published")["publications"][1]["attempt"] == 1
        daemon.stopped()


def test_the_originals_own_path_and_form_are_taken(place, service):
    place.config.write_text(
        SETTINGS.format(root=place.root, uri=service_uri(service), s3=service.s3, more='prefix = "./contents/uploads"')
    )
    upload = service.upload()
    with running(place) as daemon:
        port = daemon.ready().said("ready")[0]["listen"][1]
        argv = ["curl", "-s", "-i", f"http://127.0.0.1:{port}/api/processContent"]
        page = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
        assert "form-action 'self'" in page
        for name in service.fields(upload):
            assert f"name={name}>" in page
        status, told = curl(daemon, service.fields(upload, content_path="./contents/uploads/p1/cam.mp4"))
        assert status == 202
        done(service, upload)
        assert daemon.ask(told["links"]["job"])[1]["facts"]["upload_dir"] == "p1"
        daemon.stopped()


def test_images_become_tasks_with_the_same_documents(place, service):
    shots = service.root / "shots"
    shots.mkdir()
    for number in range(14):
        Image.new("RGB", (64, 48), (number * 10, 0, 0)).save(shots / f"{number}.png")
    upload = service.upload()
    with running(place) as daemon:
        status, _ = curl(daemon, service.fields(upload, content_path="p1/shots", content_type=2))
        assert status == 202
        assert done(service, upload)["taskCount"] == 2
        single = service.upload()
        alone = service.fields(single, content_path="p1/shots/3.png", content_type=2)
        assert curl(daemon, alone)[0] == 202
        assert done(service, single)["taskCount"] == 1
        daemon.stopped()
    first, second = service.tasks(upload)
    assert (first["taskName"], first["frameCount"], second["frameCount"]) == ("task-0-shots", 12, 2)
    film = f"contents/{upload}/task-0-shots/task-0-shots.mp4"
    assert (first["S3_url"], first["videoResolutionWidth"], first["frameRate"], first["skipFrameCount"]) == (
        film,
        64,
        4,
        6,
    )
    assert first["S3_url"] in service.stored()
    (task,) = service.tasks(single)
    assert (task["taskName"], task["frameCount"], task["S3_url"] in service.stored()) == ("task-0-3", 1, True)
    assert [one["vidd"]["name"] for one in service.frames(second)] == ["12.png", "13.png"]


def test_a_daemon_and_a_database_that_are_killed_change_nothing(place, service, server):
    clips.recording(service.root / "cam.mp4", rate="30", seconds=40)
    upload = service.upload()
    with running(place) as daemon:
        assert curl(daemon, service.fields(upload))[0] == 202
        until(lambda: service.document(upload)["progress"] > 20, "it is under way")
        daemon.process.kill()
    server.kill()
    server.start()
    with running(place) as daemon:
        daemon.ready()
        assert done(service, upload)["taskCount"] == 17
        daemon.job("published")
        daemon.stopped()
    tasks = service.tasks(upload)
    assert [one["taskName"] for one in tasks] == [f"task-{n}-cam" for n in range(17)]
    assert service.db.AnnotationFrame.count_documents({}) == 200
    numbers = [one["vidd"]["frame"] + 1 for task in tasks for one in service.frames(task)]
    assert numbers == [6 * k for k in range(1, 201)]


def test_a_rework_shows_other_tasks_and_an_undo_the_ones_before_unless_people_worked_on_them(place, service):
    kept = "[pipelines.annotation]\nkeep = '1d'\n\n[[pipelines.annotation.steps]]"
    place.config.write_text(place.config.read_text().replace("[[pipelines.annotation.steps]]", kept, 1))
    upload = service.upload()
    with running(place) as daemon:
        curl(daemon, service.fields(upload))
        done(service, upload)
        job = daemon.job("published")["id"]
        assert place.vidd("rework", job, "--step", "frames", "--set", "frames.per_task=20")[0] == 0
        until(lambda: [one["frameCount"] for one in service.tasks(upload)] == [20, 20], "there are two tasks")
        daemon.job("published")
        assert service.db.AnnotationFrame.count_documents({}) == 40
        assert place.vidd("rework", job, "--undo")[0] == 0
        until(lambda: [one["frameCount"] for one in service.tasks(upload)] == [12, 12, 12, 4], "there are four again")
        daemon.job("published")
        box = {"id": 1, "boundaries": {"id": 1, "x": 1, "y": 1, "w": 9, "h": 9, "label": "car"}}
        mine = {"taskId": service.tasks(upload)[0]["_id"], "frameId": 1}
        service.db.AnnotationFrame.update_one(mine, {"$set": {"boxes": [box]}})
        stored = etags(service)
        assert place.vidd("rework", job, "--step", "frames", "--set", "frames.per_task=20")[0] == 0
        assert "People have worked on the tasks" in daemon.job("refused")["reason"]
        assert service.db.AnnotationFrame.find_one(mine)["boxes"] == [box]
        # What nobody is to be shown does not go out.
        assert etags(service) == stored
        assert place.vidd("rework", job, "--undo")[0] == 0
        daemon.job("published")
        assert service.db.AnnotationFrame.find_one(mine)["boxes"] == [box]
        # Of a job whose upload another one took over nothing is brought back.
        assert curl(daemon, service.fields(upload, frame_rate=4, force_write=1))[0] == 202
        until(lambda: service.document(upload)["frame_rate"] == 4, "it is made anew")
        until(lambda: {one["state"] for one in daemon.jobs()} == {"published"}, "the newer one is out")
        stored = etags(service)
        assert place.vidd("rework", job, "--step", "frames", "--set", "frames.quality=50")[0] == 0
        assert "a newer job works on it" in daemon.job("refused")["reason"]
        assert etags(service) == stored
        daemon.stopped()


def test_the_original_is_answered_as_it_was(place, service):
    place.config.write_text(
        SETTINGS.format(root=place.root, uri=service_uri(service), s3=service.s3, more="compatible = true")
    )
    upload = service.upload()
    with running(place) as daemon:
        status, told = curl(daemon, service.fields(upload))
        assert (status, [one["taskName"] for one in told]) == (200, [f"task-{n}-cam" for n in range(4)])
        assert not {"_id", "projectId", "uploadId", "taskId", "vidd"} & told[0].keys()
        # What is done stays done, whatever is asked of it later.
        assert curl(daemon, service.fields(upload)) == (
            200, {str(service.project): "The upload has tasks already: send force_write 1 to replace them."}
        )  # fmt: skip
        assert service.document(upload)["status"] == 1
        daemon.stopped()


MISSING = object()
# The changes of a call; the status and the key of the answer; where None, the upload's document stays as it is.
ORIGINAL = [
    ({"auth_key": "x"}, 401, "Authentication Error", 401),
    ({"auth_key": MISSING}, 401, "Authentication Error", 401),
    ({"auth_key": ""}, 400, "message", 400),
    ({"upload_id": MISSING}, 400, "message", None),
    ({"upload_id": "cam"}, 400, "cam", None),
    ({"upload_id": "0" * 24}, 200, "0" * 24, None),
    ({"project_id": "nobody"}, 400, "nobody", 400),
    ({"project_id": "0" * 24}, 200, "0" * 24, 200),
    *(
        ({name: value}, 400, "message" if value is MISSING else value, 400)
        for name in ("frame_rate", "force_write", "request_type", "auto_anno_version")
        for value in (MISSING, "five")
    ),
    ({"project_id": MISSING}, 400, "message", 400),
    ({"content_path": MISSING}, 400, "message", 400),
    ({"frame_rate": MISSING, "force_write": MISSING}, 400, "message", 400),
    ({"auto_anno_version": 1}, 400, "1", 400),
    ({"request_type": 1}, 400, "0", 400),
    ({"request_type": 2, "auto_anno_version": 1}, 200, "1", 200),
    ({"frame_rate": 60}, 200, "60", 200),
    ({"content_path": "p1/none.mp4"}, 200, "none.mp4", 200),
    ({"content_path": "p1/words.txt"}, 200, "words.txt", 200),
    ({"content_path": "../vidd.toml"}, 200, "vidd.toml", 200),
    ({"content_path": "p1/words.mp4"}, 200, "words.mp4", 200),
]


def test_the_original_is_answered_as_it_was_where_a_call_cannot_be_carried_out(place, service):
    place.config.write_text(
        SETTINGS.format(root=place.root, uri=service_uri(service), s3=service.s3, more="compatible = true")
    )
    for name in ("words.txt", "words.mp4"):
        (service.root / name).write_text("words\n")
    with running(place) as daemon:
        for changes, status, key, code in ORIGINAL:
            upload = service.upload()
            fields = {**service.fields(upload), **changes}
            got, told = curl(daemon, {name: value for name, value in fields.items() if value is not MISSING})
            assert (got, list(told)) == (status, [key]), (changes, told)
            document = service.document(upload)
            if code is None:
                assert document["status"] == 0, changes
                continue
            message = {"error_code": code, "error_message": told[key]}
            assert (document["status"], document["errorMessage"]) == (2, message), changes
        # Of one who was told what is wrong, the corrected call is carried out.
        assert curl(daemon, service.fields(upload))[0] == 200
        assert (document := done(service, upload))["errorMessage"] == {}, document
        # Neither does anybody fail what is under way.
        place.vidd("pause")
        busy = service.upload()
        clips.recording(service.root / "other.mp4", seconds=1)
        asking = threading.Thread(target=curl, args=(daemon, service.fields(busy, content_path="p1/other.mp4")))
        asking.start()
        until(lambda: service.document(busy)["vidd"].get("job"), "it is under way")
        assert curl(daemon, service.fields(busy, auth_key="x"))[0] == 401
        assert service.document(busy)["status"] == 0
        place.vidd("resume")
        asking.join(60)
        assert done(service, busy)["errorMessage"] == {}
        daemon.stopped()


def test_content_is_deleted_once_it_is_published_and_nobody_else_needs_it_also_after_a_kill(place, service):
    place.config.write_text(
        SETTINGS.format(root=place.root, uri=service_uri(service), s3=service.s3, more="delete_source = true")
    )
    cam, kept, shots = (service.root / name for name in ("cam.mp4", "kept.mp4", "shots"))
    shutil.copy(cam, kept)
    shots.mkdir()
    Image.new("RGB", (64, 48), "red").save(shots / "1.png")
    first, images = service.upload(), service.upload()
    other = service.db.AnnotationProject.insert_one({"name": "other", "contentUploads": []}).inserted_id
    second = service.upload(projectId=other)
    with running(place) as daemon:
        daemon.ready()
        place.vidd("pause")
        curl(daemon, service.fields(first))
        _, told = curl(daemon, service.fields(second, project_id=str(other)))
        curl(daemon, service.fields(images, content_path="p1/shots", content_type=2))
        # Another program takes the second upload over in the name of a newer job.
        service.db.AnnotationContentUpload.update_one({"_id": second}, {"$set": {"vidd.job": "z"}})
        place.vidd("resume")
        until(lambda: not shots.exists(), "the images are gone")
        until(lambda: sorted(job["state"] for job in daemon.jobs()) == ["published", "published", "refused"], "all end")
        assert cam.exists()
        daemon.process.kill()
    with running(place) as daemon:
        daemon.ready()
        assert place.vidd("cancel", told["job"])[0] == 0
        until(lambda: not cam.exists(), "nobody needs the recording")
        until(lambda: "delete" not in service.document(first)["vidd"], "the upload says so")
        daemon.stopped()
    assert sorted(service.root.iterdir()) == [kept]


def numbered_boxes(config, script):
    """Add a detector whose box in a frame is as far from the left as the number says that the frame shows."""
    script.write_text(
        f"""import json, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from footage import clips
seen = {{}}
with open(sys.argv[1]) as asked, open(sys.argv[2], "w") as answers:
    for row in map(json.loads, asked):
        film = row["film"]
        seen.setdefault(film, [clips.number(frame) for _, frame in clips.pictures(film)])
        box = {{"x": seen[film][row["index"] - 1] / 10, "y": 1, "w": 9, "h": 9, "label": "number", "confidence": 1}}
        answers.write(json.dumps({{"task": row["task"], "index": row["index"], "boxes": [box]}}) + "\\n")
"""
    )
    argv = json.dumps([sys.executable, str(script), "{{ asked }}", "{{ answers }}"])
    detector = "\n".join(f'{version} = {{ kind = "program", argv = {argv} }}' for version in (1, 2))
    step = f'[[pipelines.annotation.steps]]\nkind = "annotate"\n\n[pipelines.annotation.steps.versions]\n{detector}\n'
    first = "[[pipelines.annotation.publish]]"
    config.write_text(config.read_text().replace(first, f"{step}\n{first}", 1))


def shown_numbers(service, task):
    """The numbers that the boxes of a task's frames tell, in the order of the frames."""
    return [[round(box["boundaries"]["x"] * 10) for box in frame["boxes"]] for frame in service.frames(task)]


def test_boxes_alone_come_from_the_task_videos_once_the_recording_was_deleted(place, service):
    place.config.write_text(
        SETTINGS.format(root=place.root, uri=service_uri(service), s3=service.s3, more="delete_source = true")
    )
    numbered_boxes(place.config, place.root / "detect.py")
    upload, other = service.upload(), service.upload()
    only_boxes = {"request_type": 2, "auto_anno_version": 1}
    with running(place) as daemon:
        assert curl(daemon, service.fields(upload))[0] == 202
        done(service, upload)
        until(lambda: not (service.root / "cam.mp4").exists(), "the recording is gone")
        stored, before = etags(service), service.tasks(upload)
        # The front end makes an upload for each call; its tasks are another's.
        status, told = curl(daemon, service.fields(other, **only_boxes))
        assert (status, told["detail"]) == (
            409, f"The upload has no tasks; those of this content are of the upload {upload}: send that as upload_id."
        )  # fmt: skip
        # Tasks are made of a recording.
        assert curl(daemon, service.fields(upload, force_write=1))[0] == 422
        assert curl(daemon, service.fields(upload, **only_boxes))[0] == 202
        until(lambda: service.tasks(upload)[0]["AutoAnnotationVersion"] == 1, "it is annotated")
        until(lambda: {job["state"] for job in daemon.jobs()} == {"published"}, "the jobs are published")
        daemon.stopped()
    assert etags(service) == stored
    assert [{**task, "AutoAnnotationVersion": 1} for task in before] == service.tasks(upload)
    for task in before:
        assert shown_numbers(service, task) == [[frame["vidd"]["frame"]] for frame in service.frames(task)]


def test_a_task_video_that_is_missing_or_broken_is_told_by_its_key_and_no_box_is_written(place, service):
    numbered_boxes(place.config, place.root / "detect.py")
    upload = service.upload()
    with running(place) as daemon:
        assert curl(daemon, service.fields(upload))[0] == 202
        done(service, upload)
        daemon.job("published")
        (service.root / "cam.mp4").unlink()
        key = service.tasks(upload)[2]["S3_url"]
        film = service.files.get_object(Bucket="contents", Key=key)["Body"].read()
        service.files.delete_object(Bucket="contents", Key=key)
        status, told = curl(daemon, service.fields(upload, request_type=2, auto_anno_version=1))
        assert status == 202
        failed = until(lambda: (found := service.document(upload))["status"] == 2 and found, "the upload says so")
        sentence = f"The video '{key}' of the task 'task-2-cam' is not in the bucket contents: put it there again"
        assert sentence in failed["errorMessage"]["error_message"]
        damaged = bytearray(film)
        damaged[len(film) // 2 :] = bytes(len(film) - len(film) // 2)
        for body in (film[: len(film) // 2], b"words", bytes(damaged)):
            service.files.put_object(Bucket="contents", Key=key, Body=body)
            assert place.vidd("retry", told["job"])[0] == 0
            until(lambda: daemon.ask(told["links"]["job"])[1]["state"] == "refused", "it is refused")
            reason = daemon.ask(told["links"]["job"])[1]["reason"]
            assert f"The video '{key}' of the task 'task-2-cam' is broken (" in reason
        assert service.db.AnnotationFrame.count_documents({"boxes": {"$ne": []}}) == 0
        assert {task["AutoAnnotationVersion"] for task in service.tasks(upload)} == {0}
        service.files.put_object(Bucket="contents", Key=key, Body=film)
        assert place.vidd("retry", told["job"])[0] == 0
        done(service, upload)
        daemon.stopped()
    assert shown_numbers(service, service.tasks(upload)[2]) == [[149 + 6 * step] for step in range(12)]


def service_uri(service):
    host, port = service.client.address
    return f"mongodb://{host}:{port}/"


def test_what_was_under_way_when_the_state_was_lost_is_begun_again(place, service):
    upload, elsewhere = service.upload(), service.upload(vidd={"job": "01J0", "home": "another:/state"})
    clips.recording(service.root / "cam.mp4", rate="30", seconds=40)
    with running(place) as daemon:
        assert curl(daemon, service.fields(upload, frame_rate=3))[0] == 202
        until(lambda: service.document(upload)["progress"] > 20, "it is under way")
        daemon.process.kill()
    shutil.rmtree(place.root / "jobs")
    for lost in place.root.glob("journal.sqlite*"):
        lost.unlink()
    with running(place) as daemon:
        daemon.ready()
        document = done(service, upload)
        assert (document["taskCount"], document["frame_rate"]) == (10, 3)
        daemon.job("published")
        assert len(daemon.jobs()) == 1
        daemon.stopped()
    assert service.document(elsewhere)["vidd"]["job"] == "01J0"


def test_uploads_whose_content_is_called_alike_do_not_share_files(place, service):
    place.config.write_text(place.config.read_text().replace("facts.upload_id", "facts.upload_dir"))
    colours = {"p1/day/cam.mp4": "red", "p2/day/cam.mp4": "blue", "p2/day/cam.mov": "lime", "cam.mp4": "black"}
    uploads = {path: service.upload() for path in colours}
    for path, colour in colours.items():
        whole = place.root / "uploads" / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        clips.recording(whole, picture=f"drawbox=color={colour}:t=fill")
    with running(place) as daemon:
        for path, upload in uploads.items():
            assert curl(daemon, service.fields(upload, content_path=path))[0] == 202
            done(service, upload)
        # Asked once more, an upload's files stay where they are.
        again = uploads["p2/day/cam.mp4"]
        assert curl(daemon, service.fields(again, content_path="p2/day/cam.mp4", force_write=1, frame_rate=4))[0] == 202
        until(lambda: service.document(again)["frame_rate"] == 4, "it is made anew")
        daemon.stopped()
    _, second, third, alone = uploads.values()
    kept = {key.partition("/task-")[0] for key in service.stored()}
    assert kept == {f"contents/{one}" for one in ("day", f"day-{second}", f"day-{third}", alone)}
    for path, upload in uploads.items():
        key = service.frames(service.tasks(upload)[0])[0]["imageUrl"]
        with Image.open(io.BytesIO(service.files.get_object(Bucket="contents", Key=key)["Body"].read())) as picture:
            seen = picture.convert("RGB").getpixel((5, 5))
        wanted = ImageColor.getrgb(colours[path])
        assert max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) < 12, path


def test_a_new_upload_of_the_same_video_is_refused_and_replaces_the_tasks_when_it_is_forced(place, service):
    place.config.write_text(place.config.read_text().replace("facts.upload_id", "facts.upload_dir"))
    first, second, third = service.upload(), service.upload(), service.upload()
    with running(place) as daemon:
        assert curl(daemon, service.fields(first))[0] == 202
        # The first one is under way, and then has tasks.
        status, told = curl(daemon, service.fields(second))
        assert (status, f"for the upload {first}" in told["detail"] or f"of the upload {first}" in told["detail"]) == (
            409, True,
        )  # fmt: skip
        done(service, first)
        daemon.job("published")
        stored = service.stored()
        status, told = curl(daemon, service.fields(second))
        sentence = (
            f"The project has tasks of this video already, of the upload {first}: send force_write 1 to replace them."
        )
        assert (status, told["detail"]) == (409, sentence)
        assert service.document(second)["errorMessage"]["error_message"] == sentence
        box = {"id": 1, "boundaries": {"id": 1, "x": 1, "y": 1, "w": 9, "h": 9, "label": "car"}}
        mine = {"taskId": service.tasks(first)[0]["_id"], "frameId": 1}
        service.db.AnnotationFrame.update_one(mine, {"$set": {"boxes": [box], "isEmpty": False}})
        status, told = curl(daemon, service.fields(second, force_write=1))
        assert status == 202
        done(service, second)
        until(lambda: daemon.ask(told["links"]["job"])[1]["state"] == "published", "the second is out")
        assert (service.tasks(first), len(service.tasks(second))) == ([], 4)
        assert service.db.AnnotationFrame.count_documents({}) == 40
        # The files take the place of those before.
        assert service.stored() == stored
        [kept] = (place.root / "replaced_annotations").iterdir()
        assert '"label": "car"' in kept.read_text()
        said = f"1 box on 1 frame of 1 task; it is kept in {kept}."
        assert said in json.dumps(daemon.ask(told["links"]["job"])[1])
        # Another project has its own tasks of it.
        other = ObjectId()
        service.db.AnnotationProject.insert_one({"_id": other, "contentUploads": []})
        service.db.AnnotationContentUpload.update_one({"_id": third}, {"$set": {"projectId": other}})
        assert curl(daemon, service.fields(third, project_id=other))[0] == 202
        done(service, third)
        assert (len(service.tasks(second)), len(service.tasks(third))) == (4, 4)
        daemon.stopped()


def test_a_file_that_was_corrected_is_fetched_again_by_a_retry(place, service):
    upload = service.upload()
    whole = service.root / "shots.zip"
    with zipfile.ZipFile(whole, "w") as zipped:
        zipped.writestr("readme.txt", "no pictures")
    with running(place) as daemon:
        curl(daemon, service.fields(upload, content_path="p1/shots.zip", content_type=2))
        job = daemon.job("refused")
        with zipfile.ZipFile(whole, "w") as zipped:
            picture = io.BytesIO()
            Image.new("RGB", (64, 48), "red").save(picture, "PNG")
            zipped.writestr("one.png", picture.getvalue())
        assert place.vidd("retry", job["id"])[0] == 0
        assert done(service, upload)["taskCount"] == 1
        daemon.stopped()


def test_an_upload_that_an_earlier_system_left_is_taken_up(place, service):
    left = service.upload(frame_rate=5, sourceFilePath="p1/cam.mp4", request_type=0, request_annotation_version=0)
    service.db.AnnotationContentUpload.update_one({"_id": left}, {"$unset": {"vidd": ""}})
    clips.recording(service.root / "later.mp4", rate="30", seconds=8)
    vague, quiet = service.upload(sourceFilePath="p1/cam.mp4"), service.upload()
    service.db.AnnotationContentUpload.update_many({"_id": {"$in": [vague, quiet]}}, {"$unset": {"vidd": ""}})
    with running(place) as daemon:
        daemon.ready()
        assert done(service, left)["taskCount"] == 4
        note = daemon.ask("/health")[1]["watchers"]["calls"]["note"]
        # One that nobody asked anything of is no fault.
        assert f"'{vague}' (it does not hold a complete call" in note
        assert str(quiet) not in note
        later = service.upload(frame_rate="5", request_type="0", sourceFilePath="p1/later.mp4")
        service.db.AnnotationContentUpload.update_one({"_id": later}, {"$unset": {"vidd": ""}})
        assert place.vidd("resume")[0] == 0
        assert done(service, later)["taskCount"] == 4
        daemon.stopped()


def test_what_people_did_in_an_upload_that_was_left_stays(place, service):
    left = service.upload(frame_rate=5, sourceFilePath="p1/cam.mp4")
    service.db.AnnotationContentUpload.update_one({"_id": left}, {"$unset": {"vidd": ""}})
    task = {"_id": ObjectId(), "uploadId": left, "taskName": "task-0-cam", "taskStatus": 2, "auditStatus": 0}
    frame = {"taskId": task["_id"], "frameId": 1, "boxes": [{"id": 1, "boundaries": {"id": 1, "label": "car"}}]}
    service.db.AnnotationTask.insert_one(task)
    service.db.AnnotationFrame.insert_one(frame)
    with running(place) as daemon:
        note = until(lambda: daemon.ask("/health")[1]["watchers"]["calls"].get("note"), "it is noted")
        assert f"'{left}' (people have worked on its tasks" in note
        assert (service.tasks(left), service.frames(task)) == ([task], [frame])
        assert curl(daemon, service.fields(left, force_write=1))[0] == 202
        assert done(service, left)["taskCount"] == 4
        daemon.stopped()

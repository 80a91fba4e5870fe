"""The content processor's neighbours: a back end that signs keys and lists frames, a front end that counts what is annotated.

They work on the documents that the content processor left and on those of vidd, with a MongoDB that is no replica set.
"""

import io
import json
import signal
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import av
import boto3
import pytest
from bson import ObjectId
from footage import clips
from peers.daemon import until
from peers.servers import ministack
from peers.single_mongo import SingleMongo
from PIL import Image
from pymongo import MongoClient

pytestmark = pytest.mark.daemon

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
value = "{key}"

[sources.calls]
kind = "process_content"
account = "base"
auth_key = "caller.value"
root = "uploads"
prefix = "./contents/uploads"
pipeline = "annotation"
tell_every = "0s"

[sources.sets]
kind = "data_sets"
account = "base"
pipeline = "sets"

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
prefix = "contents/{{{{ facts.upload_dir }}}}"
overwrite = true

[[pipelines.annotation.publish]]
kind = "mongo_tasks"
account = "base"

[[pipelines.sets.steps]]
kind = "data_set"
database = "base"
account = "store"

[[pipelines.sets.publish]]
kind = "data_set"
database = "base"
account = "store"
"""


class Neighbours:
    """The back end and the front end, with their habits: what they read, sign, count and save."""

    def __init__(self, place, single, s3):
        self.place, self.single = place, single
        self.client = MongoClient(single.server.uri)
        self.db = self.client["annotation"]
        self.files = boto3.client(
            "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="KEY4711",
            aws_secret_access_key="SECRET4711",
        )  # fmt: skip
        self.files.create_bucket(Bucket="contents")
        self.project = ObjectId()
        self.db.AnnotationProject.insert_one({"_id": self.project, "labels": [{"label": "car"}], "contentUploads": []})
        self.folder = place.root / "uploads" / str(self.project)
        self.folder.mkdir(parents=True)
        clips.recording(self.folder / "cam.mp4", rate="30", seconds=8)

    def new_upload(self, **more):
        """The document that a front end makes for each call."""
        upload = {
            "_id": ObjectId(), "projectId": self.project, "status": 0, "progress": 0, "createdAt": datetime.now(UTC),
            "sourceFilePath": f"./contents/uploads/{self.project}/cam.mp4", "frame_rate": 5, "frames_per_task": 12,
            "content_type": 1, "force_write": 0, "request_annotation_version": 0, "request_type": 0, **more,
        }  # fmt: skip
        return self.db.AnnotationContentUpload.insert_one(upload).inserted_id

    def call(self, daemon, upload, **more):
        """The back end's call, a form."""
        fields = {
            "project_id": self.project, "frame_rate": 5, "upload_id": upload, "content_type": 1, "auth_key": KEY,
            "content_path": f"./contents/uploads/{self.project}/cam.mp4", "force_write": 0, "auto_anno_version": 0,
            "request_type": 0, **more,
        }  # fmt: skip
        return self.post(daemon, "/api/processContent", fields)

    def post(self, daemon, path, fields):
        port = daemon.ready().said("ready")[0]["listen"][1]
        body = urlencode(fields).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, timeout=60) as answer:
            return answer.status

    def done(self, upload):
        find = self.db.AnnotationContentUpload.find_one
        return until(lambda: (found := find({"_id": upload}))["status"] == 1 and found, "the upload is done")

    def sign_and_open(self, key):
        """The bytes behind a signed link: what `getSignedUrl` makes of a document's field, whatever that holds."""
        link = self.files.generate_presigned_url(
            "get_object", Params={"Bucket": "contents", "Key": key}, ExpiresIn=86400
        )
        with urllib.request.urlopen(link, timeout=30) as answer:
            return answer.read()

    def task_list(self):
        """The project's tasks, in the order and with the status that the page shows."""
        order = [("status", -1), ("completedFrames", -1), ("_id", 1)]
        tasks = self.db.AnnotationTask.find({"projectId": self.project}, sort=order)
        return [(task["taskName"], task.get("status") or 0, task["completedFrames"]) for task in tasks]

    def open_task(self, task):
        """The film's frames, and what the page counts as annotated. The back end keeps the link in the task."""
        film = self.sign_and_open(task["S3_url"])
        self.db.AnnotationTask.update_one(
            {"_id": task["_id"]}, {"$set": {"videoUrl": "https://…", "urlCreatedAt": "2026-05-01", "maxId": 1}}
        )
        with av.open(io.BytesIO(film)) as opened:
            shown = sum(1 for _ in opened.decode(video=0))
        return shown, self.annotated(task)

    def frame_list(self, task):
        """The frames as the page gets them, by number; it makes the missing ones itself."""
        frames = {frame["frameId"]: frame for frame in self.db.AnnotationFrame.find({"taskId": task["_id"]})}
        for frame in frames.values():
            for box in frame.get("boxes") or ():
                box["boundaries"]["x"] *= 1
        empty = {"boxes": [], "commentBoxes": [], "isEmpty": True}
        return [frames.get(number, empty) for number in range(1, task["frameCount"] + 1)]

    def annotated(self, task):
        return sum(frame["isEmpty"] is False for frame in self.frame_list(task))

    def save(self, task, number, boxes):
        """What leaving a frame saves, once somebody drew, or confirmed that nothing is in it."""
        now = datetime.now(UTC)
        change = {
            "boxes": boxes, "commentBoxes": [], "isEmpty": False, "userLog": ["…"], "isUserAnnotated": bool(boxes),
            "annotatedAt": now, "updatedAt": now,
        }  # fmt: skip
        self.db.AnnotationFrame.update_one({"taskId": task["_id"], "frameId": number}, {"$set": change})
        done = self.db.AnnotationFrame.count_documents({"taskId": task["_id"], "isUserAnnotated": True})
        self.db.AnnotationTask.update_one(
            {"_id": task["_id"]}, {"$set": {"completedFrames": done, "status": 1, "taskStatus": 1, "updatedAt": now}}
        )

    def renew_links(self):
        """What the back end does each hour to frames in data sets; how many pictures opened."""
        wanted = {"datasetVersions": {"$exists": True, "$not": {"$size": 0}}}
        named = {"imageUrl": {"$exists": True}, "thumbnailUrl": {"$exists": True}}
        opened = 0
        for frame in self.db.AnnotationFrame.find({**wanted, **named}):
            for name in ("imageUrl", "thumbnailUrl"):
                Image.open(io.BytesIO(self.sign_and_open(frame[name]))).verify()
                opened += 1
        return opened

    def tasks(self, upload):
        return list(self.db.AnnotationTask.find({"uploadId": upload}).sort("frameStart"))

    def left_task(self, upload, number, film, *, frames=12):
        """A task as the content processor left it: one of 12 frames of a recording of 30, 5 of each second."""
        name, first = f"task-{number}-cam", 72 * number + 6
        key = f"contents/{self.project}/{name}/{name}.mp4"
        self.files.put_object(Bucket="contents", Key=key, Body=film)
        task = {
            "_id": ObjectId(), "projectId": self.project, "taskName": name, "frameStart": first, "frameEnd": first + 66,
            "frameStartTime": first / 30, "frameCount": 12, "status": 0, "uploadId": upload, "S3_url": key,
            "videoPath": f"./contents/{self.project}/{name}/{name}.mp4", "videoName": "cam", "frameRate": 5,
            "original_frames": str([float(first + 6 * step) for step in range(12)]), "videoDuration": "0:00:02",
            "skipFrameCount": 4.8, "Originalframerate": 30.0, "videoResolutionWidth": 96, "videoResolutionHeight": 64,
            "createdAt": datetime.now(UTC), "auditStatus": 0, "taskStatus": 2, "AutoAnnotationVersion": 0,
            "datasetVersions": [], "completedFrames": 0,
        }  # fmt: skip
        self.db.AnnotationTask.insert_one(task)
        rows = [
            {
                "frameId": index, "status": 0, "boxes": [], "taskId": task["_id"], "commentBoxes": [], "isEmpty": True,
                "datasetVersions": [],
            }
            for index in range(1, frames + 1)
        ]  # fmt: skip
        if rows:
            self.db.AnnotationFrame.insert_many(rows)
        return task["_id"]

    def documents(self, task):
        return self.db.AnnotationTask.find_one({"_id": task}), list(self.db.AnnotationFrame.find({"taskId": task}))


@pytest.fixture
def neighbours(place, tmp_path):
    single = SingleMongo(tmp_path / "data")
    single.start()
    with ministack() as s3:
        neighbours = Neighbours(place, single, s3)
        place.config.write_text(SETTINGS.format(root=place.root, uri=single.uri, s3=s3, key=KEY))
        yield neighbours
        neighbours.client.close()
        neighbours.files.close()
    single.stop()


def film_of_a_task(path: Path) -> bytes:
    clips.recording(path, rate="5", seconds=12 / 5)
    return path.read_bytes()


def test_every_film_and_picture_opens_and_nothing_counts_as_annotated_before_somebody_worked(place, neighbours):
    upload = neighbours.new_upload()
    with place.daemon() as daemon:
        assert neighbours.call(daemon, upload) == 202
        neighbours.done(upload)
        tasks = neighbours.tasks(upload)
        assert [neighbours.open_task(task) for task in tasks] == [(12, 0), (12, 0), (12, 0), (4, 0)]
        assert neighbours.task_list() == [(f"task-{number}-cam", 0, 0) for number in range(4)]
        for task in tasks:
            for frame in neighbours.frame_list(task):
                Image.open(io.BytesIO(neighbours.sign_and_open(frame["imageUrl"]))).verify()
        box = {"id": 1, "boundaries": {"id": 1, "type": "rectangle", "x": 1, "y": 1, "w": 9, "h": 9, "label": "car"}}
        neighbours.save(tasks[1], 1, [box])
        neighbours.save(tasks[1], 2, [])
        assert [neighbours.annotated(task) for task in tasks] == [0, 2, 0, 0]
        assert neighbours.task_list()[0] == ("task-1-cam", 1, 1)
        # Boxes alone leave both frames as their annotator left them.
        assert neighbours.call(daemon, upload, request_type=2, auto_anno_version=1) == 202
        until(lambda: neighbours.tasks(upload)[0]["AutoAnnotationVersion"] == 1, "it is annotated")
        assert [frame["boxes"] for frame in neighbours.frame_list(tasks[1])[:2]] == [[box], []]
        assert [neighbours.annotated(task) for task in tasks] == [0, 2, 0, 0]
        daemon.stopped()


def test_pictures_of_a_data_set_open_by_their_keys(place, neighbours):
    upload = neighbours.new_upload()
    with place.daemon() as daemon:
        neighbours.call(daemon, upload)
        neighbours.done(upload)
        own, old = (
            neighbours.tasks(upload)[3],
            neighbours.left_task(ObjectId(), 0, film_of_a_task(place.root / "t.mp4")),
        )
        version = {
            "_id": ObjectId(), "dataSetGroupId": ObjectId(), "versionNo": "1", "taskList": [own["_id"], old],
            "labelAttributeList": [], "splitCount": [100, 0, 0], "taskStatus": {"state": "none", "tasks": []},
        }  # fmt: skip
        neighbours.db.AnnotationDatasetVersion.insert_one(version)
        neighbours.post(daemon, "/api/createDataSet", {"data_version_id": version["_id"]})
        find = neighbours.db.AnnotationDatasetVersion.find_one
        until(lambda: find({"_id": version["_id"]})["taskStatus"]["state"] == "complete", "the data set is complete")
        assert neighbours.renew_links() == 2 * (4 + 12)
        daemon.stopped()


def test_what_the_content_processor_left_half_done_is_continued_after_its_last_task(place, neighbours):
    upload, film = neighbours.new_upload(), film_of_a_task(place.root / "t.mp4")
    finished = [neighbours.left_task(upload, number, film) for number in (0, 1)]
    # It was ended before it wrote the frames of this one.
    neighbours.left_task(upload, 2, film, frames=0)
    # Somebody looked at a task, and did nothing.
    neighbours.open_task(neighbours.db.AnnotationTask.find_one({"_id": finished[0]}))
    before = [neighbours.documents(task) for task in finished]
    with place.daemon() as daemon:
        daemon.ready()
        document = neighbours.done(upload)
        daemon.job("published")
        daemon.stopped()
    assert (document["taskCount"], document["progress"], document["errorMessage"]) == (4, 100, {})
    assert [neighbours.documents(task) for task in finished] == before
    tasks = neighbours.tasks(upload)
    assert [task["_id"] for task in tasks[:2]] == finished
    assert [(task["taskName"], task["frameStart"], task["frameEnd"], task["taskStatus"]) for task in tasks] == [
        ("task-0-cam", 6, 72, 2), ("task-1-cam", 78, 144, 2), ("task-2-cam", 150, 216, 2), ("task-3-cam", 222, 240, 2),
    ]  # fmt: skip
    assert [neighbours.open_task(task) for task in tasks] == [(12, 0), (12, 0), (12, 0), (4, 0)]
    # Films that were there are not made anew.
    assert [neighbours.sign_and_open(task["S3_url"]) == film for task in tasks] == [True, True, False, False]
    assert neighbours.db.AnnotationFrame.count_documents({}) == 40


def test_what_was_left_with_all_tasks_finished_is_done(place, neighbours):
    clips.recording(neighbours.folder / "cam.mp4", rate="30", seconds=4.8)
    upload, film = neighbours.new_upload(), film_of_a_task(place.root / "t.mp4")
    finished = [neighbours.left_task(upload, number, film) for number in (0, 1)]
    before = neighbours.documents(finished[0])
    with place.daemon() as daemon:
        daemon.ready()
        assert neighbours.done(upload)["taskCount"] == 2
        daemon.job("published")
        daemon.stopped()
    assert neighbours.documents(finished[0]) == before
    tasks = neighbours.tasks(upload)
    assert [(task["taskName"], task["frameEnd"]) for task in tasks] == [("task-0-cam", 72), ("task-1-cam", 144)]
    assert [neighbours.open_task(task) for task in tasks] == [(12, 0), (12, 0)]
    assert neighbours.db.AnnotationFrame.count_documents({}) == 24


DETECTOR = """import json, sys
sys.path.insert(0, {tests!r})
from footage import clips
with open(sys.argv[1]) as asked, open(sys.argv[2], "w") as answers:
    for row in map(json.loads, asked):
        number = clips.numbers(row["film"])[row["index"] - 1]
        box = {{"x": number, "y": 1, "w": 9, "h": 9, "label": "number", "confidence": 1}}
        answers.write(json.dumps({{"task": row["task"], "index": row["index"], "boxes": [box]}}) + "\\n")
"""


@pytest.mark.parametrize(
    ("address", "recording"),
    [("key", False), ("web", False), ("key", True)],
    ids=["key", "web", "although the recording is there"],
)
def test_tasks_of_the_content_processor_get_boxes_from_their_films(place, neighbours, address, recording):
    script = place.root / "detect.py"
    script.write_text(DETECTOR.format(tests=str(Path(__file__).parents[1])))
    argv = json.dumps([sys.executable, str(script), "{{ asked }}", "{{ answers }}"])
    detector = f'versions = {{ 1 = {{ kind = "program", argv = {argv} }} }}'
    step = f'[[pipelines.annotation.steps]]\nkind = "annotate"\n{detector}\n\n'
    first = "[[pipelines.annotation.publish]]"
    place.config.write_text(place.config.read_text().replace(first, step + first, 1))
    upload, film = neighbours.new_upload(status=1, vidd={}), film_of_a_task(place.root / "t.mp4")
    # The first has no frames yet, and somebody drew in the second.
    tasks = [neighbours.left_task(upload, number, film, frames=12 * bool(number)) for number in range(3)]
    box = {"id": 1, "boundaries": {"id": 1, "type": "rectangle", "x": 1, "y": 1, "w": 9, "h": 9, "label": "car"}}
    neighbours.save({"_id": tasks[1]}, 5, [box])
    if address == "web":
        for task in neighbours.tasks(upload):
            link = f"{neighbours.files.meta.endpoint_url}/contents/{task['S3_url']}"
            neighbours.db.AnnotationTask.update_one({"_id": task["_id"]}, {"$set": {"S3_url": link}})
    before = neighbours.tasks(upload)
    if not recording:
        (neighbours.folder / "cam.mp4").unlink()
    with place.daemon() as daemon:
        assert neighbours.call(daemon, upload, request_type=2, auto_anno_version=1) == 202
        until(lambda: neighbours.tasks(upload)[0]["AutoAnnotationVersion"] == 1, "it is annotated")
        daemon.job("published")
        daemon.stopped()
    assert [{**task, "AutoAnnotationVersion": 1} for task in before] == neighbours.tasks(upload)
    for task in tasks:
        frames = [neighbours.db.AnnotationFrame.find_one({"taskId": task, "frameId": index}) for index in range(1, 13)]
        found = [
            [found["boundaries"]["x"] for found in frame["boxes"] if found["boundaries"]["label"] == "number"]
            for frame in frames
        ]
        assert found == [[index] for index in range(12)]
        assert [frame["boxes"][0] == box for frame in frames] == [task == tasks[1] and k == 5 for k in range(1, 13)]
    assert neighbours.db.AnnotationFrame.count_documents({}) == 36
    # The films stay as they were.
    assert neighbours.sign_and_open(f"contents/{neighbours.project}/task-1-cam/task-1-cam.mp4") == film


WRITE = "vidd.integrations.annotation_service.database:AnnotationDatabase"
POINTS = {
    "before the frames": (f"{WRITE}.put_frames", "before", 2),
    "after the upload was claimed": (f"{WRITE}._change_upload", "after", 1),
    "after the tasks": (f"{WRITE}._finish", "before", 1),
    "after the end": (f"{WRITE}._finish", "after", 1),
}


def test_a_daemon_killed_between_its_writes_shows_none_or_all_of_the_tasks(place, neighbours):
    upload, shown = neighbours.new_upload(vidd={}), []
    for number, (point, (target, when, nth)) in enumerate(POINTS.items()):
        with place.daemon(fate={"target": target, "when": when, "nth": nth}) as daemon:
            if not number:
                neighbours.call(daemon, upload)
            assert daemon.ended() == -signal.SIGKILL, f"{point} was not reached: {daemon.log.read_text()[-3000:]}"
        shown.append(len(neighbours.tasks(upload)))
    assert shown == [0, 0, 4, 4]
    with place.daemon() as daemon:
        daemon.ready()
        neighbours.done(upload)
        daemon.job("published")
        daemon.stopped()
    assert [neighbours.open_task(task) for task in neighbours.tasks(upload)] == [(12, 0), (12, 0), (12, 0), (4, 0)]
    assert neighbours.db.AnnotationFrame.count_documents({}) == 40

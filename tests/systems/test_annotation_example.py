"""The example of an annotation service, as it is shipped, asked as the content processor's readme says."""

import io
import json
import subprocess
from pathlib import Path

import boto3
import pytest
from bson import ObjectId
from builders.mongodb import server
from footage import clips
from peers.daemon import until
from peers.servers import ministack
from PIL import Image
from pymongo import MongoClient

pytestmark = pytest.mark.daemon

__all__ = ["server"]
EXAMPLE = Path(__file__).parents[2] / "etc" / "examples" / "annotation.toml"
KEY = "the configured key"


@pytest.mark.parametrize("form", ["-d", "-F"])
def test_the_readmes_call_makes_tasks_with_boxes(place, server, form):
    place.config.write_text(EXAMPLE.read_text())
    root = place.root / "contents" / "uploads"
    (root / "testproject1").mkdir(parents=True)
    clips.recording(root / "testproject1" / "Cam1-15-16-9.mp4", rate="30", seconds=2)
    project, upload = ObjectId(), ObjectId()
    with ministack() as s3, MongoClient(server.uri) as client:
        files = boto3.client("s3", endpoint_url=s3, region_name="eu-central-1", aws_access_key_id="KEY4711",
                             aws_secret_access_key="SECRET4711")  # fmt: skip
        files.create_bucket(Bucket="contents", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        db = client["annotation"]
        db.AnnotationProject.insert_one({"_id": project, "contentUploads": []})
        db.AnnotationContentUpload.insert_one({"_id": upload, "projectId": project, "status": 0})
        environment = {
            "VIDD_DAEMON__STATE": str(place.root), "VIDD_DAEMON__LISTEN": "127.0.0.1:0",
            "VIDD_ACCOUNTS__BASE__URI": server.uri, "VIDD_ACCOUNTS__CALLER__VALUE": KEY,
            "VIDD_ACCOUNTS__CONTENTS__ENDPOINT_URL": s3, "VIDD_ACCOUNTS__CONTENTS__ACCESS_KEY": "KEY4711",
            "VIDD_ACCOUNTS__CONTENTS__SECRET_KEY": "SECRET4711", "VIDD_SOURCES__CALLS__ROOT": str(root),
        }  # fmt: skip
        with place.daemon(**environment) as daemon:
            port = daemon.ready().said("ready")[0]["listen"][1]
            fields = {
                "upload_id": upload, "auth_key": KEY, "project_id": project, "frame_rate": 5,
                "content_path": "./contents/uploads/testproject1/Cam1-15-16-9.mp4", "force_write": 0,
                "auto_anno_version": 1, "request_type": 1, "content_type": 1,
            }  # fmt: skip
            words = [word for name, value in fields.items() for word in (form, f"{name}={value}")]
            argv = ["curl", "-s", *words, f"http://127.0.0.1:{port}/api/processContent"]
            told = json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout)
            assert (told["state"], told["upload"]) == ("seen", str(upload))
            document = until(
                lambda: (found := db.AnnotationContentUpload.find_one({"_id": upload}))["status"] and found, "it ends"
            )
            daemon.stopped()
        assert (document["status"], document["progress"], document["request_annotation_version"]) == (1, 100, 1)
        (task,) = db.AnnotationTask.find()
        assert (task["taskName"], task["frameCount"]) == ("task-0-Cam1-15-16-9", 10)
        assert task["S3_url"] == "contents/testproject1/task-0-Cam1-15-16-9/task-0-Cam1-15-16-9.mp4"
        assert files.head_object(Bucket="contents", Key=task["S3_url"])["ContentType"] == "video/mp4"
        frame = db.AnnotationFrame.find_one({"frameId": 10})
        image = files.get_object(Bucket="contents", Key=frame["imageUrl"])["Body"].read()
        assert Image.open(io.BytesIO(image)).size == (task["videoResolutionWidth"], task["videoResolutionHeight"])
        files.close()

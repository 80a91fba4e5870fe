"""What the documents of existing tasks say of their videos, and the settings of their bucket."""

import pytest

from vidd.integrations.annotation_service.documents import store_of, videos_of


def s3(name, **options):
    return {"kind": "s3", "name": name, "options": options}


def documents(files=""):
    return {"kind": "mongo_tasks", "name": "documents", "options": {"files": files}}


@pytest.mark.parametrize(
    ("publish", "store"),
    [
        ([s3("a", account="x"), s3("b", account="y"), documents()], {"account": "x"}),
        (
            [s3("a", account="x"), s3("b", account="y", bucket="films"), documents("b")],
            {"account": "y", "bucket": "films"},
        ),
        ([s3("a", account="x", delete=True, bucket=None), documents("a")], {"account": "x", "delete": True}),
        ([{"kind": "folder", "name": "a", "options": {}}, documents("a")], {}),
        ([], {}),
    ],
)
def test_the_bucket_of_task_videos_is_that_of_the_publisher_whose_files_the_documents_name(publish, store):
    assert store_of({"publish": publish}) == store


def test_each_task_video_has_a_name_of_its_own_that_a_file_can_have():
    tasks = [
        {"_id": 1, "taskName": "task-0-cam", "S3_url": "a.mp4", "frameCount": "12"},
        {"_id": 2, "taskName": "task-0-cam", "S3_url": "b.mp4"},
        {"_id": 3, "taskName": None, "S3_url": "c.mp4", "frameCount": "many"},
        {"_id": 4, "taskName": "../../etc", "S3_url": "d.mp4"},
    ]
    videos = videos_of(tasks)
    assert [(video.task, video.address, video.frames) for video in videos] == [
        ("1", "a.mp4", 12), ("2", "b.mp4", 0), ("3", "c.mp4", 0), ("4", "d.mp4", 0)
    ]  # fmt: skip
    assert len({video.name for video in videos}) == 4
    assert not any("/" in video.name or video.name.startswith(".") for video in videos)


@pytest.mark.parametrize("address", [None, "", "  "])
def test_a_task_without_a_video_is_named(address):
    with pytest.raises(ValueError, match="task-0-cam"):
        videos_of([{"_id": 1, "taskName": "task-0-cam", "S3_url": address}])

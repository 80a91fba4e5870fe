"""An upload's documents: all of them at once, once, and nobody's boxes lost."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from bson import ObjectId, json_util
from builders.annotation import OPTIONS, PLACE, TREE, Shelf, a_box
from builders.mongodb import account, an_account, mongodb, server

from vidd.errors import Refused, RetryLater
from vidd.integrations.annotation_service import publisher as annotation_service_publisher
from vidd.integrations.annotation_service.database import annotation_database
from vidd.model.publication import PublicationState, Receipt

pytestmark = pytest.mark.peer

__all__ = ["account", "mongodb", "server"]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def shelf(account, tmp_path):
    shelf = Shelf(account, tmp_path)
    yield shelf
    shelf.client.close()


async def test_all_documents_of_an_upload_have_the_services_fields(shelf):
    context, _ = shelf.context(boxes=[(0, 2, [a_box(), a_box("car", 0.5)])], request_type=1, auto_anno_version=3)
    receipt = await annotation_service_publisher.publish(OPTIONS, context)
    assert receipt.facts == {"tasks": 3, "frames": 12, "upload": str(shelf.upload)}
    document = shelf.document()
    assert {name: document[name] for name in ("status", "progress", "taskCount", "frames_per_task")} == {
        "status": 1, "progress": 100, "taskCount": 3, "frames_per_task": 4,
    }  # fmt: skip
    assert document["request_annotation_version"] == 3
    assert shelf.db.AnnotationProject.find_one()["contentUploads"] == [shelf.upload]
    assert document["errorMessage"] == {}
    first = shelf.tasks()[0]
    assert (first["S3_url"], first["skipFrameCount"]) == ("contents/ü/task-0-cam/task-0-cam.mp4", 24 / 5)
    assert first["videoPath"] == f"./contents/{shelf.project}/task-0-cam/task-0-cam.mp4"
    assert first["original_frames"] == "[7.0, 13.0, 19.0, 25.0]"
    assert (first["status"], first["taskStatus"], first["auditStatus"], first["completedFrames"]) == (0, 2, 0, 0)
    assert shelf.frame(first, 1)["imageUrl"] == "contents/ü/task-0-cam/1.jpg"
    assert "imageUrl" not in shelf.frame(first, 2)
    boxes = shelf.frame(first, 2)["boxes"]
    assert boxes[1] == {
        "id": 2,
        "boundaries": {
            "id": 2, "type": "rectangle", "x": 1, "y": 2, "w": 3, "h": 4, "label": "car", "color": "#00d1ff",
            "status": "completed", "isPermanent": True, "attributeValues": {}, "autoLable_confidance": "0.5",
        },
        "attributeValues": {"state": "Ready"},
    }  # fmt: skip
    assert shelf.frame(first, 3)["boxes"] == []
    frames = shelf.db.AnnotationFrame.find()
    assert {(frame["isEmpty"], frame["status"], str(frame["commentBoxes"])) for frame in frames} == {(True, 0, "[]")}


async def test_a_single_task_is_said_to_be_not_started(shelf):
    await annotation_service_publisher.publish(OPTIONS, shelf.context(tasks=1)[0])
    assert [(task["status"], task["taskStatus"]) for task in shelf.tasks()] == [(0, 0)]


@pytest.mark.parametrize(
    ("receipt", "options"),
    [
        ({"trees": [TREE]}, {"addresses": "web"}),
        # A publisher that is no bucket, and a receipt of an earlier version.
        ({"files": [{"role": "tasks", "url": PLACE.rstrip("/")}]}, {}),
    ],
)
async def test_files_have_web_addresses_where_the_settings_say_so_or_no_bucket_has_them(shelf, receipt, options):
    context = replace(shelf.context()[0], receipts={"files": Receipt(PLACE, receipt)})
    await annotation_service_publisher.publish(OPTIONS.model_copy(update=options), context)
    first = shelf.tasks()[0]
    assert first["S3_url"] == f"{PLACE}task-0-cam/task-0-cam.mp4"
    assert shelf.frame(first, 1)["imageUrl"] == f"{PLACE}task-0-cam/1.jpg"


async def test_publishing_again_changes_nothing_and_is_known_by_asking(shelf):
    context, desk = shelf.context()
    assert await annotation_service_publisher.reconcile(OPTIONS, context) is None
    receipt = await annotation_service_publisher.publish(OPTIONS, context)
    before = [shelf.tasks(), list(shelf.db.AnnotationFrame.find().sort("_id"))]
    for status in (1, 0, 3):
        shelf.db.AnnotationContentUpload.update_one({}, {"$set": {"status": status}})
        asked = replace(context, publication=desk.context.publication)
        assert await annotation_service_publisher.reconcile(OPTIONS, asked) == receipt
    await annotation_service_publisher.publish(OPTIONS, context)
    assert [shelf.tasks(), list(shelf.db.AnnotationFrame.find().sort("_id"))] == before


async def test_a_newer_job_takes_the_place_of_the_tasks_and_an_older_one_cannot_take_it_back(shelf):
    older, _ = shelf.context("01job")
    newer, _ = shelf.context("02job", tasks=2)
    await annotation_service_publisher.publish(OPTIONS, older)
    await annotation_service_publisher.publish(OPTIONS, newer)
    assert len(shelf.tasks()) == 2
    assert shelf.db.AnnotationFrame.count_documents({}) == 8
    with pytest.raises(Refused, match="a newer job works on it"):
        await annotation_service_publisher.publish(OPTIONS, older)
    assert len(shelf.tasks()) == 2


async def test_what_a_lost_answer_left_behind_is_swept_once_it_is_known_to_have_arrived(shelf):
    await annotation_service_publisher.publish(OPTIONS, shelf.context("01job")[0])
    old = [str(task["_id"]) for task in shelf.tasks()]
    newer, desk = shelf.context("02job")
    await annotation_service_publisher.publish(OPTIONS, newer)
    assert desk.token == {"old": old}
    shelf.db.AnnotationFrame.insert_one({"taskId": ObjectId(old[0]), "frameId": 1})
    asked = replace(newer, publication=desk.context.publication)
    assert await annotation_service_publisher.reconcile(OPTIONS, asked) is not None
    assert shelf.db.AnnotationFrame.count_documents({}) == 12


async def test_annotating_alone_keeps_what_people_drew_and_replaces_what_a_detector_found(shelf):
    first = [(0, 1, [a_box("old")]), (0, 2, [a_box("old")])]
    await annotation_service_publisher.publish(
        OPTIONS, shelf.context("01job", request_type=1, auto_anno_version=1, boxes=first)[0]
    )
    task = shelf.tasks()[0]
    drawn = {"id": 7, "boundaries": {"id": 7, "label": "mine", "x": 0}, "attributeValues": {}}
    shelf.db.AnnotationFrame.update_one({"taskId": task["_id"], "frameId": 1}, {"$push": {"boxes": drawn}})
    shelf.db.AnnotationFrame.update_one({"taskId": task["_id"], "frameId": 4}, {"$set": {"boxes": [drawn]}})
    shelf.db.AnnotationFrame.delete_one({"taskId": task["_id"], "frameId": 3})
    before = shelf.tasks()
    second = [(0, 1, [a_box("new")]), (0, 3, [a_box("new")])]
    await annotation_service_publisher.publish(
        OPTIONS, shelf.context("02job", request_type=2, auto_anno_version=2, boxes=second)[0]
    )

    def labels(index):
        return [(box["id"], box["boundaries"]["label"]) for box in shelf.frame(task, index)["boxes"]]

    assert [labels(index) for index in (1, 2, 3, 4)] == [[(7, "mine"), (8, "new")], [], [(1, "new")], [(7, "mine")]]
    assert [{**task, "AutoAnnotationVersion": 2} for task in before] == shelf.tasks()
    assert shelf.document()["request_annotation_version"] == 2
    assert shelf.db.AnnotationFrame.count_documents({}) == 12


async def test_annotating_alone_fills_what_the_content_processor_made_and_nobody_touched(shelf):
    tasks = [
        {"_id": ObjectId(), "uploadId": shelf.upload, "taskName": f"task-{number}-cam", "AutoAnnotationVersion": "0"}
        for number in range(3)
    ]
    shelf.db.AnnotationTask.insert_many(tasks)
    new = {
        "taskId": tasks[0]["_id"],
        "status": 0,
        "boxes": [],
        "commentBoxes": [],
        "isEmpty": True,
        "datasetVersions": [],
    }
    automatic = {"id": 0, "boundaries": {"id": 0, "label": "old", "autoLable_confidance": "0.5"}}
    drawn = {"id": "x", "boundaries": {"label": "mine"}}
    shelf.db.AnnotationFrame.insert_many(
        [
            {**new, "frameId": 1},
            # The front end saves false once somebody is done with a frame.
            {**new, "frameId": "2.0", "isEmpty": False},
            {**new, "frameId": 3.0, "boxes": [automatic, drawn]},
            {**new, "boxes": "no list"},
            # Fields that are missing.
            {"taskId": tasks[0]["_id"], "frameId": 4},
        ]
    )
    found = [(0, index, [a_box("new")]) for index in (1, 2, 3, 4)]
    context = shelf.context(request_type=2, auto_anno_version=1, boxes=found)[0]
    await annotation_service_publisher.publish(OPTIONS, context)
    frames = {str(frame.get("frameId")): frame for frame in shelf.db.AnnotationFrame.find({"taskId": tasks[0]["_id"]})}
    assert len(frames) == 5
    labels = {
        number: [box["boundaries"]["label"] for box in frames[number]["boxes"]] for number in ("1", "2.0", "3.0", "4")
    }
    assert labels == {"1": ["new"], "2.0": [], "3.0": ["mine", "new"], "4": ["new"]}
    assert (frames["1"]["isEmpty"], frames["2.0"]["isEmpty"]) == (True, False)
    assert frames["None"]["boxes"] == "no list"
    # Annotated again, what vidd found is replaced.
    again = [(0, index, [a_box("newer")]) for index in (1, 3)]
    context = shelf.context("02job", request_type=2, auto_anno_version=2, boxes=again)[0]
    await annotation_service_publisher.publish(OPTIONS, context)
    assert [box["boundaries"]["label"] for box in shelf.frame(tasks[0], 3)["boxes"]] == ["mine", "newer"]


@pytest.mark.parametrize(
    "change",
    [
        {"boundaries.x": 40},
        {"boundaries.w": 4.5},
        {"boundaries.label": "woman"},
        {"attributeValues": {"pose": "sits"}},
        {"boundaries.attributeValues": {"pose": "sits"}},
        {"boundaries.status": "approved"},
        {"boundaries.points": [[1, 2], [3, 4]]},
        {"occluded": True},
    ],
)
async def test_what_people_changed_of_a_detectors_box_is_theirs(shelf, change):
    boxes = [(0, 1, [a_box("left"), a_box("right")])]
    await annotation_service_publisher.publish(
        OPTIONS, shelf.context("01job", request_type=1, auto_anno_version=1, boxes=boxes)[0]
    )
    frame = {"taskId": shelf.tasks()[0]["_id"], "frameId": 1}
    # As a front end writes it back: the one nobody touched with whole numbers for those with a dot.
    shelf.db.AnnotationFrame.update_one(
        frame, {"$set": {"boxes.0.boundaries.x": 1, **{f"boxes.1.{name}": value for name, value in change.items()}}}
    )
    changed = shelf.db.AnnotationFrame.find_one(frame)["boxes"][1]
    for job, version, label in (("02job", 2, "new"), ("03job", 3, "newer")):
        found = [(0, 1, [a_box(label)])]
        await annotation_service_publisher.publish(
            OPTIONS, shelf.context(job, request_type=2, auto_anno_version=version, boxes=found)[0]
        )
        kept, new = shelf.db.AnnotationFrame.find_one(frame)["boxes"]
        assert kept == changed
        assert new["boundaries"]["label"] == label


async def test_another_edition_of_the_same_tasks_changes_their_boxes_and_nothing_else(shelf):
    asked = {"request_type": 1, "auto_anno_version": 1}
    await annotation_service_publisher.publish(
        OPTIONS, shelf.context(boxes=[(0, 1, [a_box("old")]), (0, 2, [a_box("old")])], **asked)[0]
    )
    [task, *_] = before = shelf.tasks()
    frames = {"taskId": task["_id"]}
    shelf.db.AnnotationFrame.update_one({**frames, "frameId": 1}, {"$set": {"boxes.0.boundaries.label": "woman"}})
    shelf.db.AnnotationFrame.update_one({**frames, "frameId": 3}, {"$set": {"commentBoxes": [{"text": "look"}]}})
    shelf.db.AnnotationFrame.update_one({**frames, "frameId": 4}, {"$set": {"isEmpty": False}})
    shelf.db.AnnotationTask.update_one({"_id": task["_id"]}, {"$set": {"annotatorId": 7}})
    found = [(0, index, [a_box("new")]) for index in (1, 2, 4)]
    second = shelf.context(boxes=found, edition=2, **asked)[0]
    context = replace(
        second, publication=replace(second.publication, state=PublicationState.DONE), sent=None, facts={"annotator": 5}
    )
    await annotation_service_publisher.allow(OPTIONS, context)
    receipt = await annotation_service_publisher.replace_files(OPTIONS, context)
    assert receipt.facts["frames"] == 12
    # The edition that shows already can be shown once more.
    assert await annotation_service_publisher.replace_files(OPTIONS, context) == receipt
    labels = [[box["boundaries"]["label"] for box in shelf.frame(task, index)["boxes"]] for index in (1, 2, 3, 4)]
    assert labels == [["woman", "new"], ["new"], [], []]
    assert shelf.frame(task, 3)["commentBoxes"] == [{"text": "look"}]
    assert shelf.tasks() == [
        {**before_task, "AutoAnnotationVersion": 5, **({"annotatorId": 7} if before_task == task else {})}
        for before_task in before
    ]
    assert shelf.document()["request_annotation_version"] == 5


@pytest.mark.parametrize(
    ("collection", "change"),
    [
        ("AnnotationFrame", {"boxes": [{"id": 1, "boundaries": {"label": "car"}}]}),
        ("AnnotationFrame", {"boxes": "x"}),
        ("AnnotationFrame", {"boxes": [None]}),
        ("AnnotationFrame", {"commentBoxes": [{"text": "look"}]}),
        ("AnnotationFrame", {"isEmpty": False}),
        ("AnnotationFrame", {"isEmpty": "false"}),
        ("AnnotationFrame", {"datasetVersions": [{"versionId": "v"}]}),
        ("AnnotationFrame", {"labels": ["night"]}),
        ("AnnotationTask", {"annotatorId": 7}),
        ("AnnotationTask", {"auditStatus": 1}),
        ("AnnotationTask", {"auditStatus": "1"}),
        ("AnnotationTask", {"status": 1}),
        ("AnnotationTask", {"taskStatus": 1}),
        ("AnnotationTask", {"completedFrames": "3"}),
        ("AnnotationTask", {"datasetVersions": [{"versionId": "v"}]}),
        (None, {}),
    ],
)
async def test_another_edition_of_other_tasks_is_not_allowed_once_people_have_begun(shelf, collection, change):
    await annotation_service_publisher.publish(OPTIONS, shelf.context()[0])
    if collection:
        shelf.db[collection].update_one({}, {"$set": change})
    other, _ = shelf.context(edition=2, tasks=4, frames=3)
    if collection:
        with pytest.raises(Refused, match="People have worked on the tasks of this upload"):
            await annotation_service_publisher.allow(OPTIONS, other)
        return
    await annotation_service_publisher.allow(OPTIONS, other)
    await annotation_service_publisher.replace_files(OPTIONS, replace(other, sent=None))
    assert [task["frameCount"] for task in shelf.tasks()] == [3] * 4
    assert shelf.db.AnnotationFrame.count_documents({}) == 12


async def test_a_forced_call_of_a_new_upload_replaces_the_earlier_one_and_keeps_what_people_did(shelf):
    earlier = shelf.upload
    found = [(0, 2, [a_box()])]
    await annotation_service_publisher.publish(
        OPTIONS, shelf.context("01job", request_type=1, auto_anno_version=1, boxes=found)[0]
    )
    first, second, _ = shelf.tasks()
    drawn = [{"id": at, "boundaries": {"id": at, "label": "car", "at": NOW}} for at in (1, 2)]
    one, two = {"taskId": first["_id"], "frameId": 1}, {"taskId": first["_id"], "frameId": 2}
    shelf.db.AnnotationFrame.update_one(one, {"$set": {"boxes": drawn, "isEmpty": False}})
    shelf.db.AnnotationFrame.update_one(two, {"$push": {"boxes": drawn[0]}})
    shelf.db.AnnotationTask.update_one({"_id": second["_id"]}, {"$set": {"auditStatus": 6}})
    shelf.upload = ObjectId()
    shelf.db.AnnotationContentUpload.insert_one({"_id": shelf.upload, "projectId": shelf.project, "status": 0})
    context, desk = shelf.context("02job", tasks=2, force_write=1, replaces=[str(earlier)])
    receipt = await annotation_service_publisher.publish(OPTIONS, context)
    path = shelf.directory / "replaced_annotations" / "02job.jsonl"
    assert receipt.facts["kept"] == (
        f"The call replaced the work of people, 3 boxes on 2 frames of 2 tasks; it is kept in {path}."
    )
    assert {task["uploadId"] for task in shelf.tasks()} == {shelf.upload}
    assert (len(shelf.tasks()), shelf.db.AnnotationFrame.count_documents({})) == (2, 8)
    kept = [json_util.loads(line) for line in path.read_text().splitlines()]
    assert [(name, document["_id"]) for name, document in kept[:2]] == [
        ("AnnotationTask", first["_id"]), ("AnnotationTask", second["_id"]),
    ]  # fmt: skip
    assert [document["boxes"][0]["boundaries"]["label"] for _, document in kept[2:]] == ["car", "person"]
    assert kept[2][1]["boxes"][0]["boundaries"]["at"].replace(tzinfo=UTC) == NOW
    replaced = shelf.db.AnnotationContentUpload.find_one({"_id": earlier})
    assert (replaced["taskCount"], replaced["vidd"]["replaced"]) == (0, str(shelf.upload))
    # A lost answer is told the same.
    asked = replace(context, publication=desk.context.publication)
    assert await annotation_service_publisher.reconcile(OPTIONS, asked) == receipt
    # The job of the upload that was replaced does not bring its tasks back.
    shelf.upload = earlier
    with pytest.raises(Refused, match="have replaced those of this one"):
        await annotation_service_publisher.allow(OPTIONS, shelf.context("01job", edition=2, tasks=4)[0])


async def test_a_forced_call_where_nobody_worked_keeps_nothing(shelf):
    await annotation_service_publisher.publish(OPTIONS, shelf.context("01job")[0])
    receipt = await annotation_service_publisher.publish(OPTIONS, shelf.context("02job", force_write=1)[0])
    assert "kept" not in receipt.facts
    assert not (shelf.directory / "replaced_annotations").exists()


async def test_a_job_is_not_allowed_where_a_newer_one_works_on_the_upload(shelf):
    await annotation_service_publisher.publish(OPTIONS, shelf.context("02job")[0])
    with pytest.raises(Refused, match="a newer job works on it: nothing of this job was sent"):
        await annotation_service_publisher.allow(OPTIONS, shelf.context("01job")[0])
    await annotation_service_publisher.allow(OPTIONS, shelf.context("02job")[0])
    await annotation_service_publisher.allow(OPTIONS, shelf.context("03job")[0])


@pytest.mark.parametrize("boxes", ["x", {"a": 1}])
async def test_a_frame_whose_boxes_make_no_sense_gets_none_and_is_named(shelf, boxes):
    await annotation_service_publisher.publish(OPTIONS, shelf.context()[0])
    frame = {"taskId": shelf.tasks()[0]["_id"], "frameId": 1}
    shelf.db.AnnotationFrame.update_one(frame, {"$set": {"boxes": boxes}})
    found = [(0, 1, [a_box("new")])]
    asked = shelf.context("02job", request_type=2, auto_anno_version=2, boxes=found)[0]
    with pytest.raises(
        Refused, match=r"^Frame 1 of the task .* cannot get boxes \(its boxes are no list\): correct it"
    ):
        await annotation_service_publisher.publish(OPTIONS, asked)
    for odd in ([None], ["y"], [{}], [{"boundaries": None}]):
        shelf.db.AnnotationFrame.update_one(frame, {"$set": {"boxes": odd}})
        await annotation_service_publisher.publish(OPTIONS, asked)
        assert shelf.db.AnnotationFrame.find_one(frame)["boxes"][:-1] == odd


@pytest.mark.parametrize(
    ("boxes", "sentence"),
    [
        ([(0, 9, [a_box()])], "match no frame of the manifest"),
        ([(1, 1, [a_box()]), (0, 1, [a_box()])], "not in its order"),
        ([(0, 1, [a_box()]), (0, 2, [{"x": 1}])], "Line 2 of the annotations is not valid"),
    ],
)
async def test_annotations_of_another_making_are_refused_and_nothing_shows(shelf, boxes, sentence):
    context, _ = shelf.context(boxes=boxes)
    with pytest.raises(Refused, match=sentence):
        await annotation_service_publisher.publish(OPTIONS, context)
    assert (shelf.tasks(), shelf.document()["status"]) == ([], 0)


async def test_a_manifest_that_is_cut_off_is_refused(shelf):
    context, desk = shelf.context()
    path = desk.directory / "manifest.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(Refused, match="the list of tasks differ"):
        await annotation_service_publisher.publish(OPTIONS, context)
    assert shelf.tasks() == []


async def test_an_upload_that_is_gone_and_files_that_nobody_put_out_are_refused(shelf):
    context, _ = shelf.context()
    with pytest.raises(Refused, match="No publisher has sent the tasks"):
        await annotation_service_publisher.publish(OPTIONS, replace(context, receipts={}))
    shelf.db.AnnotationContentUpload.delete_many({})
    with pytest.raises(Refused, match="The upload is gone"):
        await annotation_service_publisher.publish(OPTIONS, context)
    assert shelf.tasks() == []


async def test_a_job_that_comes_too_late_leaves_no_frames_behind_but_those_that_are_shown(shelf):
    first, _ = shelf.context("01job")
    await annotation_service_publisher.publish(OPTIONS, first)
    before = shelf.tasks(), list(shelf.db.AnnotationFrame.find().sort("_id"))
    shelf.db.AnnotationContentUpload.update_one({}, {"$set": {"vidd.job": "02job"}})
    for late in (shelf.context("00job")[0], first):
        with pytest.raises(Refused, match="a newer job works on it: nothing of this job was written"):
            await annotation_service_publisher.publish(OPTIONS, late)
        assert (shelf.tasks(), list(shelf.db.AnnotationFrame.find().sort("_id"))) == before


@pytest.mark.parametrize(
    ("place", "taken"),
    [
        ("contents/day/task-0-cam/task-0-cam.mp4", True),
        # Documents of an earlier vidd have addresses, in which the key is quoted.
        ("https://store.example/contents/day/task-0-cam/task-0-cam.mp4", True),
        ("https://store.example/contents/d%61y/task-0-cam/task-0-cam.mp4", True),
        ("contents/other-day/task-0-cam/task-0-cam.mp4", False),
        (None, False),
        (7, False),
    ],
)
async def test_files_of_another_upload_are_known_by_keys_and_by_addresses(shelf, place, taken):
    shelf.db.AnnotationTask.insert_one({"uploadId": ObjectId(), "taskName": "task-0-cam", "S3_url": place})
    async with annotation_database(shelf.account, "base") as database:
        assert await database.has_other_owner([str(shelf.upload)], "day", "cam") is taken


async def test_an_earlier_vidds_documents_get_boxes_and_keep_what_people_did(shelf):
    """Its new frames had isEmpty false, its new tasks the status 1, and addresses in the place of keys."""
    await annotation_service_publisher.publish(OPTIONS, shelf.context("01job")[0])
    task = shelf.tasks()[0]
    shelf.db.AnnotationTask.update_many(
        {},
        {
            "$set": {"status": 1, "taskStatus": 0, "original_frames": ["7"], "S3_url": PLACE},
            "$unset": {"vidd.shape": ""},
        },
    )
    shelf.db.AnnotationFrame.update_many({}, {"$set": {"isEmpty": False}, "$unset": {"vidd.shape": ""}})
    async with annotation_database(shelf.account, "base") as database:
        assert not await database.has_work(str(shelf.upload))
    shelf.db.AnnotationFrame.update_one({"taskId": task["_id"], "frameId": 2}, {"$set": {"isEmpty": True}})
    shelf.db.AnnotationFrame.update_one({"taskId": task["_id"], "frameId": 3}, {"$set": {"updatedAt": NOW}})
    found = [(0, index, [a_box("new")]) for index in (1, 2, 3)]
    context = shelf.context("02job", request_type=2, auto_anno_version=1, boxes=found)[0]
    await annotation_service_publisher.publish(OPTIONS, context)
    assert [len(shelf.frame(task, index)["boxes"]) for index in (1, 2, 3)] == [1, 0, 0]
    async with annotation_database(shelf.account, "base") as database:
        assert await database.has_work(str(shelf.upload))


async def test_a_database_that_is_away_is_waited_for_as_nobodys_failure(tmp_path, server):
    shelf = Shelf(an_account(server.uri, timeout="500ms"), tmp_path)
    context, _ = shelf.context()
    server.kill()
    for do in (annotation_service_publisher.publish, annotation_service_publisher.reconcile):
        with pytest.raises(RetryLater) as away:
            await do(OPTIONS, context)
        assert not away.value.counts
    server.start()
    await annotation_service_publisher.publish(OPTIONS, context)
    assert len(shelf.tasks()) == 3
    shelf.client.close()


async def test_a_transaction_that_fails_in_the_middle_shows_nothing(tmp_path, server):
    shelf = Shelf(an_account(server.uri, timeout="5s"), tmp_path)
    context, _ = shelf.context()
    server.fail(["commitTransaction"], {"times": 1}, errorCode=112)
    with pytest.raises(RetryLater):
        await annotation_service_publisher.publish(OPTIONS, context)
    assert (shelf.tasks(), shelf.document()["status"]) == ([], 0)
    assert await annotation_service_publisher.reconcile(OPTIONS, context) is None
    await annotation_service_publisher.publish(OPTIONS, context)
    assert (len(shelf.tasks()), shelf.document()["status"]) == (3, 1)
    shelf.client.close()


async def test_an_upload_is_spoken_for_by_its_newest_job_and_its_progress_does_not_fall(shelf):
    async with annotation_database(shelf.account, "base") as database:

        async def told(job, **changes):
            await database.update_upload(str(shelf.upload), job, changes)
            found = shelf.document()
            return found["vidd"]["job"], found["status"], found["progress"]

        assert await told("01job", status=0, progress=40) == ("01job", 0, 40)
        assert await told("01job", status=0, progress=0) == ("01job", 0, 40)
        assert await told("02job", status=0, progress=5) == ("02job", 0, 5)
        assert await told("01job", status=2, progress=99) == ("02job", 0, 5)
        assert await told("02job", status=2) == ("02job", 2, 5)
        await annotation_service_publisher.publish(OPTIONS, shelf.context("02job")[0])
        assert await told("02job", status=0, progress=7) == ("02job", 1, 100)

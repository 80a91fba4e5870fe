"""What people did is told from what a detector, a front end's page, or an earlier system wrote."""

import copy

import pytest

from vidd.integrations.annotation_service.documents import OURS, SHAPE, as_number, box_digest, box_document
from vidd.integrations.annotation_service.work import (
    boxes_of_people,
    frame_has_work,
    is_called_empty,
    merge_boxes,
    task_has_work,
)

FOUND = {"x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0, "label": "person", "confidence": 0.9}
AUTOMATIC = box_document(1, FOUND)
DRAWN = {"id": 2, "boundaries": {"id": 2, "label": "car", "x": 1, "y": 1, "w": 2, "h": 2}, "attributeValues": {}}
# As the content processor wrote them.
THEIR_TASK = {
    "_id": 1, "projectId": 2, "uploadId": 3, "taskName": "task-0-cam", "frameStart": 6, "frameEnd": 720, "frameCount": 120,
    "status": 0, "auditStatus": 0, "taskStatus": 2, "AutoAnnotationVersion": "1", "datasetVersions": [], "completedFrames": 0,
    "original_frames": "[6.0, 12.0]", "S3_url": "contents/p/task-0-cam/task-0-cam.mp4",
}  # fmt: skip
THEIR_FRAME = {
    "_id": 4, "frameId": 1, "taskId": 1, "status": 0, "boxes": [AUTOMATIC], "commentBoxes": [], "isEmpty": True,
    "datasetVersions": [],
}  # fmt: skip
OWN = {"shape": SHAPE, "found": [box_digest(AUTOMATIC)]}
# As vidd 0.1 wrote them.
OLD_TASK = {
    **THEIR_TASK,
    "status": 1,
    "taskStatus": 0,
    "original_frames": ["6", "12"],
    OURS: {"job": "01", "number": 0},
}
OLD_FRAME = {**THEIR_FRAME, "isEmpty": False, "status": 1, OURS: {"found": [box_digest(AUTOMATIC)]}}


@pytest.mark.parametrize(
    "task",
    [
        THEIR_TASK,
        {**THEIR_TASK, "taskStatus": 0},
        {**THEIR_TASK, "status": "0", "completedFrames": "0", "auditStatus": None},
        # Somebody looked at it.
        {**THEIR_TASK, "videoUrl": "https://…", "urlCreatedAt": "…", "maxId": 1},
        {"_id": 1},
        {**THEIR_TASK, OURS: {"job": "01", "shape": SHAPE}},
        OLD_TASK,
    ],
)
def test_a_new_task_is_nobodys_work(task):
    assert not task_has_work(task)


@pytest.mark.parametrize(
    "change",
    [
        {"status": 1}, {"status": "2"}, {"status": "started"}, {"taskStatus": 1}, {"auditStatus": 6}, {"completedFrames": 3},
        {"datasetVersions": [{"versionId": 1}]}, {"assignedAnnotatorId": 7}, {"labelCounts": {"totalCount": 3}},
    ],
)  # fmt: skip
def test_a_task_that_people_began_with_is_theirs(change):
    assert task_has_work({**THEIR_TASK, **change})
    assert task_has_work({**THEIR_TASK, OURS: {"job": "01", "shape": SHAPE}, **change})
    if "status" not in change:
        assert task_has_work({**OLD_TASK, **change})


@pytest.mark.parametrize(
    "frame",
    [
        THEIR_FRAME,
        {**THEIR_FRAME, "boxes": None},
        {"_id": 4, "taskId": 1},
        {**THEIR_FRAME, "isEmpty": "true"},
        {**THEIR_FRAME, OURS: OWN},
        OLD_FRAME,
    ],
)
def test_a_new_frame_is_nobodys_work_and_is_not_called_empty(frame):
    assert not frame_has_work(frame)
    assert not is_called_empty({**frame, "boxes": []})


@pytest.mark.parametrize(
    "change",
    [
        {"isEmpty": False}, {"isEmpty": "false"}, {"isEmpty": 0}, {"boxes": [DRAWN]}, {"boxes": "x"}, {"boxes": [None]},
        {"commentBoxes": [{}]}, {"datasetVersions": [{}]}, {"updatedAt": "…"}, {"userLog": ["…"]},
    ],
)  # fmt: skip
def test_a_frame_that_people_began_with_is_theirs(change):
    assert frame_has_work({**THEIR_FRAME, **change})
    assert frame_has_work({**THEIR_FRAME, OURS: OWN, **change})
    if "isEmpty" not in change:
        assert frame_has_work({**OLD_FRAME, **change})


@pytest.mark.parametrize(
    ("frame", "called"),
    [
        ({**THEIR_FRAME, "isEmpty": False, "boxes": []}, True),
        ({**THEIR_FRAME, "isEmpty": False, "boxes": [DRAWN]}, False),
        # Somebody only passed by.
        ({**THEIR_FRAME, "updatedAt": "…", "boxes": []}, False),
        ({**THEIR_FRAME, OURS: OWN, "isEmpty": False, "boxes": []}, True),
        ({**OLD_FRAME, "isEmpty": True, "boxes": []}, True),
        # A front end of the content processor saved a frame of vidd 0.1.
        ({**OLD_FRAME, "updatedAt": "…", "boxes": []}, True),
    ],
)
def test_a_frame_is_called_empty_by_people_alone(frame, called):
    assert is_called_empty(frame) is called


def test_a_page_that_saves_a_frame_does_not_make_a_detectors_boxes_its_users():
    saved = copy.deepcopy(AUTOMATIC)
    saved["boundaries"] |= {"isHide": False, "x": 1}
    saved["attributeValues"] = saved["boundaries"]["attributeValues"]
    frame = {**THEIR_FRAME, OURS: OWN, "boxes": [saved]}
    assert boxes_of_people(frame) == []
    saved["boundaries"]["x"] = 2
    assert boxes_of_people(frame) == [saved]


def test_boxes_of_another_systems_detector_are_its_own_until_people_saved_the_frame():
    assert boxes_of_people(THEIR_FRAME) == []
    assert merge_boxes({**THEIR_FRAME, "boxes": [AUTOMATIC, DRAWN]}, [FOUND]) == [DRAWN, box_document(3, FOUND)]
    assert boxes_of_people({**THEIR_FRAME, "isEmpty": False}) == [AUTOMATIC]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        ("3", 3),
        ("3.5", 3.5),
        (True, None),
        (None, None),
        ("x", None),
        ("nan", None),
        ([], None),
        (10**400, None),
    ],
)
def test_numbers_of_documents_may_be_text(value, number):
    assert as_number(value) == number

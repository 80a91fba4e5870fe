from datetime import UTC, datetime

import pytest
from peers.cms import a_video

from vidd.integrations.graphql_cms.records import Fields, NotAnUpload, dig, read_time, read_upload


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a": [{"b": 1}, {"b": 2}]}, "a.b", [1, 2]),
        ({"a": {"edges": [{"node": {"id": 1}}, {"node": {"id": 2}}]}}, "a.edges.node", [{"id": 1}, {"id": 2}]),
        ({"a": [{"b": [1, 2]}, {"b": [3]}]}, "a.b", [1, 2, 3]),
        ({"a": [{"b": 1}, {}]}, "a.b", [1, None]),
        ({"a": []}, "a.b", []),
        ({"a": 7}, "a.b", None),
        (None, "a", None),
    ],
)
def test_a_path_leads_through_objects_and_lists(value, path, found):
    assert dig(value, path) == found


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-03T08:00:01.250Z", datetime(2026, 11, 3, 8, 0, 1, 250000, UTC)),
        ("2026-11-03T09:00:01+01:00", datetime(2026, 11, 3, 8, 0, 1, tzinfo=UTC)),
        ("2026-11-03 08:00:01", datetime(2026, 11, 3, 8, 0, 1, tzinfo=UTC)),
        (1793692801, datetime(2026, 11, 3, 8, 0, 1, tzinfo=UTC)),
        (1793692801000, datetime(2026, 11, 3, 8, 0, 1, tzinfo=UTC)),
        ("1793692801000", datetime(2026, 11, 3, 8, 0, 1, tzinfo=UTC)),
        ("yesterday", None),
        (1e300, None),
        (float("nan"), None),
        ("0001-01-01T00:00:00+23:00", None),
        (None, None),
        (True, None),
    ],
)
def test_times_are_read_as_cmss_write_them(text, moment):
    assert read_time(text) == moment


def test_the_same_moment_is_the_same_upload_however_it_is_written():
    written = [
        read_upload(a_video(1, uploadedAt=time), Fields()).identity for time in ("2026-11-03T08:00:01Z", 1793692801)
    ]
    assert written == ["cm000001@2026-11-03T08:00:01Z"] * 2


def test_a_time_that_cannot_be_read_still_tells_uploads_apart():
    upload = read_upload(a_video(1, uploadedAt="day 3"), Fields())
    assert (upload.identity, upload.at, upload.missing) == ("cm000001@day 3", None, None)


def test_numbers_are_ids_too():
    upload = read_upload(a_video(1, id=12, pCloudFileId=90071992547409931), Fields())
    assert (upload.id, upload.file_id) == ("12", "90071992547409931")


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"pCloudFileId": None}, "file id"),
        ({"pCloudFileId": ""}, "file id"),
        ({"uploadedAt": None}, "time"),
        ({"uploadedAt": "", "pCloudFileId": None}, "file id and its time"),
        ({"pCloudAnnotationsFolderId": None}, None),
    ],
)
def test_an_upload_knows_what_it_lacks(changes, lacks):
    assert read_upload(a_video(1, **changes), Fields()).missing == lacks


def test_an_upload_may_wait_for_its_folder_too():
    upload = read_upload(a_video(1, pCloudAnnotationsFolderId=None, pCloudFileId=None), Fields(folder_needed=True))
    assert upload.missing == "file id and its folder id"
    assert read_upload(a_video(1), Fields(folder_needed=True)).missing is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "it is no object but nothing"),
        ("x", "it is no object but a text"),
        (True, "it is no object but true or false"),
        (a_video(1, id=None), "it has no 'id'"),
        (a_video(1, id={"x": 1}), "its 'id' is no id but an object"),
        (a_video(1, id="a\nb"), "its 'id' is no id but"),
        (a_video(1, id=" a"), "its 'id' is no id but"),
        (a_video(1, id="x" * 501), "its 'id' is no id but"),
        (a_video(1, pCloudFileId=["1"]), "its 'pCloudFileId' is no id but a list"),
        (a_video(1, pCloudFileId=1.5), "its 'pCloudFileId' is no id but a number"),
        (a_video(1, uploadedAt={}), "its 'uploadedAt' is no time but an object"),
    ],
)
def test_what_is_no_upload_says_why(value, reason):
    with pytest.raises(NotAnUpload, match=reason):
        read_upload(value, Fields())

"""What the annotation service may be asked, by its rules."""

import pytest

from vidd.integrations.annotation_service.api import check_rules, content_at, read_call
from vidd.integrations.annotation_service.documents import Offer, offer_of, progress_of
from vidd.ports import Declined

KEY = "sixteen letters!"
OFFER = Offer(120, frozenset({1, 2}))
FIELDS = {
    "upload_id": "u1", "auth_key": KEY, "project_id": "p1", "frame_rate": "5", "content_path": "a.mp4",
    "force_write": "0", "auto_anno_version": "0", "request_type": "0", "content_type": "1",
}  # fmt: skip


def call(**changes):
    return read_call({**FIELDS, **changes}, KEY)


def refusal(doing, *given, **more):
    with pytest.raises(Declined) as declined:
        doing(*given, **more)
    return declined.value.status, declined.value.sentence


def test_a_forms_texts_and_json_numbers_are_the_same_call():
    numbers = {name: int(value) for name, value in FIELDS.items() if value.isdigit()}
    assert call(**numbers) == call()
    assert call().facts()["frame_rate"] == 5
    assert "auth_key" not in call().facts()


@pytest.mark.parametrize("name", ["upload_id", "project_id", "content_path"])
@pytest.mark.parametrize("value", ["", " ", "a\x00b", "x" * 1001, None, ["a"], {"$gt": ""}])
def test_a_text_that_is_none_is_declined(name, value):
    status, sentence = refusal(call, **{name: value})
    assert (status, sentence.startswith(name)) == (400, True)


@pytest.mark.parametrize("name", ["frame_rate", "force_write", "auto_anno_version", "request_type", "content_type"])
@pytest.mark.parametrize("value", ["", "--5", "5-", "1e3", "9" * 11, "9" * 4000, True, None, [1], 5.5, float("nan")])
def test_a_number_that_is_none_is_declined(name, value):
    status, sentence = refusal(call, **{name: value})
    assert (status, sentence.startswith(name)) == (400, True)


@pytest.mark.parametrize("rate", ["0", "-1", 10_000])
def test_a_rate_that_no_film_is_taken_at_is_declined(rate):
    assert refusal(call, frame_rate=rate)[0] == 400


@pytest.mark.parametrize("value", [[], {}, [KEY], 0, True, "\ud800"])
def test_a_key_of_any_kind_is_another_key(value):
    assert refusal(call, auth_key=value)[0] == 401


def test_several_faults_are_told_at_once():
    _, sentence = refusal(call, frame_rate="0", request_type="7")
    assert "frame_rate cannot be" in sentence
    assert "request_type cannot be" in sentence


@pytest.mark.parametrize(
    ("numbers", "upload", "tasks", "told"),
    [
        ((0, 0, 0), {}, 0, None),
        ((0, 0, 0), {}, 3, 409),
        ((0, 0, 1), {}, 3, None),
        ((0, 1, 0), {}, 0, 422),
        ((1, 0, 0), {}, 0, 422),
        ((1, 1, 0), {}, 0, None),
        ((1, 1, 1), {"request_annotation_version": 1}, 3, None),
        ((1, 1, 1), {"request_annotation_version": 1, "status": 1}, 3, 409),
        ((1, 1, 0), {"request_annotation_version": 1, "status": 0}, 0, None),
        ((1, 2, 1), {"request_annotation_version": 1}, 3, None),
        ((1, 2, 0), {"request_annotation_version": 1}, 3, 409),
        ((2, 1, 0), {}, 0, 409),
        ((2, 1, 0), {"frames_per_task": 120}, 3, None),
        ((2, 1, 0), {"frames_per_task": 60}, 3, 409),
        ((2, 1, 0), {"frames_per_task": 120, "request_annotation_version": 1, "status": 1}, 3, 409),
        ((1, 3, 0), {}, 0, 422),
        ((0, 0, 0), {"projectId": "p1"}, 0, None),
        ((0, 0, 0), {"projectId": "p2"}, 0, 422),
    ],
)
def test_the_services_rules(numbers, upload, tasks, told):
    kind, version, force = numbers
    asked = call(request_type=kind, auto_anno_version=version, force_write=force)
    if told is None:
        check_rules(asked, upload, tasks, OFFER)
    else:
        assert refusal(check_rules, asked, upload, tasks, OFFER)[0] == told


def test_what_may_be_asked_for_is_what_the_pipeline_has():
    def offered(*steps):
        return offer_of({"steps": [{"name": kind, "kind": kind, "options": options} for kind, options in steps]})

    both = {"versions": {"1": {"kind": "people"}, "3": {"kind": "faces"}}}
    assert offered(("frames", {"per_task": 60}), ("annotate", both)) == Offer(60, frozenset({1, 3}))
    assert offered(("frames", {}), ("annotate", {**both, "version": 1})) == Offer(120, None)
    # Programs of their own may annotate, too.
    assert offered(("frames", {}), ("command", {})) == Offer(120, None)
    asked = call(request_type=1, auto_anno_version=77)
    assert check_rules(asked, {}, 0, Offer(120, None)) is None
    assert refusal(check_rules, asked, {}, 0, OFFER)[1] == (
        "There is no version 77 of automatic annotation here, only 1, 2."
    )


@pytest.mark.parametrize("stored", ["two", [1], {"a": 1}, float("nan")])
@pytest.mark.parametrize("name", ["request_annotation_version", "frames_per_task"])
def test_a_stored_number_that_is_none_is_named(name, stored):
    asked = call(request_type=2, auto_anno_version=1)
    status, sentence = refusal(check_rules, asked, {name: stored, "status": 1}, 3, OFFER)
    assert (status, sentence.startswith(f"The upload's {name} is ")) == (409, True)


@pytest.mark.parametrize("stored", ["1", 1.0, 1])
def test_a_stored_number_may_be_of_any_kind(stored):
    asked = call(request_type=1, auto_anno_version=1, force_write=1)
    assert refusal(check_rules, asked, {"request_annotation_version": stored, "status": 1}, 3, OFFER)[0] == 409


def test_a_path_stays_below_the_content_root(tmp_path):
    root = tmp_path / "root"
    (root / "p").mkdir(parents=True)
    (root / "p" / "a.mp4").write_bytes(b"x")
    (tmp_path / "b.mp4").write_bytes(b"x")
    (root / "link").symlink_to(tmp_path)
    assert content_at(call(content_path="p/a.mp4"), root) == root / "p" / "a.mp4"
    assert content_at(call(content_path="./p/a.mp4"), root) == root / "p" / "a.mp4"
    assert content_at(call(content_path=str(root / "p" / "a.mp4")), root) == root / "p" / "a.mp4"
    for path in ("../b.mp4", "p/../../b.mp4", "link/b.mp4", str(tmp_path / "b.mp4")):
        assert refusal(content_at, call(content_path=path), root)[0] == 422
    for path in (".", "./", str(root)):
        told = refusal(content_at, call(content_path=path, content_type=2), root)
        assert told == (422, f"content_path '{path}' is the content root itself: name a file or a directory in it.")


@pytest.mark.parametrize("content_type", [1, 2])
@pytest.mark.parametrize("path", ["a" * 300 + ".mp4", "ä" * 150 + ".zip", "a/" * 490 + "b.mp4"])
def test_a_path_that_no_file_can_have_is_declined(tmp_path, path, content_type):
    assert refusal(content_at, call(content_path=path, content_type=content_type), tmp_path)[0] == 422


def test_progress_is_that_of_the_steps_that_count_and_ends_below_100():
    assert progress_of({}, ["frames"]) == 0
    assert progress_of({"frames": 0.5}, ["frames", "annotate"]) == 25
    assert progress_of({"frames": 1.0, "annotate": 1.0}, ["frames", "annotate"]) == 99
    assert progress_of({"frames": 1.0}, []) == 0

"""Which frame is in which part, which get an augmentation, and where things are."""

from collections import Counter

import pytest
from bson import ObjectId

from vidd.integrations.datasets.labels import Mark
from vidd.integrations.datasets.model import Keys, assign_parts, mark_from, mark_to_json, scale_marks

FRAMES = range(1, 121)
SHARES = (0.7, 0.2, 0.1)


def test_parts_are_as_large_as_their_shares():
    assert Counter(assign_parts(FRAMES, {}, SHARES, "seed").values()) == {1: 84, 2: 24, 3: 12}


def test_a_new_frame_moves_no_other_one():
    before = assign_parts(FRAMES, {}, SHARES, "seed")
    after = assign_parts([*FRAMES, 121], before, SHARES, "seed")
    assert {frame: after[frame] for frame in FRAMES} == before


def test_another_seed_draws_others_and_the_same_one_the_same():
    assert assign_parts(FRAMES, {}, SHARES, "seed") == assign_parts(FRAMES, {}, SHARES, "seed")
    assert assign_parts(FRAMES, {}, SHARES, "seed") != assign_parts(FRAMES, {}, SHARES, "other")


def test_keys_are_those_of_the_front_end():
    keys = Keys("dataset/g/t/", "1.2", 7)
    assert (keys.image, keys.thumbnail, keys.text) == (
        "dataset/g/t/7/7.jpg",
        "dataset/g/t/7/7_thumbnail.jpg",
        "dataset/g/t/7/1.2_7.txt",
    )
    assert keys.augmented("crop")[2] == "dataset/g/t/7/augmentations/1.2_crop_7.txt"


def test_boxes_drawn_on_a_smaller_picture_are_where_they_were():
    (there,) = scale_marks([Mark(10, 10, 20, 20, "car")], (100, 50), 200, 100)
    assert (there.x, there.y, there.w, there.h) == (20, 20, 40, 40)


def test_what_is_drawn_with_a_box_is_its_own_and_ids_become_texts():
    boundaries = {"x": 1, "y": 2, "w": 3, "h": 4, "label": "car", "attributeValues": {"id": ObjectId("0" * 24)}}
    mark = mark_from({"boundaries": boundaries, "attributeValues": {"state": "Ready"}})
    assert mark_to_json(mark) == [1, 2, 3, 4, "car", {"id": "0" * 24}]
    assert (
        mark_from({"boundaries": {**boundaries, "attributeValues": {}}, "attributeValues": {"state": 1}}).attributes
        == {}
    )


@pytest.mark.parametrize("spoiled", [None, {}, {"boundaries": []}, {"boundaries": {"x": True, "y": 0, "w": 1, "h": 1}}])
def test_what_is_no_box_is_named(spoiled):
    with pytest.raises(ValueError, match="it is no rectangle"):
        mark_from(spoiled)

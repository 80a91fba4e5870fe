"""Which frame is in which part, which get an augmentation, and where things are."""

from collections import Counter

import pytest

from vidd.model.annotations import Label, Mark, lines, mark_of, placed
from vidd.model.data_set import Keys, chosen, parts

FRAMES = range(1, 121)
SHARES = (0.7, 0.2, 0.1)


def test_parts_are_as_large_as_their_shares():
    assert Counter(parts(FRAMES, {}, SHARES, "seed").values()) == {1: 84, 2: 24, 3: 12}


def test_a_new_frame_moves_no_other_one():
    before = parts(FRAMES, {}, SHARES, "seed")
    after = parts([*FRAMES, 121], before, SHARES, "seed")
    assert {frame: after[frame] for frame in FRAMES} == before


def test_another_seed_draws_others_and_the_same_one_the_same():
    assert parts(FRAMES, {}, SHARES, "seed") == parts(FRAMES, {}, SHARES, "seed")
    assert parts(FRAMES, {}, SHARES, "seed") != parts(FRAMES, {}, SHARES, "other")
    assert chosen(FRAMES, 0.1, "seed") == chosen(FRAMES, 0.1, "seed")
    assert chosen(FRAMES, 0.1, "seed") != chosen(FRAMES, 0.1, "other")


@pytest.mark.parametrize(("count", "share", "many"), [(120, 0.1, 12), (9, 0.1, 0), (30, 0.1, 3), (5, 1, 5), (5, 0, 0)])
def test_so_many_are_chosen(count, share, many):
    assert len(chosen(range(1, count + 1), share, "seed")) == many


def test_keys_are_those_of_the_front_end():
    keys = Keys("dataset/g/t/", "1.2", 7)
    assert (keys.image, keys.small, keys.text) == (
        "dataset/g/t/7/7.jpg",
        "dataset/g/t/7/7_thumbnail.jpg",
        "dataset/g/t/7/1.2_7.txt",
    )
    assert keys.changed("crop")[2] == "dataset/g/t/7/augmentations/1.2_crop_7.txt"


def test_a_box_is_of_a_label_whose_attributes_are_its_own_too():
    labels = [Label(0, "car", {}), Label(2, "car", {"colour": "red"})]
    marks = [Mark(0, 0, 10, 10, "car", {"colour": "red"}), Mark(0, 0, 10, 10, "car", {"colour": "blue"})]
    assert lines(marks, labels, 100, 50) == "2 0.05 0.1 0.1 0.2 \n"


def test_boxes_drawn_on_a_smaller_picture_are_where_they_were():
    (there,) = placed([Mark(10, 10, 20, 20, "car", {})], (100, 50), 200, 100)
    assert (there.x, there.y, there.w, there.h) == (20, 20, 40, 40)


@pytest.mark.parametrize("spoiled", [None, {}, {"boundaries": []}, {"boundaries": {"x": True, "y": 0, "w": 1, "h": 1}}])
def test_what_is_no_box_is_named(spoiled):
    with pytest.raises(ValueError, match=r"it has no boundaries|its x is no number"):
        mark_of(spoiled)

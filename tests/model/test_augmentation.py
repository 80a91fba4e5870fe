"""Which frames of a data set are changed, how much, and where their boxes are then."""

import json
import random
import subprocess
import sys

import pytest

from vidd.model.augmentation import (
    KINDS,
    PROPERTIES,
    Augmentation,
    Geometry,
    Recipe,
    make_augmentation,
    make_recipe,
    move_boxes,
    parse_augmentations,
    recipe_geometry,
    select_frames,
)
from vidd.model.boxes import Box

FRAMES = [f"task-{task}-a/{index}" for task in range(3) for index in range(1, 101)]


def of(kind, amount=0.0, across=0.5, down=0.5):
    return Recipe(kind, amount, across, down, 1)


def sides(boxes):
    return [tuple(round(side, 3) for side in (box.x, box.y, box.w, box.h)) for box in boxes]


@pytest.mark.parametrize("kind", KINDS)
def test_each_augmentation_changes_a_tenth_of_the_frames_and_others_than_the_next(kind):
    taken = select_frames(FRAMES, make_augmentation(kind), seed=7)
    assert len(taken) == 30
    assert taken == [name for name in FRAMES if name in set(taken)]
    other = next(name for name in KINDS if name != kind)
    assert taken != select_frames(FRAMES, make_augmentation(other), seed=7)
    assert taken != select_frames(FRAMES, make_augmentation(kind), seed=8)


@pytest.mark.parametrize(("frames", "changed"), [(0, 0), (1, 1), (4, 1), (15, 2), (120, 12)])
def test_of_few_frames_one_is_changed_at_least(frames, changed):
    assert len(select_frames(FRAMES[:frames], make_augmentation("rotate"), seed=1)) == changed


def test_neither_the_order_nor_another_frame_changes_what_is_drawn():
    wanted = make_augmentation("rotate")
    mixed = FRAMES[:]
    random.Random(1).shuffle(mixed)
    taken = set(select_frames(FRAMES, wanted, seed=3))
    assert set(select_frames(mixed, wanted, seed=3)) == taken
    assert len(set(select_frames([*FRAMES, "task-3-a/1"], wanted, seed=3)) ^ taken) <= 1
    assert make_recipe(wanted, FRAMES[5], 3) == make_recipe(wanted, FRAMES[5], 3)
    assert len({make_recipe(wanted, name, 3).amount for name in FRAMES}) > 290


@pytest.mark.slow
def test_the_same_is_drawn_in_every_process():
    code = (
        "import json; from vidd.model.augmentation import *;"
        "print(json.dumps(make_recipe(make_augmentation('crop'), 'task-0-a/1', 42).to_json()))"
    )
    told = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout)
    assert Recipe.from_json(told) == make_recipe(make_augmentation("crop"), "task-0-a/1", 42)


@pytest.mark.parametrize("kind", KINDS)
def test_amounts_are_within_the_range(kind):
    known = KINDS[kind]
    assert known.least <= known.low <= known.high <= known.most
    amounts = [make_recipe(make_augmentation(kind), name, 1).amount for name in FRAMES]
    assert known.low <= min(amounts) <= max(amounts) <= known.high


@pytest.mark.parametrize(
    ("kind", "bounds", "sentence"),
    [
        ("mosaic", None, "there is no augmentation 'mosaic'; there are blur-gaussian"),
        ("rotate", [1], "the range of rotate must be two numbers: from, to"),
        ("rotate", [-200, 5], r"rotate goes from -180 to 180 \(degrees clockwise\)"),
        ("crop", [0, float("nan")], "crop goes from 0 to 0.9"),
    ],
)
def test_what_cannot_be_is_told(kind, bounds, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_augmentation(kind, bounds)


def test_a_range_may_come_the_wrong_way_round():
    assert make_augmentation("rotate", [30, -5]) == Augmentation("rotate", -5, 30)


# A box of 20 x 10 at 10, 20 on a picture of 100 x 60.
@pytest.mark.parametrize(
    ("how", "box", "size"),
    [
        (of("flip-horizontal"), (70, 20, 20, 10), (100, 60)),
        (of("flip-vertical"), (10, 30, 20, 10), (100, 60)),
        (of("rotate-90"), (30, 10, 10, 20), (60, 100)),
        (of("rotate-180"), (70, 30, 20, 10), (100, 60)),
        (of("rotate-270"), (20, 70, 10, 20), (60, 100)),
        (of("rotate", 180), (70, 30, 20, 10), (100, 60)),
        (of("rotate", 0), (10, 20, 20, 10), (100, 60)),
        (of("shear-x", 45), (0, 20, 30, 10), (100, 60)),
        (of("shear-y", -45), (10, 40, 20, 20), (100, 60)),
        (of("crop", 0.2, 0, 0), (10, 20, 20, 10), (80, 48)),
        (of("crop", 0.2, 1, 1), (0, 8, 10, 10), (80, 48)),
        (of("blur-gaussian", 2), (10, 20, 20, 10), (100, 60)),
        (of("noise-gaussian", 9), (10, 20, 20, 10), (100, 60)),
    ],
)
def test_boxes_go_with_the_picture(how, box, size):
    where = recipe_geometry(how, 100, 60)
    assert (where.width, where.height) == size
    assert sides(move_boxes([Box(10, 20, 20, 10, "car", 0.5)], where)) == [box]


def test_turned_by_ninety_degrees_in_two_ways_a_box_is_the_same():
    box = Box(40, 22, 20, 10, "car")
    around = move_boxes([box], recipe_geometry(of("rotate", 90), 100, 100))
    assert sides(around) == sides(move_boxes([box], recipe_geometry(of("rotate-90"), 100, 100)))


@pytest.mark.parametrize(
    ("left", "kept"), [(0, True), (-13.9, True), (-14.1, False), (-20, False), (86.1, False), (85.9 - 2, True)]
)
def test_a_box_goes_with_less_than_three_tenths_of_it_left(left, kept):
    # Only a change moves boxes out of the picture; a shift stands for any.
    where = Geometry(1, 0, left, 0, 1, 0, 90, 60)
    assert len(move_boxes([Box(0, 0, 20, 10, "car")], where)) == kept


def test_a_sliver_of_less_than_a_pixel_goes():
    assert move_boxes([Box(0, 0, 0.9, 10, "car")], recipe_geometry(of("flip-vertical"), 100, 60)) == []


def asked(*properties):
    return parse_augmentations(
        [{"id": "a", "properties": [{"id": name, "values": values} for name, values in properties]}]
    )


def test_a_data_sets_document_says_which_are_wanted_and_how_much():
    wanted = asked(
        ("FLIP_HORIZONTAL", [True]),
        ("FLIP_VERTICAL", [False]),
        ("CLOCKWISE", []),
        ("COUNTER_CLOCKWISE", [True]),
        ("PERCENTAGE_SCALE", [20, -20]),
        ("PERCENTAGE_SCALE_DUPLICATE", [1, 2]),
        ("GRAYSCALE_PERCENTAGE", [20, 100]),
        ("CROP_PERCENTAGE", [0, 50]),
        ("BLUR", [0, 3]),
        ("NOISE_PERCENTAGE", [5]),
        ("BLUR", [7, 9]),
    )
    assert wanted == [
        Augmentation("flip-horizontal", 0, 0),
        Augmentation("rotate-270", 0, 0),
        Augmentation("rotate", -20, 20),
        Augmentation("grayscale", 0.2, 1),
        Augmentation("crop", 0, 0.1),
        Augmentation("blur-gaussian", 0, 3),
        Augmentation("noise-gaussian", 5, 5),
    ]
    assert parse_augmentations([{"id": "empty"}, {"properties": None}]) == []


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("MOSAIC", [True], "no augmentation 'MOSAIC'"),
        ("BLUR", [True], "values of BLUR must be numbers"),
        ("BLUR", ["1", "2"], "values of BLUR must be numbers"),
        ("SHEAR_VERTICAL", [0, 90], "the values of SHEAR_VERTICAL go from -80 to 80"),
    ],
)
def test_a_document_that_asks_for_what_there_is_not_is_told_so(name, values, sentence):
    with pytest.raises(ValueError, match=sentence):
        asked((name, values))


def test_a_document_can_ask_for_every_kind_by_one_property():
    values = {name: [1, 2] for name in PROPERTIES}
    assert sorted(wanted.kind for wanted in asked(*values.items())) == sorted(KINDS)

"""Frames changed for a data set: what they look like, that boxes lie where things are, the same each time."""

import numpy as np
import pytest
from builders.detection import HOPPER, RED, block
from PIL import Image

from vidd.integrations.datasets.worker.augmentation import augment
from vidd.model.augmentation import KINDS, Recipe, make_augmentation, make_recipe, move_boxes, recipe_geometry
from vidd.model.boxes import Box

WHITE = (255, 255, 255)
PHOTO = np.asarray(Image.open(HOPPER).convert("RGB"))[:320, :400]
MOVES = [kind for kind in KINDS if kind.startswith(("flip", "rotate", "shear", "crop"))]
LOOKS = [kind for kind in KINDS if kind not in MOVES]


def of(kind, amount, seed=1):
    return Recipe(kind, amount, 0.5, 0.5, seed)


def flat(value=100, side=200):
    return np.full((side, side, 3), value, np.uint8)


@pytest.mark.parametrize("frame", range(4))
@pytest.mark.parametrize("kind", MOVES)
def test_the_box_lies_around_the_thing_wherever_it_went(kind, frame):
    picture = block(WHITE, 40, 30, size=(160, 100), side=24)
    how = make_recipe(make_augmentation(kind), str(frame), 5)
    changed = augment(picture, how)
    where = recipe_geometry(how, 160, 100)
    assert changed.shape == (where.height, where.width, 3)
    [box] = move_boxes([Box(40, 30, 24, 24, "square")], where)
    rows, columns = np.nonzero(changed[..., 0] > 127)
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert seen == pytest.approx((box.x, box.y, box.x + box.w, box.y + box.h), abs=1.01)


@pytest.mark.parametrize("kind", LOOKS)
def test_what_only_looks_different_stays_where_it_is(kind):
    how = make_recipe(make_augmentation(kind), "a", 5)
    changed = augment(PHOTO, how)
    assert changed.shape == PHOTO.shape
    assert changed.dtype == np.uint8
    assert 0.05 < np.abs(changed.astype(int) - PHOTO).mean() < 60
    [box] = move_boxes([Box(10, 20, 30, 40, "x")], recipe_geometry(how, 400, 320))
    assert (box.x, box.y, box.w, box.h) == (10, 20, 30, 40)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_recipe_makes_the_same_picture(kind):
    how = make_recipe(make_augmentation(kind), "a", 5)
    assert np.array_equal(augment(PHOTO, how), augment(PHOTO.copy(), how))


def test_noise_is_as_strong_as_it_is_said():
    how = of("noise-gaussian", 20)
    changed = augment(flat(), how)
    assert 19 < changed.std() < 21
    assert abs(changed.mean() - 100) < 1
    assert not np.array_equal(changed, augment(flat(), of(how.kind, how.amount, seed=2)))


@pytest.mark.parametrize(
    ("how", "before", "after"),
    [
        (of("brightness-add", 30), 100, 130),
        (of("brightness-add", -130), 100, 0),
    ],
)
def test_light_changes_by_the_amount(how, before, after):
    assert set(augment(flat(before), how).ravel()) == {after}


@pytest.mark.parametrize(
    ("how", "colour"),
    [
        (of("hue-add", 120), (0, 255, 0)),
        (of("hue-add", -120), (0, 0, 255)),
        (of("saturation-add", -255), (255, 255, 255)),
        (of("grayscale", 1), (76, 76, 76)),
        (of("grayscale", 0.5), (166, 38, 38)),
    ],
)
def test_red_becomes_what_it_should(how, colour):
    changed = augment(block(RED, 0, 0, side=128), how)
    assert changed[10, 10].tolist() == pytest.approx(colour, abs=1)


def test_a_blurred_frame_has_less_detail():
    def detail(picture):
        return np.abs(np.diff(picture.astype(int), axis=1)).mean()

    assert detail(augment(PHOTO, of("blur-gaussian", 2))) < 0.8 * detail(PHOTO)


@pytest.mark.parametrize("end", ["least", "most"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_ends_of_every_range_can_be_made(kind, end):
    how = of(kind, getattr(KINDS[kind], end))
    where = recipe_geometry(how, 400, 320)
    assert augment(PHOTO, how).shape == (where.height, where.width, 3)

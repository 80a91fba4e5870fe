"""Pictures changed for a data set: what they look like after it, that boxes lie where things are, the same each time."""

import numpy as np
import pytest
from builders.detection import HOPPER, RED, block
from PIL import Image

from vidd.detection.worker.test_time_augmentation import augmented
from vidd.model.augmentation import KINDS, Recipe, augmentation, geometry, moved, recipe
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
    how = recipe(augmentation(kind), str(frame), 5)
    changed = augmented(picture, how)
    where = geometry(how, 160, 100)
    assert changed.shape == (where.height, where.width, 3)
    [box] = moved([Box(40, 30, 24, 24, "square")], where)
    rows, columns = np.nonzero(changed[..., 0] > 127)
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert seen == pytest.approx((box.x, box.y, box.x + box.w, box.y + box.h), abs=1.01)


@pytest.mark.parametrize("kind", LOOKS)
def test_what_only_looks_different_stays_where_it_is(kind):
    how = recipe(augmentation(kind), "a", 5)
    changed = augmented(PHOTO, how)
    assert changed.shape == PHOTO.shape
    assert changed.dtype == np.uint8
    assert 0.05 < np.abs(changed.astype(int) - PHOTO).mean() < 60
    [box] = moved([Box(10, 20, 30, 40, "x")], geometry(how, 400, 320))
    assert (box.x, box.y, box.w, box.h) == (10, 20, 30, 40)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_recipe_makes_the_same_picture(kind):
    how = recipe(augmentation(kind), "a", 5)
    assert np.array_equal(augmented(PHOTO, how), augmented(PHOTO.copy(), how))


@pytest.mark.parametrize(
    ("how", "least", "most"),
    [
        (of("noise-gaussian", 20), 19, 21),
        (of("noise-laplace", 10), 13, 15),  # its deviation is the root of two times as much
    ],
)
def test_noise_is_as_strong_as_it_is_said(how, least, most):
    changed = augmented(flat(), how)
    assert least < changed.std() < most
    assert abs(changed.mean() - 100) < 1
    assert not np.array_equal(changed, augmented(flat(), of(how.kind, how.amount, seed=2)))


@pytest.mark.parametrize(
    ("how", "before", "after"),
    [
        (of("brightness-add", 30), 100, 130),
        (of("brightness-add", -130), 100, 0),
        (of("brightness-multiply", 1.5), 100, 150),
        (of("brightness-multiply", 4), 100, 255),
        (of("contrast-gamma", 2), 128, 64),
        (of("contrast-sigmoid", 10), 255, 253),
        (of("contrast-sigmoid", 10), 128, 129),
    ],
)
def test_light_changes_by_the_amount(how, before, after):
    assert set(augmented(flat(before), how).ravel()) == {after}


@pytest.mark.parametrize(
    ("how", "colour"),
    [
        (of("hue-add", 120), (0, 255, 0)),
        (of("hue-add", -120), (0, 0, 255)),
        (of("saturation-multiply", 0), (255, 255, 255)),
        (of("saturation-add", -255), (255, 255, 255)),
        (of("grayscale", 1), (76, 76, 76)),
        (of("grayscale", 0.5), (166, 38, 38)),
    ],
)
def test_red_becomes_what_it_should(how, colour):
    changed = augmented(block(RED, 0, 0, side=128), how)
    assert changed[10, 10].tolist() == pytest.approx(colour, abs=1)


@pytest.mark.parametrize("how", [of("blur-gaussian", 2), of("blur-average", 5), of("blur-median", 7)])
def test_what_is_blurred_has_less_detail_and_what_is_sharpened_more(how):
    def detail(picture):
        return np.abs(np.diff(picture.astype(int), axis=1)).mean()

    assert detail(augmented(PHOTO, how)) < 0.8 * detail(PHOTO) < detail(augmented(PHOTO, of("sharpen", 0.5)))


@pytest.mark.parametrize("end", ["least", "most"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_ends_of_every_range_can_be_made(kind, end):
    how = of(kind, getattr(KINDS[kind], end))
    where = geometry(how, 400, 320)
    assert augmented(PHOTO, how).shape == (where.height, where.width, 3)

"""Augmented pictures: the boxes are still around what they were around, and the same seed makes the same bytes."""

import pytest
from builders_dataset import picture
from PIL import Image, ImageChops, ImageStat

from vidd.dataset.augment import augmented
from vidd.model.annotations import Mark
from vidd.model.augmentation import NAMES, Augmentation, augmentation_of, drawn

STRENGTH = {
    "rotate": 17, "shear-x": 12, "shear-y": -9, "crop": 15, "grayscale": 40, "hue-add": 30, "saturation-add": -50,
    "brightness-add": 20, "blur-gaussian": 1, "noise-gaussian": 4,
}  # fmt: skip


def of(name, seed="seed", size=(320, 180)):
    return drawn(Augmentation(name, STRENGTH.get(name, 0), STRENGTH.get(name, 0)), seed, *size)


@pytest.mark.parametrize("name", NAMES.values())
def test_a_box_is_still_around_what_it_was_around(name):
    image = Image.new("RGB", (320, 180), (0, 40, 0))
    image.paste((255, 255, 255), (120, 60, 190, 100))
    change = of(name)
    new = augmented(image, change)
    assert new.size == (change.width, change.height)
    (moved,) = change.moved([Mark(120, 60, 70, 40, "car", {})])
    seen = new.convert("L").point(lambda value: 255 if value > 128 else 0).getbbox()
    box = (moved.x, moved.y, moved.x + moved.w, moved.y + moved.h)
    assert all(abs(one - other) <= 2.5 for one, other in zip(seen, box, strict=True)), (seen, box)


@pytest.mark.parametrize("name", NAMES.values())
def test_the_same_seed_makes_the_same_picture_and_it_is_another_than_before(name):
    image = picture(5)
    first, second = augmented(image, of(name)), augmented(image, of(name))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != image.tobytes()


def test_noise_is_as_strong_as_asked_for_and_of_no_colour():
    flat = Image.new("RGB", (400, 400), (128, 128, 128))
    noisy = augmented(flat, of("noise-gaussian", size=flat.size))
    assert all(abs(one - 4 / 100 * 255) < 0.5 for one in ImageStat.Stat(noisy).stddev)
    assert all(abs(one - 128) < 1 for one in ImageStat.Stat(noisy).mean)
    assert ImageChops.difference(noisy, augmented(flat, of("noise-gaussian", "other", flat.size))).getbbox()


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("FLIP_HORIZONTAL", [True], Augmentation("flip-horizontal")),
        ("FLIP_HORIZONTAL", [False], None),
        ("FLIP_HORIZONTAL", [], None),
        ("BLUR", [3, 1], Augmentation("blur-gaussian", 1, 3)),
        ("BLUR", [2], Augmentation("blur-gaussian", 2, 2)),
        ("BLUR", None, None),
        ("BLUR_DUPLICATE", [1], None),
    ],
)
def test_properties_of_the_documents_are_understood(name, values, found):
    assert augmentation_of(name, values) == found


@pytest.mark.parametrize(
    ("name", "values"), [("MELT", [1]), ("BLUR", ["a"]), ("BLUR", [1, 2, 3]), ("BLUR", [float("nan")])]
)
def test_properties_that_make_no_sense_are_named(name, values):
    with pytest.raises(ValueError, match=name):
        augmentation_of(name, values)

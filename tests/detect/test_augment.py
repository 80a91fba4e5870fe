"""Pictures changed for a data set: what they look like after it, that boxes lie where things are, the same each time."""

import asyncio
import hashlib
import json

import numpy as np
import pytest
from builders_detect import HOPPER, RED, block, sampled
from PIL import Image

from vidd.clients.augmenting import augment
from vidd.detect.augment import augmented
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


async def made(directory, rows, **orders):
    bench, watched = sampled(directory, [[PHOTO]])
    (directory / "wanted.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with asyncio.timeout(60):
        counted = await augment(directory / "wanted.jsonl", directory / "made.jsonl", bench, **orders)
    told = [json.loads(line) for line in (directory / "made.jsonl").read_text().splitlines()]
    return counted, told, watched


def rows(directory, source, kinds):
    boxes = [Box(100, 80, 120, 120, "face", 0.75).to_json(), Box(396, 0, 4, 320, "edge").to_json()]
    return [
        {
            "source": str(source),
            "target": str(directory / "out" / f"{kind}.jpg"),
            "thumbnail": str(directory / "out" / f"{kind}_thumbnail.jpg"),
            "recipe": recipe(augmentation(kind), "task-0-a/1", 5).to_json(),
            "boxes": boxes,
        }
        for kind in kinds
    ]


async def test_a_child_makes_every_picture_with_its_boxes_and_makes_the_same_again(tmp_path):
    sums = []
    for name in ("a", "b"):
        source = tmp_path / name / "tasks" / "task-0-Cam1" / "1.jpg"
        counted, told, watched = await made(tmp_path / name, rows(tmp_path / name, source, KINDS), thumbnail=64)
        assert counted == {"frames": len(KINDS), "unread": 0}
        assert watched.progress[-1][:3] == (len(KINDS), len(KINDS), "frames")
        sums.append([hashlib.sha256((tmp_path / name / "out" / f"{kind}.jpg").read_bytes()).digest() for kind in KINDS])
    assert sums[0] == sums[1]
    for kind, one in zip(KINDS, told, strict=True):
        with (
            Image.open(one["target"]) as picture,
            Image.open(tmp_path / "b" / "out" / f"{kind}_thumbnail.jpg") as small,
        ):
            assert picture.size == (one["width"], one["height"])
            assert max(small.size) == 64
        face = next(box for box in one["boxes"] if box["label"] == "face")
        assert face["confidence"] == 0.75
        assert all(box["x"] >= 0 and box["x"] + box["w"] <= one["width"] for box in one["boxes"])
    assert [box["label"] for box in told[list(KINDS).index("crop")]["boxes"]] == ["face"]


async def test_a_picture_that_cannot_be_read_is_told_and_the_others_are_made(tmp_path):
    good = tmp_path / "tasks" / "task-0-Cam1" / "1.jpg"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"nothing")
    wanted = [*rows(tmp_path, broken, ["rotate"]), *rows(tmp_path, good, ["flip-vertical"])]
    counted, told, _ = await made(tmp_path, wanted)
    assert counted == {"frames": 2, "unread": 1}
    assert told[0] == {"target": str(tmp_path / "out" / "rotate.jpg"), "unreadable": True}
    assert (tmp_path / "out" / "flip-vertical.jpg").exists()
    assert not (tmp_path / "out" / "rotate.jpg").exists()

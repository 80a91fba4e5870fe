"""What goes out as a data set, read again by others: pycocotools, and readers of the formats' own descriptions."""

import contextlib
import io
import json
import random
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from pycocotools.coco import COCO

from vidd.integrations.annotation_service.documents import box_document
from vidd.integrations.datasets.formats.coco import coco
from vidd.integrations.datasets.formats.cvat import cvat
from vidd.integrations.datasets.formats.yolo import default, yolo
from vidd.integrations.datasets.labels import Classes, LabelClass, Mark, MarkedFrame, parse_mark

LIST = [
    {"mainLabel": "Lap Sponge", "attributes": {"state": "Stacked"}, "isEnabled": True, "count": 3},
    {"mainLabel": "Lap Sponge", "attributes": {"state": "Single"}, "isEnabled": False},
    {"mainLabel": "Tray", "attributes": {}, "isEnabled": True},
    {"mainLabel": 'A "b" <c> & d', "attributes": {"é": "x\ny"}, "isEnabled": True},
]
CLASSES = Classes.from_documents(LIST)
STACKED = Mark(100, 50, 200, 100, "Lap Sponge", {"state": "Stacked"})
SINGLE = Mark(0, 0, 10, 10, "Lap Sponge", {"state": "Single"})
TRAY = Mark(-10, 300, 50, 100, "Tray", confidence=0.25)
STRANGE = Mark(1, 2, 3, 4, 'A "b" <c> & d', {"é": "x\ny"})
FRAMES = [
    MarkedFrame("task-0-a/1/1.jpg", 640, 360, [STACKED, SINGLE, TRAY]),
    MarkedFrame("task-0-a/2/2.jpg", 640, 360, []),
    MarkedFrame('task "0" <&>/3.jpg', 1920, 1080, [STRANGE, Mark(2000, 0, 5, 5, "Tray")]),
]


def many(number=200):
    drawn = random.Random(5)
    frames = []
    for at in range(number):
        wide, high = drawn.choice([(640, 360), (1920, 1080), (333, 777)])
        marks = [
            Mark(
                drawn.uniform(-50, wide),
                drawn.uniform(-50, high),
                drawn.uniform(1, wide),
                drawn.uniform(1, high),
                choice,
            )
            for choice in drawn.choices("abcd", k=drawn.randrange(5))
        ]
        frames.append(MarkedFrame(f"{at}.jpg", wide, high, marks))
    return frames


def on(frame, mark):
    """What of a mark lies on the frame, reckoned by edges."""
    xs = sorted(min(max(x, 0), frame.width) for x in (mark.x, mark.x + mark.w))
    ys = sorted(min(max(y, 0), frame.height) for y in (mark.y, mark.y + mark.h))
    return xs[0], ys[0], xs[1], ys[1]


def there(frame, classes):
    """The marks that are to go out: their class and what lies on the frame."""
    found = [(classes.index_of(mark), on(frame, mark)) for mark in frame.marks]
    return [(place, box) for place, box in found if place is not None and box[2] > box[0] and box[3] > box[1]]


def test_a_line_is_the_class_and_the_box_in_parts_of_the_frame():
    assert yolo(FRAMES[0], CLASSES) == (
        "0 0.312500 0.277778 0.312500 0.277778 \n2 0.031250 0.916667 0.062500 0.166667 \n"
    )
    assert yolo(FRAMES[1], CLASSES) == ""


def test_a_label_alone_is_no_match_its_attributes_must_be_the_same():
    marks = [
        replace(STACKED, attributes=attributes)
        for attributes in ({}, {"state": "stacked"}, {"state": "Stacked", "b": "1"})
    ]
    assert yolo(MarkedFrame("a", 640, 360, marks), CLASSES) == ""
    assert CLASSES.index_of(replace(TRAY, attributes={"state": "Stacked"})) is None


def test_of_two_entries_that_are_the_same_the_first_counts_and_one_that_is_off_keeps_its_place():
    classes = Classes([LabelClass("a", {}, enabled=False), LabelClass("a", {}), LabelClass("a", {})])
    assert yolo(MarkedFrame("a", 10, 10, [Mark(0, 0, 5, 5, "a")]), classes).startswith("1 ")


def test_without_labels_the_text_has_their_names():
    frame = MarkedFrame("a", 640, 360, [STACKED, Mark(0, 0, 640, 360, "two\nlines")])
    lines = default(frame).splitlines()
    assert [line.rsplit(maxsplit=4)[0] for line in lines] == ["Lap Sponge", "two lines"]
    assert default(frame).endswith("0.500000 0.500000 1.000000 1.000000 \n")


def test_every_text_can_be_read_again_to_a_hundredth_of_a_pixel():
    frames = many()
    classes = Classes.of_frames(frames)
    lines = 0
    for frame in frames:
        read = [line.split() for line in yolo(frame, classes).splitlines()]
        for (place, box), words in zip(there(frame, classes), read, strict=True):
            across, down, wide, high = (float(word) for word in words[1:])
            assert all(0 <= value <= 1 for value in (across, down, wide, high))
            centre = across * frame.width, down * frame.height
            half = wide * frame.width / 2, high * frame.height / 2
            again = (centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1])
            assert int(words[0]) == place
            assert again == pytest.approx(box, abs=0.01)
            lines += 1
    assert lines > 300


def read_coco(path, frames, classes):
    path.write_text("".join(coco(frames, classes, name="set")))
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_pycocotools_reads_images_classes_and_boxes(tmp_path):
    read = read_coco(tmp_path / "coco.json", FRAMES, CLASSES)
    assert {cat["id"]: cat["name"] for cat in read.cats.values()} == {
        1: "Lap Sponge (state=Stacked)",
        3: "Tray",
        4: 'A "b" <c> & d (é=x\ny)',
    }
    assert [(img["file_name"], img["width"], img["height"]) for img in read.imgs.values()] == [
        (frame.name, frame.width, frame.height) for frame in FRAMES
    ]
    [tray] = read.loadAnns(read.getAnnIds(catIds=read.getCatIds(catNms=["Tray"])))
    assert (tray["bbox"], tray["area"], tray["iscrowd"], tray["score"]) == ([0, 300, 40, 60], 2400, 0, 0.25)
    assert len(read.getAnnIds(imgIds=[2])) == 0
    assert read.anns[1]["attributes"] == {"state": "Stacked"}
    assert "score" not in read.anns[1]


@pytest.mark.slow
def test_pycocotools_finds_each_of_many_boxes_on_its_frame(tmp_path):
    frames = many()
    classes = Classes.of_frames(frames)
    read = read_coco(tmp_path / "coco.json", frames, classes)
    for number, frame in enumerate(frames, 1):
        boxes = read.loadAnns(read.getAnnIds(imgIds=[number]))
        for (place, box), annotation in zip(there(frame, classes), boxes, strict=True):
            x, y, w, h = annotation["bbox"]
            assert annotation["category_id"] == place + 1
            assert (x, y, x + w, y + h) == pytest.approx(box, abs=0.01)
    # Each box found as itself is a perfect detection to the evaluation that others use.
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        results = [{**ann, "score": 1.0} for ann in read.anns.values()]
        evaluation = COCOeval(read, read.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_an_empty_data_set_is_one_too(tmp_path):
    assert read_coco(tmp_path / "coco.json", [], Classes([])).imgs == {}
    assert ET.fromstring("".join(cvat([], Classes([])))).find("image") is None


def read_cvat(text):
    """Labels and images as CVAT's importer takes them from the description of its format."""
    root = ET.fromstring(text)
    assert root.tag == "annotations"
    assert root.findtext("version") == "1.1"
    labels = {
        label.findtext("name"): {
            attribute.findtext("name"): attribute.findtext("values").split("\n")
            for attribute in label.iter("attribute")
        }
        for label in root.iter("label")
    }
    images = []
    for image in root.findall("image"):
        boxes = [
            (
                box.get("label"),
                [float(box.get(side)) for side in ("xtl", "ytl", "xbr", "ybr")],
                {attribute.get("name"): attribute.text for attribute in box.findall("attribute")},
                box.get("source"),
            )
            for box in image.findall("box")
        ]
        images.append(
            (int(image.get("id")), image.get("name"), int(image.get("width")), int(image.get("height")), boxes)
        )
    return labels, images


def test_cvat_finds_its_labels_images_and_boxes():
    labels, images = read_cvat("".join(cvat(FRAMES, CLASSES, name="a & b")))
    assert list(labels) == ["Lap Sponge", "Tray", 'A "b" <c> & d']
    assert labels["Lap Sponge"] == {"state": ["Stacked"]}
    # Its values come one a line, so that none can have two.
    assert labels['A "b" <c> & d'] == {"é": ["x y"]}
    assert images == [
        (
            0,
            "task-0-a/1/1.jpg",
            640,
            360,
            [
                ("Lap Sponge", [100, 50, 300, 150], {"state": "Stacked"}, "manual"),
                ("Tray", [0, 300, 40, 360], {}, "auto"),
            ],
        ),
        (1, "task-0-a/2/2.jpg", 640, 360, []),
        (2, 'task "0" <&>/3.jpg', 1920, 1080, [('A "b" <c> & d', [1, 2, 4, 6], {"é": "x y"}, "manual")]),
    ]


def test_cvat_finds_each_of_many_boxes():
    frames = many()
    classes = Classes.of_frames(frames)
    _, images = read_cvat("".join(cvat(frames, classes)))
    for frame, (_, name, _, _, boxes) in zip(frames, images, strict=True):
        assert name == frame.name
        for (place, box), (label, sides, _, _) in zip(there(frame, classes), boxes, strict=True):
            assert label == classes.entries[place].label
            assert sides == pytest.approx(box, abs=0.006)


def test_what_xml_cannot_say_does_not_spoil_the_file():
    frame = MarkedFrame("a\x00.jpg", 10, 10, [Mark(0, 0, 5, 5, "b\x1b\ud800")])
    _, [image] = read_cvat("".join(cvat([frame], Classes.of_frames([frame]))))
    assert image[1] == "a�.jpg"
    assert image[4][0][0] == "b��"


def test_all_three_are_the_same_for_a_box_of_the_documents():
    document = box_document(1, {"x": 10, "y": 20, "w": 30, "h": 40, "label": "car", "confidence": 0.5})
    assert parse_mark(document) == Mark(10, 20, 30, 40, "car", {}, 0.5)
    document["boundaries"]["attributeValues"] = {"state": "parked"}
    assert parse_mark(document).attributes == {"state": "parked"}


@pytest.mark.parametrize(
    "sides",
    [
        {"x": 40, "y": 60, "w": -30, "h": -40},
        {"x": 40, "w": -30},
        {"y": 60.0, "h": -40.0},
    ],
)
def test_a_rectangle_that_was_drawn_up_or_to_the_left_is_the_same_one(sides):
    document = box_document(1, {"x": 10, "y": 20, "w": 30, "h": 40, "label": "car", "confidence": 0.5})
    document["boundaries"] |= sides
    assert parse_mark(document) == Mark(10, 20, 30, 40, "car", {}, 0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"w": 0},
        {"h": -0.0},
        {"x": None},
        {"y": "7"},
        {"h": float("nan")},
        {"w": float("-inf")},
        {"label": None},
        {"type": "polygon"},
    ],
)
def test_what_is_no_rectangle_is_left_out(change):
    document = box_document(1, {"x": 10, "y": 20, "w": 30, "h": 40, "label": "car", "confidence": 0.5})
    document["boundaries"] |= change
    assert parse_mark(document) is None
    assert parse_mark({}) is None


def test_a_list_of_labels_without_a_label_is_told():
    with pytest.raises(ValueError, match="has no mainLabel"):
        Classes.from_documents([{"attributes": {}}])
    assert json.loads("".join(coco(FRAMES, CLASSES)))["licenses"] == []

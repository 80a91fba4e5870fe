"""Boxes: what is data of anybody's, and what lies on a frame."""

import math

import pytest

from vidd.model.boxes import Box, FrameBoxes

GOOD = {"x": 1, "y": 2.5, "w": 3, "h": 4, "label": "car", "confidence": 0.5}


def seen(**changes):
    return {"task": "task-0-a", "index": 1, "boxes": [{**GOOD, **changes}]}


def test_what_is_written_is_read_again():
    frame = FrameBoxes("task-0-a", 7, [Box(1.0, 2.0, 3.0, 4.0, "car", 0.25)])
    assert FrameBoxes.from_json(frame.to_json()) == frame


def test_a_box_without_confidence_is_sure():
    data = seen()
    del data["boxes"][0]["confidence"]
    assert FrameBoxes.from_json(data).boxes[0].confidence == 1.0


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "no JSON object"),
        ({"task": "a", "index": 1}, "it has no boxes"),
        ({"task": 1, "index": 1, "boxes": []}, "task must be a text"),
        ({"task": "a", "index": True, "boxes": []}, "whole number"),
        ({"task": "a", "index": 1, "boxes": {}}, "boxes must be a list"),
        ({"task": "a", "index": 1, "boxes": [7]}, "no JSON object"),
        (seen(w=0), "width and height of a box must be positive"),
        (seen(x=math.nan), "x of a box must be a number"),
        (seen(y="1"), "y of a box must be a number"),
        (seen(h=True), "h of a box must be a number"),
        (seen(label=""), "label of a box"),
        (seen(label="a" * 201), "label of a box"),
        (seen(confidence=1.5), "confidence of a box must be 0 to 1"),
    ],
)
def test_what_is_no_answer_is_told_why(data, sentence):
    with pytest.raises(ValueError, match=sentence):
        FrameBoxes.from_json(data)


@pytest.mark.parametrize(
    ("box", "left"),
    [
        ((-5, -5, 20, 20), (0, 0, 15, 15)),
        ((90, 40, 20, 20), (90, 40, 10, 10)),
        ((10, 10, 5, 5), (10, 10, 5, 5)),
        ((100, 0, 5, 5), None),
        ((0, -5, 5, 5), None),
    ],
)
def test_of_a_box_stays_what_lies_on_the_frame(box, left):
    found = Box(*box, "a").within(100, 50)
    assert (found and (found.x, found.y, found.w, found.h)) == left

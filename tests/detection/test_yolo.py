"""What detectors say, read: which layout it is, which candidates count, which stay, and where they lie on the picture."""

import numpy as np
import pytest

from vidd.detection.worker.yolo import Layout, layout_of, letterbox, read_candidates, suppress
from vidd.errors import Refused


@pytest.mark.parametrize(
    ("shape", "labels", "wanted", "layout"),
    [
        ((1, 25200, 85), 80, "auto", Layout("v5", False, 80)),
        ((4, 84, 8400), 80, "auto", Layout("v8", True, 80)),
        ((1, 8400, 84), 80, "auto", Layout("v8", False, 80)),
        ((1, 300, 6), 80, "auto", Layout("end", False, 80)),
        ((1, 0, 6), 80, "auto", Layout("end", False, 80)),
        ((1, 5, 8400), 1, "auto", Layout("v8", True, 1)),
        ((1, 300, 6), 1, "end", Layout("end", False, 1)),
        ((1, 25200, 6), 1, "v5", Layout("v5", False, 1)),
        ((1, 84, 8400), 0, "auto", Layout("v8", True, 80)),
        ((1, 25200, 85), 0, "v5", Layout("v5", False, 80)),
        ((1, 84, 84), 80, "auto", Layout("v8", True, 80)),
    ],
)
def test_the_layout_is_read_off_the_shape(shape, labels, wanted, layout):
    assert layout_of(shape, labels, wanted) == layout


@pytest.mark.parametrize(
    ("shape", "labels", "wanted", "sentence"),
    [
        ((1, 25200, 6), 1, "auto", "1x25200x6 can be read as v5 or as end: set layout"),
        ((1, 25200, 85), 0, "auto", "can be read as v5 or as v8"),
        ((1, 84, 8400), 79, "auto", "1x84x8400 does not fit 79 labels and the layout auto"),
        ((1, 84, 8400), 80, "v5", "does not fit 80 labels and the layout v5"),
        ((1, 1000), 80, "auto", "1x1000, and boxes come in three dimensions"),
        ((1, 3, 80, 80, 85), 80, "auto", "three dimensions"),
    ],
)
def test_what_can_be_read_in_two_ways_or_in_none_is_refused(shape, labels, wanted, sentence):
    with pytest.raises(Refused, match=sentence):
        layout_of(shape, labels, wanted)


def test_the_score_of_v5_is_certainty_times_class():
    rows = np.array([[50, 50, 20, 10, 0.5, 0.2, 0.8], [10, 10, 4, 4, 0.9, 0.9, 0.1]], np.float32)
    found = read_candidates(rows, Layout("v5", False, 2), 0.3)
    assert found.scores.tolist() == pytest.approx([0.81, 0.4])
    assert found.classes.tolist() == [0, 1]
    assert found.corners.tolist() == [[8, 8, 12, 12], [40, 45, 60, 55]]
    assert len(read_candidates(rows, Layout("v5", False, 2), 0.41).scores) == 1


def test_columns_and_rows_say_the_same():
    rows = np.array([[50, 50, 20, 10, 0.2, 0.8], [10, 10, 4, 4, 0.9, 0.1]], np.float32)
    rows_first = read_candidates(rows, Layout("v8", False, 2), 0.5)
    columns_first = read_candidates(rows.T, Layout("v8", True, 2), 0.5)
    assert rows_first.corners.tolist() == columns_first.corners.tolist() == [[8, 8, 12, 12], [40, 45, 60, 55]]


@pytest.mark.parametrize("bad", [[np.nan, 0, 5, 5], [np.inf, 0, 5, 5], [0, 0, 0, 5], [9, 9, -2, 5]])
def test_what_is_no_box_is_dropped(bad):
    rows = np.array([[*bad, 0.9], [10, 10, 4, 4, 0.5]], np.float32)
    assert read_candidates(rows, Layout("v8", False, 1), 0.1).scores.tolist() == [0.5]


def test_of_boxes_that_lie_on_one_another_the_surest_stays_unless_their_classes_differ():
    rows = np.array(
        [
            [50, 50, 40, 40, 0.8, 0.0],
            [52, 50, 40, 40, 0.9, 0.0],
            [50, 52, 40, 40, 0.0, 0.7],
            [150, 50, 40, 40, 0.6, 0.0],
        ],
        np.float32,
    )
    found = suppress(read_candidates(rows, Layout("v8", False, 2), 0.1), 0.45, 300)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert found.classes.tolist() == [0, 1, 0]
    assert len(suppress(read_candidates(rows, Layout("v8", False, 2), 0.1), 0.99, 300).scores) == 4
    assert len(suppress(read_candidates(rows, Layout("v8", False, 2), 0.1), 0.99, 2).scores) == 2


def test_nothing_stays_nothing():
    rows = np.zeros((10, 6), np.float32)
    assert len(suppress(read_candidates(rows, Layout("v8", False, 2), 0.5), 0.5, 10).scores) == 0


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (64, 64), (3, 500), (37, 23)])
def test_a_picture_in_a_frame_comes_back_where_it_was(size):
    wide, high = size
    picture = np.full((high, wide, 3), 255, np.uint8)
    frame = letterbox(picture, 640, 384)
    assert frame.pixels.shape == (384, 640, 3)
    rows, columns = np.nonzero(frame.pixels[..., 0] == 255)
    seen = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
    assert frame.pixels[0, 0, 0] in (114, 255)
    # As exact as a pixel of the frame is large on the picture.
    assert frame.to_frame(seen)[0].tolist() == pytest.approx([0, 0, wide, high], abs=1 / frame.factor)

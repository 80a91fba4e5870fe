"""Black, still and silent stretches, from samples."""

import pytest

from vidd.media.verify import runs
from vidd.media.verify.runs import HEIGHT, WIDTH

CELLS = WIDTH * HEIGHT
BLACK, GREY = bytes(CELLS), bytes([100]) * CELLS


def test_a_picture_with_a_small_mark_on_black_is_black_and_one_with_a_line_of_words_is_not():
    assert runs.is_black(bytes(CELLS - 10) + b"\xff" * 10)
    assert not runs.is_black(bytes(CELLS - 60) + b"\xff" * 60)
    assert runs.is_black(bytes([20]) * CELLS)
    assert not runs.is_black(bytes([40]) * CELLS)


def test_what_two_encodings_of_a_picture_differ_by_is_no_movement_and_a_pointer_is():
    assert runs.is_same(GREY, bytes([102]) * CELLS)
    moved = bytearray(GREY)
    moved[500] = 110
    assert not runs.is_same(GREY, bytes(moved))


def test_marked_times_that_follow_each_other_are_one_stretch():
    marked = [(0, True), (1, True), (2, False), (3, True), (4, False), (5, True)]
    assert runs.runs(marked) == [(0, 1), (3, 3), (5, 5)]


def test_pictures_that_are_the_same_are_a_stretch_and_black_ones_are_not():
    other = bytes([200]) * CELLS
    pictures = [
        (0.0, GREY),
        (2.0, GREY),
        (4.0, GREY),
        (6.0, other),
        (8.0, other),
        (9.0, GREY),
        (10.0, BLACK),
        (12.0, BLACK),
    ]
    assert runs.frozen(pictures) == [(0.0, 4.0), (6.0, 8.0)]


def levels(*pairs):
    return [
        (round(0.1 * number, 1), level)
        for number, level in enumerate([value for level, count in pairs for value in [level] * count], 1)
    ]


def test_sound_is_silent_from_where_its_window_began_and_until_it_is_heard_again():
    found = runs.silent(levels((-20, 30), (-80, 40), (-20, 30)), 0.4, 10.0)
    assert found == [(pytest.approx(2.7), pytest.approx(7.0))]


def test_where_the_sound_ends_before_the_picture_the_rest_is_silent():
    assert runs.silent(levels((-20, 30)), 0.4, 10.0) == [(3.0, 10.0)]
    assert runs.silent(levels((-20, 20), (-90, 10)), 0.4, 10.0) == [(pytest.approx(1.7), 10.0)]
    assert runs.silent([], 0.4, 5.0) == [(0.0, 5.0)]


def test_a_tenth_of_a_second_that_is_missing_at_the_end_is_not_silence():
    assert runs.silent(levels((-20, 98)), 0.4, 10.0) == []

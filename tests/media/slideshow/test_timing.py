import re
from math import floor

import pytest

from vidd.media.slideshow.timing import Timing


def by_expression(timing, slide):
    """What ffmpeg computes for `first_frame`."""
    assert re.fullmatch(r"[\d()+*/a-z_]+", timing.first_frame_expression)
    return eval(timing.first_frame_expression, {"floor": floor, "n_forced": slide})


@pytest.mark.parametrize(
    ("slides", "seconds", "fps", "frames"),
    [
        (5, 3, 25, 375),
        (5, 3, 30, 450),
        (1, 3, 30, 90),
        (1000, 0.04, 25, 1000),
        (7, 0.05, 30, 11),
        (5, 0.37, 25, 46),
        (1000, 1 / 3, 30, 10_000),
        (3, 0.1, 12, 4),
    ],
)
def test_the_whole_is_slides_times_seconds_to_half_a_frame(slides, seconds, fps, frames):
    timing = Timing(slides, seconds, fps)
    assert timing.frames == frames
    assert abs(timing.duration - slides * seconds) <= 0.5 / fps + 1e-6


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.37, 1 / 3, 2.999, 3, 59.94])
def test_ffmpeg_puts_keyframes_where_slides_begin(seconds):
    timing = Timing(2000, seconds, 30)
    assert [by_expression(timing, slide) for slide in range(2001)] == [
        timing.first_frame(slide) for slide in range(2001)
    ]


def test_of_a_slide_its_first_frame_is_given_and_of_the_last_one_where_the_whole_ends():
    timing = Timing(3, 2, 10)
    assert [timing.given_frames(slide) for slide in range(3)] == [[0], [20], [40, 59]]


def test_a_crossfade_lies_at_the_end_of_a_slide_and_makes_the_whole_no_longer():
    timing = Timing(3, 2, 10, crossfade=0.5)
    assert [timing.given_frames(slide) for slide in range(3)] == [[0, 15], [20, 35], [40, 59]]
    assert (timing.frames, timing.fades) == (60, True)


def test_one_slide_and_a_crossfade_of_less_than_two_frames_have_nothing_to_blend():
    assert not Timing(1, 2, 10, crossfade=1).fades
    assert not Timing(3, 2, 10, crossfade=0.1).fades


@pytest.mark.parametrize(
    ("seconds", "fps", "rate", "made"),
    [
        (3, 30, 1, 3),
        (3, 25, 5, 15),
        (0.37, 25, 1, 1),
        (2.5, 30, 1, 2),
        (3, 4, 5, 12),
        (0.04, 25, 1, 1),
        (1 / 3, 30, 1, 1),
    ],
)
def test_at_a_lower_rate_each_slide_is_the_same_whole_number_of_frames(seconds, fps, rate, made):
    fewer = Timing(1000, seconds, fps, crossfade=seconds / 2).at_most(rate)
    assert [fewer.first_frame(slide) for slide in range(1001)] == [slide * made for slide in range(1001)]
    assert fewer.duration == pytest.approx(1000 * seconds, abs=0.001)
    assert (fewer.fps <= fps, fewer.fades) == (True, False)


def test_a_slide_of_a_single_frame_is_given_once():
    assert [Timing(2, 0.1, 10).given_frames(slide) for slide in range(2)] == [[0], [1]]

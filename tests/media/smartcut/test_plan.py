"""Which way a cut is made, from what is known of its packets."""

from dataclasses import replace
from fractions import Fraction

import pytest

from vidd.media.ffmpeg.args.common import Cut
from vidd.media.smartcut.plan import Index, Keyframe, SmartCutUnavailable, bounds, make_plan, ticks

# 25 pictures a second on a clock of 100: one every 4 ticks, a keyframe every 2 s, all of 20 s from the file's start on.
INDEX = Index(
    time_base=Fraction(1, 100),
    begin=Fraction(0),
    codec="h264",
    frames=400,
    keyframes=tuple(Keyframe(at, "idr") for at in range(200, 2000, 200)),
    clean_ends=(*range(204, 1800, 4), 1797),
    first=200,
    last=1796,
    bytes=1000,
)
CUT = Cut(2.0, 18.0, 1.0)


def planned(index: Index = INDEX, cut: Cut = CUT):
    return make_plan(index, cut, pixels=1280 * 720, rate=25)


def test_what_fades_is_encoded_to_the_first_keyframe_after_and_from_the_last_place_before():
    made = planned()
    assert (made.strategy, made.copy_from, made.copy_to, made.lead_in, made.lead_out) == (
        "edges",
        400,
        1700,
        True,
        True,
    )
    assert "Only 3.0 s at the edges of 16.0 s" in made.reason


def test_without_fades_a_keyframe_at_the_start_means_copying():
    made = planned(cut=Cut(2.0, 18.0))
    assert (made.strategy, made.copy_from, made.copy_to, made.lead_in, made.lead_out) == (
        "copy",
        200,
        1797,
        False,
        False,
    )


def test_a_forecast_grows_with_what_is_encoded():
    assert planned(cut=Cut(2.0, 18.0)).seconds < planned().seconds < planned(replace(INDEX, obstacle="No.")).seconds


def test_where_the_last_pictures_are_decoded_later_than_such_beyond_the_end_the_tail_starts_before_them():
    made = planned(replace(INDEX, clean_ends=INDEX.clean_ends[:-3]), Cut(2.0, 18.0))
    assert (made.strategy, made.copy_to, made.lead_in, made.lead_out) == ("edges", 1788, False, True)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keyframes": INDEX.keyframes[:1]}, "no keyframe between the fades"),
        ({"keyframes": (Keyframe(1400, "idr"),)}, "Keyframes are so rare that 13.0 s of 16.0 s"),
        ({"keyframes": tuple(replace(keyframe, overlapped=True) for keyframe in INDEX.keyframes)}, "decodes by itself"),
        ({"keyframes": tuple(replace(keyframe, kind="recovery") for keyframe in INDEX.keyframes)}, "open GOP"),
        ({"clean_ends": ()}, "No place was found"),
        ({"obstacle": "The moon is full."}, "The moon is full."),
    ],
)
def test_a_whole_encode_has_its_reason(changes, sentence):
    made = planned(replace(INDEX, **changes))
    assert made.strategy == "full"
    assert sentence in made.reason


def test_a_keyframe_that_goes_on_from_others_is_taken_once_enough_come_before_it():
    keyframes = (
        Keyframe(400, "recovery", 1, first_leading=396, frames_before=5, frames_needed=9),
        Keyframe(600, "recovery", 1, first_leading=596, frames_before=55, frames_needed=9),
    )
    made = planned(replace(INDEX, keyframes=keyframes))
    assert (made.copy_from, made.lead_in_to) == (600, 596)


def test_open_gops_can_be_left_to_a_whole_encode():
    keyframes = (
        Keyframe(400, "idr"),
        Keyframe(600, "recovery", 1, first_leading=596, frames_before=55, frames_needed=9),
    )
    index = replace(INDEX, keyframes=keyframes)
    assert planned(index).strategy == "edges"
    made = make_plan(index, CUT, pixels=1280 * 720, rate=25, open_gops=False)
    assert made.strategy == "full"
    assert "open GOP" in made.reason


def test_a_start_between_two_ticks_takes_the_next_picture():
    assert bounds(Fraction(1, 25), Fraction(0), Cut(1.01, 2.0)) == (26, 50)
    # 1.04 as a float is a little more than 26 ticks.
    assert bounds(Fraction(1, 25), Fraction(0), Cut(1.04, 2.0)) == (26, 50)


def test_a_coarse_clock_is_made_finer_and_its_pictures_keep_their_distances():
    clock = ticks(Fraction(1, 25), Fraction(0), Cut(1.01, 2.0))
    assert clock.scale >= 10_000
    assert clock.of(27) - clock.of(26) == clock.scale // 25
    assert clock.seconds(26) == pytest.approx(0.03, abs=1e-4)


def test_a_clock_that_mp4_cannot_hold_is_said():
    with pytest.raises(SmartCutUnavailable, match="1001/30000"):
        ticks(Fraction(1001, 30000), Fraction(0), CUT)

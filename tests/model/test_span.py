import pytest

from vidd.errors import Refused
from vidd.model.span import WHOLE, Span, talk_span
from vidd.model.talk import Talk

NAMED = "Main_t1_000100_000200.mp4"


@pytest.mark.parametrize(
    ("facts", "talk", "span"),
    [
        ({"start": 5, "end": 9}, Talk("t1", start=1.0, end=2.0), Span(5, 9)),
        ({"end": 9}, None, Span(0, 9)),
        ({}, Talk("t1", start=30.0), Span(30, None)),
        ({}, Talk("t1"), Span(60, 120)),
        ({}, None, Span(60, 120)),
    ],
)
def test_the_first_that_knows_a_time_is_believed(facts, talk, span):
    assert talk_span(facts, talk, NAMED) == span


@pytest.mark.parametrize(
    "name", ["talk.mp4", "GOPR0001.MP4", "VID_20261201_101500.mp4", "a_b_2026-12-01_10-15-00.mkv", "Main_t1__.mp4", ""]
)
def test_a_talk_is_all_of_the_recording_where_nobody_gives_times(name):
    assert talk_span({}, None, name) is WHOLE
    assert talk_span({"start": None}, Talk("t1"), name) == Span(0, None)


@pytest.mark.parametrize(
    "name", ["Main_t1_000200_000100.mp4", "Main_t1_0001_000100.mp4", "Main_t1_000100_999999.mp4", "1_2.mp4"]
)
def test_times_in_the_name_that_cannot_be_used_are_refused(name):
    with pytest.raises(Refused):
        talk_span({}, None, name)


@pytest.mark.parametrize(
    ("outer", "inner", "holds"),
    [
        (Span(5, 10), Span(5, 10), True),
        (Span(5, 10), Span(4.9, 10), False),
        (Span(5, 10), Span(5, 10.1), False),
        (Span(5, 10), Span(6, None), False),
        (Span(5, None), Span(6, None), True),
        (Span(5, None), Span(6, 9), True),
    ],
)
def test_a_span_holds_what_lies_within_it(outer, inner, holds):
    assert outer.contains(inner) is holds

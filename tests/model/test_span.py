import pytest

from vidd.errors import Refused
from vidd.model.span import Span, talk_span
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


def test_a_name_without_times_is_refused_where_nobody_else_knows_them():
    with pytest.raises(Refused):
        talk_span({}, None, "talk.mp4")


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

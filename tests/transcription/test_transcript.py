"""Words become cues that can be read: short lines, short times, cut at sentences and pauses."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidd.transcription.transcript import (
    LINE,
    LINES,
    LONGEST,
    Cue,
    Transcript,
    Word,
    cues_of,
    joined,
    paragraphs,
    spread,
)


def said(text, start=0.0, each=0.3, gap=0.05):
    """The words of a text, each as long as the others."""
    words = []
    for word in text.split():
        words.append(Word(word, start, start + each))
        start += each + gap
    return words


def lines(words):
    return [cue.lines for cue in cues_of(Transcript(tuple(words)))]


def test_a_short_sentence_is_one_line():
    [cue] = cues_of(Transcript(tuple(said("Good morning everybody.", 1.0))))
    assert cue == Cue(1.0, pytest.approx(2.0), ("Good morning everybody.",))


def test_a_longer_one_is_two_lines_of_like_length():
    assert lines(said("the quick brown fox jumps over the lazy dog again", each=0.2)) == [
        ("the quick brown fox jumps", "over the lazy dog again")
    ]


def test_a_sentence_begins_a_new_cue():
    assert lines(said("We begin with the looms. Then come the weavers.")) == [
        ("We begin with the looms.",),
        ("Then come the weavers.",),
    ]


def test_a_word_alone_does_not_get_a_cue_of_its_own_between_two_sentences():
    assert lines(said("Yes. We begin with them.")) == [("Yes. We begin with them.",)]


def test_a_pause_begins_a_new_cue():
    assert lines([*said("so it goes"), *said("and it goes on", 3.0)]) == [("so it goes",), ("and it goes on",)]


def test_what_does_not_fit_is_cut_after_a_comma_rather_than_anywhere():
    text = "when the weavers of the valley came down to the market, they had brought all of their cloth with them"
    assert [" ".join(pair) for pair in lines(said(text, each=0.15))] == [
        "when the weavers of the valley came down to the market,",
        "they had brought all of their cloth with them",
    ]


def test_speech_without_any_pause_stays_for_seven_seconds_at_most():
    cues = cues_of(Transcript(tuple(said("so " * 60, each=0.5, gap=0.0))))
    assert max(cue.end - cue.start for cue in cues) <= LONGEST


def test_a_text_without_spaces_is_cut_into_lines():
    [cue] = cues_of(Transcript((Word("字" * 60, 0.0, 6.0),)))
    assert cue.lines == ("字" * 42, "字" * 18)


def test_glued_words_are_joined_without_spaces():
    assert joined([Word("你", 0, 1), Word("好", 1, 2, glued=True)]) == "你好"


def test_the_text_has_a_paragraph_for_each_long_pause():
    assert paragraphs([*said("one two"), *said("three", 5.0)]) == "one two\n\nthree"


def test_nothing_said_is_no_cue():
    assert cues_of(Transcript()) == []


def test_cues_of_a_recogniser_that_can_be_read_stay_as_they_are():
    given_cues = (Cue(0.0, 2.0, ("Hello there",)), Cue(2.0, 4.0, ("and good night",)))
    words = tuple(word for cue in given_cues for word in spread(cue.text, cue.start, cue.end))
    assert cues_of(Transcript(words, given_cues, exact=False)) == list(given_cues)


def test_a_cue_of_a_recogniser_that_is_too_long_is_cut_with_a_share_of_its_time():
    long = Cue(10.0, 30.0, (" ".join(["weaving"] * 20),))
    cues = cues_of(Transcript(tuple(spread(long.text, 10.0, 30.0)), (long,), exact=False))
    assert len(cues) > 2
    assert (cues[0].start, cues[-1].end) == (10.0, pytest.approx(30.0))


words = st.lists(
    st.tuples(st.text("abc.,!? é字", min_size=1, max_size=60).filter(str.strip), st.floats(0, 5), st.floats(0, 9)),
    max_size=40,
)


@given(words)
@settings(max_examples=200, deadline=None)
def test_whatever_is_said_no_line_is_too_long_no_two_cues_overlap_and_nothing_is_lost(spoken):
    at, timed = 0.0, []
    for text, pause, length in spoken:
        at += pause
        timed.append(Word(" ".join(text.split()), at, at + length))
        at += length
    cues = cues_of(Transcript(tuple(timed)))
    assert all(len(cue.lines) <= LINES and all(0 < len(line) <= LINE for line in cue.lines) for cue in cues)
    assert all(cue.start < cue.end for cue in cues)
    assert all(cue.end <= following.start for cue, following in pairwise(cues))
    shown = "".join("".join(cue.lines) for cue in cues)
    assert shown.replace(" ", "") == "".join(word.text for word in timed).replace(" ", "")

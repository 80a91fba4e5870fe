"""Names of recordings: every name is read as it was made, or refused in a sentence."""

from hypothesis import given
from hypothesis import strategies as st

from vidd.errors import Refused
from vidd.model.talk import RecordingName, clock_seconds, parse_recording_name

TALKS = st.text(st.characters(blacklist_characters="_/\0", blacklist_categories=("Cs",)), min_size=1, max_size=20)
TIMES = st.tuples(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
PREFIXES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), max_size=20)


def seconds(time):
    return time[0] * 3600 + time[1] * 60 + time[2]


@given(PREFIXES, TALKS, TIMES, TIMES, st.sampled_from([".mp4", ".MKV", ".tar"]))
def test_a_name_says_the_talk_and_the_times_that_were_put_into_it(prefix, talk, first, last, suffix):
    name = f"{prefix}_{talk}_{first[0]:02}{first[1]:02}{first[2]:02}_{last[0]:02}{last[1]:02}{last[2]:02}{suffix}"
    if seconds(first) < seconds(last):
        assert parse_recording_name(name) == RecordingName(talk, seconds(first), seconds(last))
    else:
        try:
            parse_recording_name(name)
        except Refused as refused:
            assert "ends" in refused.sentence
        else:
            raise AssertionError(name)


@given(st.text(max_size=60))
def test_any_name_is_read_or_refused_in_a_sentence(name):
    try:
        found = parse_recording_name(name)
    except Refused as refused:
        assert refused.sentence.isprintable()
        assert refused.sentence.endswith(".mp4.") or ":" in refused.sentence
    else:
        assert found.start < found.end
        assert found.talk


@given(st.text(max_size=8))
def test_any_text_is_a_time_of_the_clock_or_none(text):
    found = clock_seconds(text)
    assert found is None or text == f"{int(found) // 3600:02}{int(found) % 3600 // 60:02}{int(found) % 60:02}"

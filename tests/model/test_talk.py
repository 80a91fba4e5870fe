import pytest

from vidd.errors import Refused
from vidd.model.talk import RecordingName, clock_seconds, names_in_words, parse_recording_name

UUID = "f0bd7b1d-d8b3-4a3c-803f-d32f56e08638"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"Centre Stage_{UUID}_000109_012312.mp4", RecordingName(UUID, 69, 4992)),
        (f"a_b_c_{UUID}_000000_000001.mov", RecordingName(UUID, 0, 1)),
        # A name that ends in 4 before ".mp4" lost its last digit in the original system.
        (f"x_{UUID}_000000_012314.mp4", RecordingName(UUID, 0, 4994)),
        (f"{UUID}_000000_000010.mp4", RecordingName(UUID, 0, 10)),
        (f"x_{UUID}_990000_995959.mkv", RecordingName(UUID, 356400, 359999)),
    ],
)
def test_a_recordings_name_says_the_talk_and_its_times(name, expected):
    assert parse_recording_name(name) == expected


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("holiday.mp4", "does not say which talk"),
        (f"x_{UUID}_0001_000200.mp4", "'0001' is no time HHMMSS"),
        (f"x_{UUID}_000000_006000.mp4", "'006000' is no time HHMMSS"),
        (f"x_{UUID}_000200_000100.mp4", "ends .000100. before it starts .000200."),
        (f"x_{UUID}_000100_000100.mp4", "before it starts"),
        ("x__000000_000100.mp4", "empty talk id"),
        (f"x_{UUID}_\u0660\u0660\u0660\u0660\u0660\u0660_000100.mp4", "is no time HHMMSS"),
    ],
)
def test_a_name_that_says_less_is_refused_with_what_to_do(name, sentence):
    with pytest.raises(Refused, match=sentence):
        parse_recording_name(name)


def test_a_hostile_name_is_shown_without_its_control_characters():
    with pytest.raises(Refused) as refused:
        parse_recording_name("a\nb\x1b[31m.mp4")
    assert refused.value.sentence.isprintable()


def test_a_clock_has_sixty_minutes_and_seconds():
    assert clock_seconds("010203") == 3723
    assert clock_seconds("016003") is None
    assert clock_seconds("1:2:03") is None


def test_names_are_joined_as_a_sentence_has_them():
    assert [names_in_words("ABCD"[:count]) for count in range(5)] == ["", "A", "A and B", "A, B and C", "A, B, C and D"]

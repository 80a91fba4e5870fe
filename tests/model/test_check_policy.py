"""What the policy does about what a check found, and how it is said."""

from dataclasses import replace

import pytest

from vidd.model.check_policy import Policy, describe_file, duration_in_words, findings, policy_of, time_in_words
from vidd.model.media import Artifact, Audio, Media, Video

NOTHING = {"duration": 600.0, "black": [], "frozen": [], "silent": [[]], "loudness": [None], "offset": []}
LOUD = {"integrated": -5.0, "range": 3.0, "peak": 1.2}


def told(policy=None, **found):
    return [(one.kind, one.action, one.sentence) for one in findings({**NOTHING, **found}, policy or Policy())]


def test_a_file_without_anything_odd_has_no_findings():
    assert told(silent=[], loudness=[]) == []
    assert findings({}, Policy()) == ()


def test_a_stretch_is_a_finding_from_its_length_on():
    policy = Policy(black="refuse", black_for=5)
    assert told(policy, black=[[10.0, 14.9]]) == []
    assert told(policy, black=[[10.0, 15.0]]) == [("black", "refuse", "The video is black from 0:10 to 0:15 (5 s).")]


def test_the_longest_stretches_are_named_in_their_order_and_the_rest_counted():
    frozen = [[0, 20], [30, 40], [100.0, 175.0], [200, 230], [300, 315]]
    (finding,) = told(Policy(frozen_for=10), frozen=frozen)
    assert finding[2] == (
        "The video stands still from 0:00 to 0:20 (20 s), from 1:40 to 2:55 (1 min 15 s), from 3:20 to 3:50 (30 s)"
        " and 2 times more."
    )


def test_what_is_black_or_silent_from_end_to_end_is_a_finding_however_short_the_file():
    found = told(duration=8.0, black=[[0.0, 7.9]], silent=[[[0.0, 8.0]]])
    assert [(kind, action) for kind, action, _ in found] == [("black", "hold"), ("silent", "hold")]


def test_only_the_track_that_players_play_counts():
    assert told(silent=[[], [[0.0, 600.0]]], loudness=[{"integrated": -23.0, "peak": -3.0}, LOUD]) == []


def test_too_loud_too_quiet_and_clipped_sound_is_told_with_its_figures():
    assert told(loudness=[LOUD]) == [
        ("loudness", "note", "The audio has -5.0 LUFS; -35 to -9 are wanted."),
        ("peak", "note", "The audio reaches 1.2 dBFS, more than 0: it may be clipped."),
    ]
    assert told(loudness=[{"integrated": -41.2, "peak": -9.0}])[0][2].startswith("The audio has -41.2 LUFS")


def test_what_is_silent_altogether_is_not_also_too_quiet():
    assert told(loudness=[{"integrated": -70.0, "peak": -120.0}]) == []


def test_sound_that_moved_against_its_picture_is_told_by_the_place_where_it_is_worst():
    at = [
        {"at": 1.5, "sound": 0.004, "picture": 0.0, "by": "packets"},
        {"at": 70.0, "sound": -0.1, "picture": 0.004, "by": "times"},
        {"at": 80.0, "sound": None, "picture": 0.0, "by": "times"},
    ]
    sentence = "At 1:10 the audio comes 104 ms earlier to its video than in the source."
    assert told(offset=at) == [("offset", "hold", sentence)]
    assert told(Policy(offset_to=0.11), offset=at) == []


def test_sound_that_is_nowhere_in_the_source_is_a_finding():
    assert told(lost=True)[0][:2] == ("offset", "hold")


def test_damage_of_the_source_is_noted():
    assert told(missing=3) == [("damage", "note", "3 frames of the source are missing: it is damaged.")]
    assert told(damage=["At 3.10 s its packets are torn.", "x"])[0][2] == (
        "At 3.10 s its packets are torn. And 1 times more."
    )


def test_the_most_serious_comes_first():
    found = told(Policy(peak="refuse"), black=[[0, 200]], loudness=[LOUD])
    assert [action for _, action, _ in found] == ["refuse", "hold", "note"]


def test_a_steps_own_policy_goes_before_its_pipelines_and_strange_keys_are_left_alone():
    settings = {
        "check": {"black": "note", "later": 1},
        "steps": [{"name": "trim"}, {"name": "transcode", "check": {"black": "refuse", "black_for": 3.0}}],
    }
    assert policy_of(settings, "trim") == Policy(black="note")
    assert policy_of(settings, "transcode") == Policy(black="refuse", black_for=3.0)
    assert policy_of({}, "trim") == Policy()


def test_a_checked_file_is_summed_up_in_a_line():
    media = Media("mov", 62.5, 12_000_000, (Video("h264", 1280, 720, 25.0),), (Audio("aac", 48000, 2),))
    at = [{"at": 1.0, "sound": 0.002, "picture": 0.0}]
    record = {"pictures": 1562, "offset": at, "joins": [{}, {}], "loudness": [{"integrated": -23.0, "peak": -3.1}]}
    one = Artifact("talk", "talk.mp4", 12_000_000, media=media, facts={"check": record})
    assert describe_file(one) == (
        "1:02, h264 1280x720, 25 frames/s, 1562 frames, aac -23.0 LUFS, peak -3.1 dBFS, in sync to 2 ms,"
        " 2 joins decode, 12.0 MB"
    )
    silent = replace(one, media=replace(media, audio=()), facts={"check": {}})
    assert describe_file(silent) == "1:02, h264 1280x720, 25 frames/s, no audio, 12.0 MB"
    assert describe_file(Artifact("words", "words.json", 1000)) == "1.0 kB"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (2.44, "0:02.4"), (59.96, "1:00"), (62.5, "1:02"), (3725, "1:02:05")]
)
def test_a_time_in_a_file_is_said_as_players_do(seconds, words):
    assert time_in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.52, "0.52 s"), (8, "8 s"), (60, "1 min"), (200, "3 min 20 s"), (7530, "2 h 5 min")]
)
def test_a_length_is_said_in_words(seconds, words):
    assert duration_in_words(seconds) == words


def test_a_file_without_a_sound_track_is_a_finding_and_by_itself_holds_nobody_up():
    (found,) = findings({"sound": (), "duration": 60.0}, Policy())
    assert (found.kind, found.action, found.sentence) == ("soundless", "note", "There is no audio track.")
    assert findings({"sound": (60.0,), "duration": 60.0}, Policy()) == ()

"""SubRip, WebVTT and JSON are written so that players read them, and read as recognisers write them."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidd.errors import Refused
from vidd.transcription.formats import read, srt, vtt, words_json
from vidd.transcription.transcript import Cue, Transcript, Word

CUES = [Cue(0.5, 2.25, ("Hello", "world")), Cue(3661.0, 3662.0, ("again",))]


def test_subrip_has_numbers_commas_and_an_empty_line_between_cues():
    assert srt(CUES) == ("1\n00:00:00,500 --> 00:00:02,250\nHello\nworld\n\n2\n01:01:01,000 --> 01:01:02,000\nagain\n")


def test_webvtt_has_its_head_and_points():
    assert vtt(CUES).startswith("WEBVTT\n\n00:00:00.500 --> 00:00:02.250\nHello\nworld\n\n01:01:01.000")


def test_what_would_be_markup_is_escaped_in_webvtt_and_replaced_in_subrip():
    cues = [Cue(0, 1, ("a --> b & <i>c",))]
    assert "a --&gt; b &amp; &lt;i&gt;c" in vtt(cues)
    assert "a → b & \u2039i\u203ac" in srt(cues)
    assert srt(cues).count("-->") == vtt(cues).count("-->") == 1


def test_a_line_break_in_a_word_does_not_end_the_cue():
    assert "\n\n" not in srt([Cue(0, 1, ("a\n\nb",))]).strip()


@given(st.lists(st.text(max_size=30), max_size=4))
@settings(max_examples=200, deadline=None)
def test_whatever_is_said_comes_back_from_webvtt_as_it_was(texts):
    lines = [" ".join(text.split()) for text in texts]
    cues = [Cue(number, number + 1, (line,)) for number, line in enumerate(lines) if line]
    if not cues:
        return
    content = vtt(cues).encode(errors="replace")
    shown = [cue.text for cue in read("x.vtt", content, "en").cues]
    assert shown == [line.encode(errors="replace").decode() for line in lines if line]


def words_of(text, name="x.json", language="en"):
    return [
        (word.text, word.start, word.end, word.glued) for word in read(name, json.dumps(text).encode(), language).words
    ]


@pytest.mark.parametrize(
    "data",
    [
        {"words": [{"word": "so", "start": 1, "end": 1.5}, {"word": "be", "start": 1.5, "end": 2}]},
        [{"word": "so", "start": 1, "end": 1.5}, {"word": "be", "start": 1.5, "end": 2}],
        {"text": "so be", "result": [{"word": "so", "start": 1, "end": 1.5, "conf": 1.0},
                                     {"word": "be", "start": 1.5, "end": 2, "conf": 1.0}]},
        [{"result": [{"word": "so", "start": 1, "end": 1.5}]}, {"result": [{"word": "be", "start": 1.5, "end": 2}]}],
        {"segments": [{"start": 1, "end": 2, "text": " so be",
                       "words": [{"word": " so", "start": 1, "end": 1.5}, {"word": " be", "start": 1.5, "end": 2}]}]},
        {"segments": [{"start": 1, "end": 2, "text": "so be"}]},
        {"transcription": [{"offsets": {"from": 1000, "to": 2000}, "text": " so be", "tokens": [
            {"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}},
            {"text": " so", "offsets": {"from": 1000, "to": 1500}},
            {"text": " be", "offsets": {"from": 1500, "to": 2000}}]}]},
        {"transcription": [{"offsets": {"from": 1000, "to": 2000}, "text": " so be"}]},
    ],
    ids=["vidd", "list", "Vosk", "Vosk in parts", "Whisper", "Whisper without words", "whisper.cpp", "whisper.cpp -oj"],
)  # fmt: skip
def test_the_json_of_each_recogniser_has_its_words(data):
    assert words_of(data) == [("so", 1.0, 1.5, False), ("be", 1.5, 2.0, False)]


def test_tokens_that_are_parts_of_words_are_glued():
    tokens = [
        {"text": " jump", "offsets": {"from": 0, "to": 200}},
        {"text": "ing", "offsets": {"from": 200, "to": 400}},
    ]
    assert [glued for *_, glued in words_of({"transcription": [{"tokens": tokens}]})] == [False, True]


def test_words_of_chinese_without_spaces_are_glued():
    data = {"words": [{"word": "你", "start": 0, "end": 1}, {"word": "好", "start": 1, "end": 2}]}
    assert [glued for *_, glued in words_of(data, language="zh-CN")] == [False, True]
    assert [glued for *_, glued in words_of(data, language="en")] == [False, False]


def test_the_words_that_vidd_writes_it_can_read():
    words = (Word("so", 0.125, 0.5), Word("be", 0.5, 1.0))
    text = words_json(Transcript(words), "en", "program")
    assert json.loads(text)["exact"] is True
    assert read("x.json", text.encode(), "en").words == words


def test_subtitles_are_read_with_their_marks_removed_whatever_their_line_ends():
    content = (
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,000 align:start\r\n<i>Hello</i> {\\an8}there\r\n\r\n"
        "2\r\n00:02.500 --> 00:03.000\r\n<v Ada>a &amp; b</v>\r\n"
    )
    transcript = read("x.srt", content.encode(), "en")
    assert transcript.cues == (Cue(1.0, 2.0, ("Hello there",)), Cue(2.5, 3.0, ("a & b",)))
    assert not transcript.exact


def test_notes_and_styles_of_webvtt_are_not_spoken():
    content = (
        "WEBVTT - made by x\n\nNOTE not said\n\nSTYLE\n::cue { color: red }\n\nid-7\n00:01.000 --> 00:02.000\nsaid\n"
    )
    assert [cue.text for cue in read("x.vtt", content.encode(), "en").cues] == ["said"]


def test_an_empty_webvtt_says_that_nothing_was_said():
    assert read("x.vtt", b"WEBVTT\n", "en") == Transcript(exact=False)
    assert read("x.srt", b"", "en") == Transcript(exact=False)


def test_a_plain_text_has_no_times():
    assert read("x.txt", b"Hello there.\n", "en") == Transcript(exact=False, text="Hello there.")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("x.srt", b"1\n00:00:aa --> 00:00:02,000\nHello\n", "line 2 is no pair of times"),
        ("x.srt", b"1\n00:00:03,000 --> 00:00:02,000\nHello\n", "ends before it starts"),
        ("x.srt", b"<html>not found</html>", "no cue with times"),
        ("x.vtt", b"WEBVTT\n\n\xff\xfe", "not UTF-8"),
        ("x.json", b"{", "no JSON"),
        ("x.json", b"7", "neither an object nor a list"),
        ("x.json", b'{"words": [{"word": "so"}]}', "no times"),
        ("x.json", b'{"words": ["so"]}', "no text or no times"),
        ("x.json", b'{"segments": [7]}', "no text or no times"),
    ],
)
def test_a_broken_file_is_refused_with_what_is_wrong(name, content, why):
    with pytest.raises(Refused, match=why):
        read(name, content, "en")


@given(st.binary(max_size=200), st.sampled_from([".srt", ".vtt", ".json", ".txt"]))
@settings(max_examples=300, deadline=None)
def test_whatever_bytes_a_recogniser_wrote_they_are_read_or_refused(content, suffix):
    with suppress(Refused):
        read(f"x{suffix}", content, "en")

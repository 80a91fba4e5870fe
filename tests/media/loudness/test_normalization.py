"""What is done about a talk's loudness, from what was measured."""

from pathlib import Path

import pytest

from vidd.media.ffmpeg import parse
from vidd.media.loudness.normalization import (
    GainChange,
    Loudness,
    Measurement,
    correct_gain,
    gain_change,
    measurement_args,
)

SUMMARY = """  Stream #0:0: Audio: pcm_s16le
[Parsed_ebur128_5 @ 0x7f7028001c00] Summary:

  Integrated loudness:
    I:         {i} LUFS
    Threshold: -38.2 LUFS

  Loudness range:
    LRA:         1.5 LU
    Threshold: -48.2 LUFS
    LRA low:   -29.0 LUFS
    LRA high:  -27.5 LUFS

  True peak:
    Peak:       {peak} dBFS
[out#0/null @ 0x559eb4a17bc0] video:0KiB audio:5625KiB
"""


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (SUMMARY.format(i="-28.0", peak="-7.8"), (-28.0, 1.5, -7.8)),
        (SUMMARY.format(i="-70.0", peak="-inf"), (-70.0, 1.5, float("-inf"))),
        (SUMMARY.format(i="-9", peak="1") + SUMMARY.format(i="-28.0", peak="2.5"), (-28.0, 1.5, 2.5)),
        ("Error opening input: I: none", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_the_summary_is_read(said, wanted):
    assert parse.loudness(said) == wanted


@pytest.mark.parametrize(
    ("loudness", "peak", "target", "wanted"),
    [
        (-23.9, -5.0, -23.0, "It is within 1 LU of -23 LUFS."),
        (-22.0, -5.0, -23.0, "It is within 1 LU of -23 LUFS."),
        (-24.1, -5.0, -23.0, GainChange(1.1)),
        (-30.0, -10.0, -23.0, GainChange(7.0, None)),
        (-30.0, -8.4, -23.0, GainChange(7.0, -1.5)),
        (-14.0, 0.5, -23.0, GainChange(-9.0, None)),
        (-60.0, -40.0, -16.0, GainChange(30.0, None)),
        (None, None, -23.0, "It is silent."),
    ],
)
def test_a_talk_is_brought_to_the_target_or_left_alone(loudness, peak, target, wanted):
    assert gain_change(Measurement(loudness, 5.0, peak), Loudness(target=target)) == wanted


def test_what_a_limiter_takes_away_is_put_on_top():
    wanted = Loudness(target=-16)
    assert correct_gain(GainChange(12.0, -1.5), Measurement(-17.1, 3, -1.5), wanted) == GainChange(13.1, -1.5)
    assert correct_gain(GainChange(29.5, -1.5), Measurement(-18.0, 3, -1.5), wanted) == GainChange(30.0, -1.5)
    assert correct_gain(GainChange(12.0, -1.5), Measurement(None, 0, None), wanted) == GainChange(12.0, -1.5)


def test_a_gain_alone_is_one_filter_and_a_limit_is_four_times_oversampled():
    assert GainChange(6.1).filters(48000) == ["volume=6.10dB"]
    limited = GainChange(6.1, -6.0206).filters(48000)
    assert limited[0] == "volume=6.10dB"
    assert limited[1] == "aresample=192000"
    assert "limit=0.500000" in limited[2]
    assert limited[3] == "aresample=48000"


@pytest.mark.parametrize("text", ["-16 LUFS", "-16", -16, "-16LUFS", "-16.0 lufs"])
def test_levels_are_written_as_people_write_them(text):
    assert Loudness(target=text).target == -16.0
    assert Loudness.model_validate(Loudness(target=text).model_dump(mode="json")).target == -16.0


@pytest.mark.parametrize(
    ("key", "value"), [("target", "loud"), ("target", 3), ("tolerance", "0 LU"), ("peak", "1 dBTP")]
)
def test_levels_that_are_none_are_faults_of_the_settings(key, value):
    with pytest.raises(ValueError, match=key):
        Loudness(**{key: value})


def test_measuring_writes_nothing():
    argv = measurement_args(Path("/j/in.mp4"), 1, ["atrim=start=1"], seek=60.0)
    assert argv[-3:] == ["-f", "null", "-"]
    assert argv[argv.index("-map") + 1] == "0:a:1"
    assert argv[argv.index("-filter:a") + 1] == "atrim=start=1,ebur128=peak=true:framelog=quiet"
    assert argv[argv.index("-loglevel") + 1] == "info"

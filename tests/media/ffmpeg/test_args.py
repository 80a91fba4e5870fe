"""Argument lists, as tables."""

from dataclasses import replace
from pathlib import Path

import pytest

from vidd.media.ffmpeg.args.common import (
    Cut,
    CutSource,
    EncodeSettings,
    Rendition,
    RenditionSettings,
    time_scale,
    transcode_args,
    trim_args,
)
from vidd.model.media import Audio, Media, Video

VIDEO = Video("h264", 1920, 1080, 25.0)
AUDIO = Audio("aac", 48000, 2)
MEDIA = Media("mov", 3600.0, 1, (VIDEO,), (AUDIO,))


def after(argv: list[str], flag: str) -> list[str]:
    return [argv[place + 1] for place, word in enumerate(argv) if word == flag]


CUT = Cut(61.4, 541.8, 3.0)


def trim(media: Media = MEDIA, *, cut=CUT, seek: float = 60.4, threads: int = 0) -> list[str]:
    return trim_args(
        CutSource(Path("/j/in.mp4"), media, cut, seek),
        Path("/j/out.mp4"),
        EncodeSettings(20, "veryfast", 160000, threads),
    )


def test_a_cut_with_fades_of_picture_and_sound():
    argv = trim()
    assert after(argv, "-ss") == ["60.4"]
    assert after(argv, "-i") == ["file:/j/in.mp4"]
    assert after(argv, "-filter:v") == [
        (
            "settb=1/12800,trim=start=1:end=481.4,setpts=round(PTS-1/TB),"
            "scale=out_range=tv,format=yuv420p,fade=t=in:st=0:d=3,fade=t=out:st=477.4:d=3"
        )
    ]
    assert after(argv, "-filter:a") == [
        (
            "atrim=start=1:end=481.4,asetpts=round(PTS-1/TB),aresample=async=1:min_hard_comp=0.02:first_pts=0,"
            "afade=t=in:st=0:d=3,afade=t=out:st=477.4:d=3"
        )
    ]
    assert argv[-1] == "file:/j/out.mp4"


def test_options_of_the_input_stand_before_it():
    argv = trim(threads=3)
    place = argv.index("-i")
    assert {"-ss", "-protocol_whitelist", "-format_whitelist", "-threads"} <= set(argv[:place])
    assert after(argv[place:], "-threads") == ["3"]


def test_no_threads_and_no_seek_where_none_are_asked_for():
    argv = trim(cut=Cut(0, 10), seek=0.0)
    assert not {"-threads", "-ss"} & set(argv)


def test_without_a_fade_there_is_no_fade_filter():
    assert "fade" not in " ".join(trim(cut=Cut(1, 2, 0.0), seek=0.0))


@pytest.mark.parametrize(("width", "height", "cropped"), [(1920, 1080, False), (1919, 1080, True), (1920, 1081, True)])
def test_only_odd_sizes_are_cropped(width, height, cropped):
    media = replace(MEDIA, video=(replace(VIDEO, width=width, height=height),))
    assert ("crop=" in after(trim(media), "-filter:v")[0]) is cropped


def test_playlists_and_devices_are_not_opened():
    allowed = after(trim(), "-format_whitelist")[0].split(",")
    assert not {"hls", "concat", "dash", "image2", "lavfi", "sdp", "v4l2"} & set(allowed)
    assert after(trim(), "-protocol_whitelist") == ["file"]


def test_every_sound_track_that_can_be_decoded_is_taken_with_its_language():
    tracks = (AUDIO, Audio("unknown", 0, 0), replace(AUDIO, language="deu"))
    argv = trim(replace(MEDIA, audio=tracks))
    assert after(argv, "-map") == ["0:V:0", "0:a:0", "0:a:2"]
    assert after(argv, "-metadata:s:a:1") == ["language=deu"]


@pytest.mark.parametrize(
    ("rate", "variable", "scale"),
    [
        (25.0, False, 12800),
        (30000 / 1001, False, 30000),
        (24000 / 1001, False, 24000),
        (60.0, False, 15360),
        (29.5, True, 90000),
        (0.0, False, 12800),
    ],
)
def test_every_picture_of_a_steady_rate_lies_on_a_tick(rate, variable, scale):
    assert time_scale(replace(VIDEO, rate=rate, variable=variable)) == scale


def test_several_renditions_share_one_decode():
    renditions = [
        Rendition("720p", 1280, 720, 2_000_000, 128_000),
        Rendition("360p", 640, 360, 500_000, 64_000, 12.5),
    ]
    outputs = [(rendition, Path(f"/j/{rendition.name}.mp4")) for rendition in renditions]
    argv = transcode_args(Path("/j/in.mp4"), outputs, MEDIA, RenditionSettings("veryfast"))
    assert argv.count("-i") == 1
    assert after(argv, "-filter_complex") == [
        "[0:V:0]split=2[in0][in1];[in0]scale=1280:720,format=yuv420p[out0];[in1]scale=640:360,format=yuv420p,fps=12.5[out1]"
    ]
    assert after(argv, "-map") == ["[out0]", "0:a:0", "[out1]", "0:a:0"]
    assert after(argv, "-b:v") == ["2000000", "500000"]
    assert after(argv, "-maxrate") == ["3000000", "750000"]
    assert after(argv, "-b:a") == ["128000", "64000"]

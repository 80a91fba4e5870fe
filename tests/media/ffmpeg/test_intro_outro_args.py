"""How stings and cards get the talk's frame and format, as tables."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from vidd.media.branding.intro_outro import IntroOutro, PlacedClip
from vidd.media.ffmpeg import colours
from vidd.media.ffmpeg.args import intro_outro
from vidd.media.ffmpeg.args.audio_mix import FullTrack, SurroundingAudio, channel_layout, mix_graph
from vidd.media.ffmpeg.args.edge import VideoFormat
from vidd.media.ffmpeg.args.intro_outro import AudioSpan, Clip, ClipFormat, fit_size
from vidd.model.media import Audio, Media, Video

TALK = Video("h264", 1280, 720, 25.0)
STING = Media("mov", 5.0, 1, (Video("h264", 1920, 1080, 30.0),), (Audio("aac", 44100, 2),))
CLIP = Clip("sting before", Path("/s/sting.mp4"), 5.0, STING, digest="d1")
CARD = Clip("title card", Path("/j/card.png"), 4.0, fade=0.5)
FORM = ClipFormat(TALK, VideoFormat("h264", "yuv420p", 100), 12800, True, 20, "veryfast", parameter_set_id=28)


def after(argv: list[str], flag: str) -> list[str]:
    return [argv[place + 1] for place, word in enumerate(argv) if word == flag]


def filters(clip: Clip = CLIP, form: ClipFormat = FORM) -> str:
    return after(intro_outro.video_args(clip, Path("/j/out.mp4"), form), "-filter:v")[0]


@pytest.mark.parametrize(
    ("size", "frame", "wanted"),
    [
        ((1920, 1080), TALK, (1280, 720)),
        ((640, 480), TALK, (960, 720)),
        ((1080, 1920), TALK, (404, 720)),
        ((2000, 500), TALK, (1280, 320)),
        ((64, 64), replace(TALK, width=96, height=64), (64, 64)),
        # A portrait talk, stored lying on its side.
        ((1920, 1080), replace(TALK, rotation=90), (720, 404)),
        # Pixels that are shown wider than high.
        ((1024, 576), replace(TALK, width=720, height=576, aspect="64:45"), (720, 576)),
        ((768, 576), replace(TALK, width=720, height=576, aspect="64:45"), (540, 576)),
    ],
)
def test_a_sting_keeps_its_shape_in_the_talks_frame(size, frame, wanted):
    assert fit_size(Video("h264", *size, 25.0), frame) == wanted


def test_a_card_fills_the_frame():
    assert fit_size(None, TALK) == (1280, 720)
    assert fit_size(None, replace(TALK, rotation=270)) == (720, 1280)


def test_a_sting_gets_rate_size_colours_and_clock_of_the_talk():
    argv = intro_outro.video_args(CLIP, Path("/j/out.mp4"), replace(FORM, video=replace(TALK, colours=(1, 1, 1, 1))))
    assert after(argv, "-filter:v") == [
        (
            "fps=25:start_time=0,scale=1280:720:flags=bicubic,"
            "scale=in_color_matrix=bt709:out_color_matrix=bt709:out_range=limited,format=yuv420p,setsar=1/1,"
            "setparams=color_primaries=1:color_trc=1:colorspace=1:range=1"
        )
    ]
    assert after(argv, "-x264-params") == ["sps-id=28:open-gop=0"]
    assert after(argv, "-video_track_timescale") == ["12800"]
    assert after(argv, "-t") == ["5"]


def test_what_does_not_fill_the_frame_is_padded_and_lies_as_the_talk_is_stored():
    turned = replace(FORM, video=replace(TALK, rotation=90))
    assert "scale=720:404" in filters(form=turned)
    assert "pad=720:1280:(ow-iw)/2:(oh-ih)/2,transpose=cclock,setsar=1/1" in filters(form=turned)
    assert "hflip,vflip" in filters(form=replace(FORM, video=replace(TALK, rotation=180)))
    assert "transpose=clock" in filters(form=replace(FORM, video=replace(TALK, rotation=270)))


def test_in_a_talk_of_varying_rate_a_sting_keeps_its_own():
    assert "fps=" not in filters(form=replace(FORM, video=replace(TALK, variable=True)))
    assert replace(FORM, video=replace(TALK, rate=30000 / 1001)).rate == Fraction(30000, 1001)


def test_a_card_is_shown_as_many_pictures_as_its_time_has_and_fades():
    argv = intro_outro.video_args(CARD, Path("/j/out.mp4"), FORM)
    assert after(argv, "-frames:v") == ["100"]
    assert after(argv, "-framerate") == ["25"]
    assert "fade=t=in:st=0:d=0.5,fade=t=out:st=3.5:d=0.5" in after(argv, "-filter:v")[0]
    assert after(argv, "-i") == ["file:/j/card.png"]


@pytest.mark.parametrize(
    ("video", "wanted"),
    [
        (TALK, "bt709"),
        (replace(TALK, height=576), "bt601"),
        (replace(TALK, colours=(9, 16, 9, 1)), "bt2020"),
        (replace(TALK, height=576, colours=(1, 1, 1, 1)), "bt709"),
    ],
)
def test_colours_that_a_stream_does_not_name_are_what_players_take_them_for(video, wanted):
    assert colours.matrix(video) == wanted


def test_in_a_talk_of_high_dynamic_range_white_is_not_the_brightest_there_is():
    pq = replace(TALK, colours=(9, 16, 9, 1), pixel_format="yuv420p10le")
    assert colours.match_filters(pq, None) == [
        "format=gbrp,zscale=min=gbr:tin=iec61966-2-1:pin=709:rin=full:m=2020_ncl:t=smpte2084:p=2020:r=limited:npl=203"
    ]
    hlg = replace(pq, colours=(9, 18, 9, 1))
    assert "t=arib-std-b67" in colours.match_filters(hlg, TALK)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"video": replace(TALK, width=640)},
        {"video": replace(TALK, rotation=90)},
        {"video": replace(TALK, rate=30.0)},
        {"video": replace(TALK, colours=(1, 1, 1, 1))},
        {"look": VideoFormat("hevc", "yuv420p", 0)},
        {"scale": 90000},
        {"crf": 21},
        {"preset": "fast"},
        {"parameter_set_id": 29},
        {"reordered": False},
    ],
)
def test_a_sting_is_made_anew_for_every_format(change):
    assert replace(FORM, **change).to_json(CLIP) != FORM.to_json(CLIP)
    assert FORM.to_json(replace(CLIP, digest="d2")) != FORM.to_json(CLIP)


def test_the_sound_of_clips_has_as_many_samples_as_their_pictures_last():
    argv = intro_outro.audio_args(
        [AudioSpan(CLIP, 240_000), AudioSpan(CARD, 96_000)], Path("/j/before.wav"), rate=48000, layout="stereo"
    )
    assert after(argv, "-filter_complex") == [
        (
            "[0:a:0]aresample=async=1:min_hard_comp=0.02:first_pts=0,aresample=48000,aformat=channel_layouts=stereo,apad=whole_len=240000,"
            "atrim=end_sample=240000,aformat=sample_fmts=flt[s0];"
            "anullsrc=sample_rate=48000:channel_layout=stereo,apad=whole_len=96000,atrim=end_sample=96000,"
            "aformat=sample_fmts=flt[s1];[s0][s1]concat=n=2:v=0:a=1[out]"
        )
    ]


def test_a_sting_without_sound_is_silent():
    silent = replace(CLIP, media=replace(STING, audio=(Audio("unknown", 0, 0),)))
    argv = intro_outro.audio_args([AudioSpan(silent, 10)], Path("/j/before.wav"), rate=48000, layout="mono")
    assert "-i" not in argv
    assert after(argv, "-filter_complex")[0].startswith("anullsrc=")


@pytest.mark.parametrize(
    ("name", "channels", "wanted"),
    [("5.1(side)", 6, "5.1(side)"), ("", 2, "stereo"), ("2 channels", 2, "stereo"), ("", 6, "5.1"), ("", 12, "12c")],
)
def test_channels_without_a_name_get_the_usual_one(name, channels, wanted):
    assert channel_layout(name, channels) == wanted


def test_a_track_that_is_encoded_whole_has_what_is_around_the_talk_in_one_piece_with_it():
    tracks = [
        FullTrack(0, 480_000, 48000, "stereo", ("volume=3.00dB",), SurroundingAudio(Path("/b.wav"), Path("/a.wav"))),
        FullTrack(2, 441_000, 44100, "mono", (), SurroundingAudio(Path("/b2.wav"))),
        FullTrack(3, 441_000, 44100, "mono"),
    ]
    graph = mix_graph(tracks, ["atrim=start=1"], 0)
    assert after(graph.inputs, "-i") == ["file:/b.wav", "file:/a.wav", "file:/b2.wav"]
    assert after(graph.args, "-filter_complex")[0].split(";") == [
        (
            "[0:a:0]atrim=start=1,volume=3.00dB,aformat=sample_rates=48000:channel_layouts=stereo,apad=whole_len=480000,"
            "atrim=end_sample=480000[talk0]"
        ),
        "[1:a:0][talk0][2:a:0]concat=n=3:v=0:a=1[out0]",
        (
            "[0:a:2]atrim=start=1,aformat=sample_rates=44100:channel_layouts=mono,apad=whole_len=441000,"
            "atrim=end_sample=441000[talk1]"
        ),
        "[3:a:0][talk1]concat=n=2:v=0:a=1[out1]",
        "[0:a:3]atrim=start=1[out2]",
    ]
    assert after(graph.args, "-map") == ["[out0]", "[out1]", "[out2]"]


def test_the_record_says_where_each_part_lies():
    def shown(clip: Clip, at: int, ticks: int) -> PlacedClip:
        return PlacedClip(clip, clip.path, (0, 1, 1), at, ticks, 7)

    around = IntroOutro(100, 900, 2000, (shown(CLIP, 0, 500), shown(CARD, 500, 400)), (shown(CLIP, 2000, 500),))
    assert around.joins == (5.0, 9.0, 20.0)
    assert (around.total, around.frames, around.samples(48000)) == (2500, 21, 528_000)
    assert [(part["part"], part["at"], part["seconds"]) for part in around.to_json()] == [
        ("sting before", 0.0, 5.0),
        ("title card", 5.0, 4.0),
        ("talk", 9.0, 11.0),
        ("sting before", 20.0, 5.0),
    ]
    bare = IntroOutro(100, 0, 1100)
    assert (bare.joins, bare.total, bare.frames) == ((), 1100, 0)

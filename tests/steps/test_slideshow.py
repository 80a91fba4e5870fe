"""Slideshows in every format, measured on the files."""

import asyncio
import wave
from dataclasses import replace
from itertools import pairwise
from math import cos, log10, pi, sin

import av
import pytest
from builders.slides import GREYS, picture, slides_step, with_voice
from footage import clips
from PIL import Image
from pydantic import ValidationError

from vidd.errors import FaultCode, Refused
from vidd.pipelines.registry import STEPS
from vidd.steps import slideshow

pytestmark = pytest.mark.media

ALL = ("mp4", "webm", "av1", "ogg")
FILES = dict(zip(ALL, ("slideshow.mp4", "slideshow.webm", "slideshow-av1.mp4", "slideshow.ogg"), strict=True))


def options(**more):
    return slideshow.Options.model_validate(more)


async def make(context, **more):
    return await slideshow.run(options(**more), context)


def greys(path):
    """(seconds, brightness from 0 to 255, whether it is a keyframe) of each frame."""
    with av.open(str(path)) as file:
        return [(frame.time, level(frame), frame.key_frame) for frame in file.decode(video=0)]


def level(frame):
    grey = frame.reformat(format="gray").to_ndarray()
    return grey[frame.height // 2, frame.width // 2]


def streams(path):
    with av.open(str(path)) as file:
        return [stream.codec_context.codec.canonical_name for stream in file.streams]


def starts(path):
    """When the frames begin that differ from the one before, and how many frames there are."""
    frames = greys(path)
    found = [now[0] for before, now in pairwise(frames) if abs(int(before[1]) - int(now[1])) > 20]
    return [frames[0][0], *found], len(frames)


async def test_every_format_has_its_codec_size_length_and_frames(tmp_path):
    _, context = slides_step(tmp_path)
    outcome = await make(context, formats=ALL, seconds=0.5)
    videos = {artifact.role: artifact for artifact in outcome.artifacts if artifact.media}
    assert {role: (video.path, video.content_type) for role, video in videos.items()} == {
        "slideshow-mp4": ("slideshow.mp4", "video/mp4"),
        "slideshow-webm": ("slideshow.webm", "video/webm"),
        "slideshow-av1": ("slideshow-av1.mp4", "video/mp4"),
        "slideshow-ogg": ("slideshow.ogg", "video/ogg"),
    }
    shown = [video.media.video[0] for video in videos.values()]
    assert [video.codec for video in shown] == ["h264", "vp9", "av1", "theora"]
    assert {(video.display_size, video.pixel_format, video.variable) for video in shown} == {
        ((160, 120), "yuv420p", False)
    }
    assert [video.media.duration for video in videos.values()] == pytest.approx([1.5] * 4, abs=0.001)
    assert [len(greys(tmp_path / file)) for file in FILES.values()] == [45, 45, 45, 3]
    assert outcome.facts == {"slides": 3, "duration": 1.5, "frames": 45, "formats": list(ALL), "left_out": []}
    assert set(outcome.facts) == STEPS["slideshow"].facts
    assert {artifact.role for artifact in outcome.artifacts} <= slideshow.roles(options())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["cards", "poster.jpg", *FILES.values()])


async def test_h264_is_what_every_player_plays(tmp_path):
    _, context = slides_step(tmp_path, 1)
    outcome = await make(context, seconds=0.2)
    (video,) = outcome.artifacts[0].media.video
    assert video.colours == (1, 1, 1, 1)
    data = (tmp_path / "slideshow.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    at = data.index(b"avcC") + 4
    assert data[at + 1] == 100  # High
    assert streams(tmp_path / "slideshow.mp4") == ["h264"]


@pytest.mark.parametrize("seconds", [0.25, 0.37])
async def test_a_slide_begins_with_a_keyframe_where_its_time_is_also_if_that_is_no_whole_frame(tmp_path, seconds):
    _, context = slides_step(tmp_path, 5)
    await make(context, formats=ALL, seconds=seconds)
    for name in FILES.values():
        begun, frames = starts(tmp_path / name)
        assert begun == pytest.approx([slide * seconds for slide in range(5)], abs=0.5 / 30 + 0.001)
        last, _, _ = greys(tmp_path / name)[-1]
        assert last * frames / (frames - 1) == pytest.approx(5 * seconds, abs=0.5 / 30 + 0.001)
        keys = {round(time, 2) for time, _, key in greys(tmp_path / name) if key}
        assert {round(time, 2) for time in begun} <= keys
    assert len(greys(tmp_path / "slideshow.mp4")) == round(5 * seconds * 30)


async def test_slides_keep_their_colours_in_every_format(tmp_path):
    def pictures(cards):
        Image.new("RGB", (64, 48), (200, 30, 60)).save(cards / "a.png")

    _, context = slides_step(tmp_path, pictures=pictures)
    await make(context, formats=ALL, seconds=0.2)
    for name in FILES.values():
        # As players do it that get no word on colours: BT.601 below 720 lines.
        seen = tmp_path / f"{name}.png"
        clips.ffmpeg("-i", tmp_path / name, "-frames:v", 1, seen)
        assert Image.open(seen).convert("RGB").getpixel((32, 24)) == pytest.approx((200, 30, 60), abs=6)


async def test_a_crossfade_blends_at_the_end_of_a_slide_and_the_whole_stays_as_long(tmp_path):
    _, context = slides_step(tmp_path, 3)
    outcome = await make(context, seconds=1, crossfade=0.5, fps=20, formats=["mp4"])
    frames = greys(tmp_path / "slideshow.mp4")
    assert (len(frames), outcome.artifacts[0].media.duration) == (60, pytest.approx(3))
    levels = [int(grey) for _, grey, _ in frames]
    assert levels[:11] == pytest.approx([GREYS[0]] * 11, abs=4)
    assert levels[20:31] == pytest.approx([GREYS[1]] * 11, abs=4)
    assert levels[40:] == pytest.approx([GREYS[2]] * 20, abs=4)
    assert levels[10:20] == pytest.approx([GREYS[0] + 5 * step for step in range(10)], abs=5)
    assert {20, 40} <= {number for number, (_, _, key) in enumerate(frames) if key}


async def test_ogg_has_the_same_slides_at_the_same_times_without_blends(tmp_path):
    _, context = slides_step(tmp_path, 3, size=(32, 32))
    await make(context, seconds=2.5, crossfade=1, formats=["ogg"])
    frames = greys(tmp_path / "slideshow.ogg")
    assert [time for time, _, _ in frames] == pytest.approx([0, 1.25, 2.5, 3.75, 5, 6.25])
    assert [int(grey) for _, grey, _ in frames] == pytest.approx([grey for grey in GREYS[:3] for _ in range(2)], abs=4)
    assert all(key for _, _, key in frames)


async def test_one_slide_and_a_thousand(tmp_path):
    _, one = slides_step(tmp_path / "one", 1, size=(32, 32))
    outcome = await make(one, seconds=3, crossfade=1)
    assert (outcome.facts["slides"], len(greys(one.directory / "slideshow.mp4"))) == (1, 90)
    _, many = slides_step(tmp_path / "many", 1000, size=(32, 32))
    outcome = await make(many, seconds="40ms", fps=25)
    assert (outcome.facts["slides"], outcome.facts["frames"]) == (1000, 1000)
    assert outcome.artifacts[0].media.duration == pytest.approx(40)
    begun, _ = starts(many.directory / "slideshow.mp4")
    assert len(begun) == 1000


async def test_what_the_job_asks_for_counts_more_than_the_options(tmp_path):
    _, context = slides_step(tmp_path, 2, facts={"seconds": 0.2, "formats": ["webm"]})
    outcome = await make(context, seconds=1, crossfade=0.5, formats=["mp4", "ogg"])
    assert (outcome.facts["formats"], outcome.facts["duration"]) == (["webm"], 0.4)
    assert not (tmp_path / "slideshow.mp4").exists()


@pytest.mark.parametrize(
    "facts",
    [
        {"seconds": float("nan")},
        {"seconds": 0},
        {"seconds": -3},
        {"seconds": 1e9},
        {"seconds": 0.01},
        {"seconds": "soon"},
        {"seconds": [3]},
        {"formats": ["exe"]},
        {"formats": []},
        {"formats": "mp4"},
    ],
)
async def test_what_a_job_cannot_mean_is_refused(tmp_path, facts):
    _, context = slides_step(tmp_path, 2, facts=facts)
    with pytest.raises(Refused, match=f"The job asks for slides that cannot be made .{next(iter(facts))}"):
        await make(context)
    assert [path.name for path in tmp_path.iterdir()] == ["cards"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": float("nan")},
        {"seconds": 0},
        {"seconds": "-1s"},
        {"seconds": 0.01},
        {"crossfade": 4},
        {"crossfade": float("inf")},
        {"formats": []},
        {"formats": ["exe"]},
        {"fps": 0},
        {"size": "641x480"},
        {"size": "0x480"},
        {"background": "red"},
        {"ducking": -1},
        {"slides": 3},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(ValidationError):
        options(**wrong)


async def test_a_hole_or_a_damaged_picture_is_refused_by_name_and_nothing_is_left(tmp_path):
    def pictures(cards):
        for number in (1, 2):
            picture(cards / f"{number:04d}.png")
        (cards / "0002.png").write_bytes((cards / "0002.png").read_bytes()[:90])

    _, context = slides_step(tmp_path, pictures=pictures)
    with pytest.raises(Refused, match=r"The picture '0002\.png' of 'cards' cannot be read"):
        await make(context)
    assert [path.name for path in tmp_path.iterdir()] == ["cards"]
    picture(tmp_path / "cards/0003.png")
    with pytest.raises(Refused, match="The files of 'cards' are not those that the step before this one left"):
        await make(context)


async def test_files_that_are_no_pictures_are_left_out_with_a_note(tmp_path):
    def pictures(cards):
        picture(cards / "a.png")
        (cards / "about.txt").write_text("x")

    _, context = slides_step(tmp_path, pictures=pictures)
    outcome = await make(context, seconds=0.2)
    assert outcome.facts["left_out"] == [{"name": "files", "why": "1 are no pictures by their names."}]


async def test_the_poster_is_the_first_picture_at_the_size_of_the_video(tmp_path):
    _, context = slides_step(tmp_path)
    outcome = await make(context, seconds=0.2, size="64x64", background="#ffffff")
    poster = outcome.artifacts[-1]
    assert (poster.role, poster.path, poster.content_type) == ("poster", "poster.jpg", "image/jpeg")
    with Image.open(tmp_path / "poster.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (64, 64))
        assert image.getpixel((32, 2))[0] > 240
        assert image.getpixel((32, 32))[0] == pytest.approx(GREYS[0], abs=4)


async def test_an_ffmpeg_without_svt_makes_av1_by_libaom(tmp_path):
    other = tmp_path / "ffmpeg"
    other.write_text(
        f'#!/bin/sh\n[ "$2" != -encoders ] && exec "{clips.FFMPEG}" "$@"\n"{clips.FFMPEG}" "$@" | grep -v svt\n'
    )
    other.chmod(0o755)
    _, context = slides_step(tmp_path / "job", 2, size=(64, 64))
    tools = replace(context.tools, encoder=replace(context.tools.encoder, path=other))
    outcome = await make(replace(context, tools=tools), formats=["av1"], seconds=0.2)
    assert outcome.artifacts[0].media.video[0].codec == "av1"


async def test_an_ffmpeg_without_the_encoder_is_named_by_check_and_by_the_job(tmp_path):
    poor = tmp_path / "ffmpeg"
    poor.write_text(f'#!/bin/sh\n"{clips.FFMPEG}" "$@" | grep -v -e libsvtav1 -e libaom-av1 -e librav1e\n')
    poor.chmod(0o755)
    _, context = slides_step(tmp_path / "job", 1, facts={"formats": ["av1"]})
    tools = replace(context.tools, encoder=replace(context.tools.encoder, path=poor))
    assert "has what" in await slideshow.check(options(), tools)
    with pytest.raises(Refused, match=r"no encoder for av1 \(libsvtav1 or libaom-av1\)") as refused:
        await slideshow.check(options(formats=["mp4", "av1"]), tools)
    assert refused.value.code is FaultCode.NOT_INSTALLED
    with pytest.raises(Refused, match=r"no encoder for av1"):
        await make(replace(context, tools=tools))


async def test_a_format_that_was_finished_before_a_kill_is_not_made_again(tmp_path):
    watched, context = slides_step(tmp_path)
    begun = asyncio.Event()

    def progress(done, total, unit, speed):
        if unit == "s" and done > total / 2:
            begun.set()

    attempt = asyncio.create_task(make(replace(context, progress=progress), formats=["mp4", "ogg"], seconds=0.5))
    async with asyncio.timeout(60):
        await begun.wait()
    attempt.cancel()
    await asyncio.wait({attempt})
    made = tmp_path / ".slideshow/slideshow.mp4"
    before = made.stat().st_ino
    await make(context, formats=["mp4", "ogg"], seconds=0.5)
    assert (tmp_path / "slideshow.mp4").stat().st_ino == before
    assert not (tmp_path / ".slideshow").exists()
    # With other settings all is made again.
    await make(context, formats=["mp4"], seconds=0.2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cards", "poster.jpg", "slideshow.mp4"]
    assert watched.events


async def test_progress_is_of_all_formats_together(tmp_path):
    watched, context = slides_step(tmp_path)
    await make(context, formats=["mp4", "webm"], seconds=0.5)
    pictures = [(done, total) for done, total, unit, _ in watched.progress if unit == "pictures"]
    seconds = [done for done, total, unit, _ in watched.progress if unit == "s" and total == pytest.approx(3)]
    assert pictures == [(1, 3), (2, 3), (3, 3)]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(3, abs=0.2)


# ---- music and voice


def tone(path, seconds, frequency=440, level=0.5):
    words = f"sine=frequency={frequency}:duration={seconds}:sample_rate=44100,volume={level * 8}"
    clips.ffmpeg("-f", "lavfi", "-i", words, path)
    return path


AUDIO = {"mp4": "aac", "webm": "opus", "av1": "aac", "ogg": "vorbis"}


async def test_music_is_looped_and_cut_to_the_length_and_fades(tmp_path):
    music = tone(tmp_path / "music.mp3", 1.3)
    _, context = slides_step(tmp_path / "job", 4, size=(32, 32))
    outcome = await make(context, formats=ALL, seconds=1, music=str(music), music_fade="500ms")
    for name, artifact in zip(ALL, outcome.artifacts, strict=False):
        path = context.directory / FILES[name]
        (audio,) = artifact.media.audio
        assert (audio.codec, audio.channels, audio.rate) == (AUDIO[name], 2, 48000)
        assert artifact.media.duration == pytest.approx(4, abs=1 / 30)
        assert len(clips.sound(path)) / 48000 == pytest.approx(4, abs=0.03)
        middle = [clips.loudness(path, at) for at in (1.0, 2.0, 3.0)]
        assert min(middle) > 0.8 * max(middle)
        assert max(clips.loudness(path, 0.05), clips.loudness(path, 3.95)) < 0.3 * min(middle)


async def test_longer_music_ends_with_the_pictures(tmp_path):
    music = tone(tmp_path / "music.wav", 5)
    _, context = slides_step(tmp_path / "job", 2)
    await make(context, seconds=0.5, music=str(music), music_fade=0)
    assert len(clips.sound(context.directory / "slideshow.mp4")) / 48000 == pytest.approx(1, abs=0.03)


def band(path, at, frequency):
    """How loud one frequency is in a tenth of a second around a time."""
    samples = clips.sound(path)[round((at - 0.05) * 48000) : round((at + 0.05) * 48000)]
    turn = 2 * pi * frequency / 48000
    real = sum(sample * cos(turn * number) for number, sample in enumerate(samples))
    imaginary = sum(sample * sin(turn * number) for number, sample in enumerate(samples))
    return (real**2 + imaginary**2) ** 0.5 / len(samples) / 16384


@pytest.mark.parametrize("loud", [0.05, 0.4])
async def test_music_gives_way_to_the_voice_by_what_is_set_however_loud_the_voice_is(tmp_path, loud):
    music = tone(tmp_path / "music.wav", 3, 440, 0.2)
    _, context = slides_step(tmp_path / "job", 3, size=(32, 32))
    # Speech from 2 s to 4 s, between silences.
    voice = context.directory / "voice.wav"
    clips.ffmpeg("-f", "lavfi", "-i", f"aevalsrc='{loud}*sin(2*PI*1500*t)*between(t,2,4)':s=48000:d=5", voice)
    spoken = with_voice(context, voice)
    await make(spoken, seconds=2, music=str(music), music_fade=0, voice="voice", ducking="12 dB", formats=["mp4"])
    path = context.directory / "slideshow.mp4"
    alone, under, after = (band(path, at, 440) for at in (1.0, 3.5, 5.8))
    assert 20 * log10(under / alone) == pytest.approx(-12, abs=1.5)
    assert 20 * log10(after / alone) == pytest.approx(0, abs=1)
    # In the middle between two loudspeakers, each plays 3 dB less.
    assert band(path, 3.5, 1500) == pytest.approx(loud / 2**0.5, rel=0.1)


async def test_a_voice_alone_is_followed_by_silence_and_one_that_would_be_cut_off_is_refused(tmp_path):
    _, context = slides_step(tmp_path / "job", 2, size=(32, 32))
    voice = tone(context.directory / "voice.wav", 0.5)
    await make(with_voice(context, voice), seconds=0.5, voice="voice")
    path = context.directory / "slideshow.mp4"
    assert (clips.loudness(path, 0.25) > 0.1, clips.loudness(path, 0.9) < 0.001) == (True, True)
    with pytest.raises(
        Refused, match=r"The voice speaks for 0\.50 s and the 2 pictures last 0\.40 s: show each for 0\.25 s"
    ):
        await make(with_voice(context, voice), seconds=0.2, voice="voice")


async def test_music_that_cannot_be_played_is_named_by_check(tmp_path):
    _, context = slides_step(tmp_path / "job", 1)
    (tmp_path / "a.mp3").write_text("x")
    with pytest.raises(Refused, match=r"The music 'a\.mp3' cannot be read as audio"):
        await slideshow.check(options(music=str(tmp_path / "a.mp3")), context.tools)
    with wave.open(str(tmp_path / "short.wav"), "wb") as short:
        short.setparams((1, 2, 48000, 0, "NONE", ""))
        short.writeframes(bytes(4800))
    with pytest.raises(Refused, match=r"The music 'short\.wav' is shorter than a second"):
        await slideshow.check(options(music=str(tmp_path / "short.wav")), context.tools)

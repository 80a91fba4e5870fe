"""Cutting a talk out of a recording, measured on real media."""

import math
from pathlib import Path

import pytest
from footage import clips

from vidd.errors import Refused
from vidd.model.event import EncodeCount, EncodeEnded
from vidd.model.media import Outcome
from vidd.model.talk import Talk
from vidd.pipelines.registry import STEPS
from vidd.ports import Encoder
from vidd.steps import trim

pytestmark = pytest.mark.media


def name(start: int, end: int) -> str:
    return f"main_0badcafe_0000{start:02}_0000{end:02}.mp4"


LANES = ["auto"]


@pytest.fixture(params=["auto", "full"], autouse=True)
def lane(request):
    """Whatever way it is made, a cut is the same to whoever sees it."""
    LANES[0] = request.param
    return request.param


async def cut(source: Path, start: float, end: float, *, fade: float = 0.0, **options) -> Path:
    watched = clips.Watched(source.parent, source, name="x.mp4", facts={"start": start, "end": end})
    outcome = await trim.run(trim.Options(fade=fade, crf=10, **{"lane": LANES[0], **options}), watched.context)
    assert set(outcome.facts) <= STEPS["trim"].facts
    return source.parent / outcome.artifacts[0].path


def expected(count: int, rate: float, start: float, end: float) -> list[int]:
    return [number for number in range(count) if start <= number / rate + 1e-9 and number / rate + 1e-9 < end]


async def test_a_cut_of_25_pictures_a_second_has_exactly_the_pictures_between_its_times(tmp_path):
    made = await cut(clips.recording(tmp_path / "in.mp4"), 1, 3)
    assert clips.numbers(made) == list(range(25, 75))


async def test_a_cut_at_odd_milliseconds_starts_with_the_first_picture_after_them(tmp_path):
    made = await cut(clips.recording(tmp_path / "in.mp4"), 1.337, 2.901)
    assert clips.numbers(made) == expected(100, 25, 1.337, 2.901)


async def test_a_cut_of_29_97_pictures_a_second_is_frame_exact(tmp_path):
    made = await cut(clips.recording(tmp_path / "in.mp4", rate="30000/1001"), 1, 3)
    assert clips.numbers(made) == expected(120, 30000 / 1001, 1, 3)


async def test_a_cut_of_a_varying_rate_keeps_each_picture_and_its_time(tmp_path):
    dropping = clips.NUMBERED + ",select='gt(mod(n,7),1)*gt(mod(n,11),3)'"
    source = clips.recording(tmp_path / "in.mp4", rate="30", picture=dropping)
    kept = [number for number in range(120) if number % 7 > 1 and number % 11 > 3]
    made = await cut(source, 1, 3)
    wanted = [number for number in kept if 1 <= number / 30 < 3]
    assert clips.numbers(made) == wanted
    times = [time for time, _ in clips.pictures(made)]
    assert times == pytest.approx([number / 30 - 1 for number in wanted], abs=0.001)


@pytest.mark.parametrize("container", ["ts", "mkv", "avi", "mov"])
async def test_a_cut_is_frame_exact_in_every_container(tmp_path, container):
    special = {
        "ts": ("-output_ts_offset", "100"),
        "avi": ("-c:v", "mjpeg", "-q:v", "2", "-bf", "0"),
        "mov": ("-bf", "3"),
    }
    source = clips.recording(tmp_path / f"in.{container}", output=special.get(container, ("-g", "25")))
    made = await cut(source, 2, 3)
    assert clips.numbers(made) == start_of(source, 2, 3)


def start_of(source: Path, start: float, end: float) -> list[int]:
    # Of a file whose sound starts before its picture the times count from the sound.
    times = clips.pictures(source)
    return [clips.number(frame) for time, frame in times if start <= time + 1e-6 < end]


async def test_a_transport_stream_with_keyframes_far_apart_loses_no_picture(tmp_path):
    source = clips.recording(tmp_path / "in.ts", seconds=14, output=("-g", "300", "-keyint_min", "300", "-bf", "2"))
    made = await cut(source, 11, 13)
    assert clips.numbers(made) == start_of(source, 11, 13)


async def test_a_cut_lasts_as_long_as_was_asked(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", rate="30000/1001")
    watched = clips.Watched(tmp_path, source, name=name(1, 3))
    outcome = await trim.run(trim.Options(fade=0), watched.context)
    talk = outcome.artifacts[0]
    assert talk.media.duration == pytest.approx(2, abs=1001 / 30000)
    assert talk.facts["check"]["frames"] == 60
    assert (talk.role, talk.path, talk.size) == ("talk", "talk.mp4", (tmp_path / "talk.mp4").stat().st_size)


async def test_a_fade_reaches_full_luma_and_leaves_it_again(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=10, picture=clips.GREY)
    luma = {round(time, 2): clips.brightness(frame) for time, frame in clips.pictures(await cut(source, 1, 9, fade=3))}
    full, black = 180, 16
    for time, share in {
        0.0: 0,
        0.76: 0.76 / 3,
        1.52: 1.52 / 3,
        3.0: 1,
        4.0: 1,
        5.0: 1,
        6.48: 1.52 / 3,
        7.96: 0.04 / 3,
    }.items():
        assert luma[time] == pytest.approx(black + (full - black) * share, abs=3), time


async def test_the_sound_fades_with_the_picture(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=10, picture=clips.GREY)
    full = clips.loudness(source, 5)
    made = await cut(source, 1, 9, fade=3)
    for time, share in {0.05: 0.02, 1.5: 0.5, 3.1: 1, 4.0: 1, 4.9: 1, 6.5: 0.5, 7.95: 0.02}.items():
        assert clips.loudness(made, time) == pytest.approx(full * share, abs=0.02 * full), time


async def test_the_fades_of_a_short_talk_meet_in_its_middle(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", picture=clips.GREY)
    watched = clips.Watched(tmp_path, source, name=name(1, 3))
    outcome = await trim.run(trim.Options(), watched.context)
    assert outcome.facts["fade"] == 1.0
    luma = [clips.brightness(frame) for _, frame in clips.pictures(tmp_path / "talk.mp4")]
    assert luma[0] == pytest.approx(16, abs=2)
    assert max(luma) == pytest.approx(180, abs=4)
    assert luma.index(max(luma)) in range(23, 28)
    assert luma[-1] < 30


@pytest.mark.parametrize("turned", [90, 180, 270])
async def test_rotation_goes_into_the_pixels(tmp_path, turned):
    # Bright on the left of the stored picture; turned clockwise by 90 degrees, the left side comes to the top.
    upright = clips.recording(tmp_path / "upright.mp4", picture="geq=lum='if(lt(X,W/2),200,50)':cb=128:cr=128")
    clips.ffmpeg("-display_rotation", -turned, "-i", upright, "-c", "copy", tmp_path / "in.mp4")
    made = await cut(tmp_path / "in.mp4", 0, 1, lane="full")
    _, frame = clips.pictures(made)[0]
    assert frame.rotation == 0
    assert (frame.width, frame.height) == ((64, 96) if turned % 180 else (96, 64))
    plane, line = memoryview(frame.planes[0]), frame.planes[0].line_size
    where = {90: (frame.width // 2, 4), 180: (frame.width - 4, 32), 270: (frame.width // 2, frame.height - 4)}
    column, row = where[turned]
    assert plane[row * line + column] > 180


async def test_an_odd_size_loses_a_line_and_is_not_resampled(tmp_path):
    lossless = ("-pix_fmt", "yuv444p", "-c:v", "ffv1")
    source = clips.recording(tmp_path / "in.mkv", size="97x65", output=lossless)
    made = await cut(source, 1, 2)
    frames = clips.pictures(made)
    assert {(frame.width, frame.height) for _, frame in frames} == {(96, 64)}
    assert clips.numbers(made) == list(range(25, 50))


async def test_a_recording_without_sound_stays_without(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", tracks=0)
    watched = clips.Watched(tmp_path, source, name=name(1, 3))
    outcome = await trim.run(trim.Options(), watched.context)
    assert outcome.artifacts[0].media.audio == ()


async def test_every_sound_track_is_kept_and_fades(tmp_path):
    source = clips.recording(
        tmp_path / "in.mp4", tracks=3, output=("-metadata:s:a:1", "language=deu", "-movflags", "+faststart")
    )
    made = await cut(source, 0, 4, fade=1)
    watched = await trim.probe(clips.ENCODER, made)
    assert [track.language for track in watched.audio] == [None, "deu", None]
    for track in range(3):
        assert clips.loudness(made, 0.5, track) == pytest.approx(clips.loudness(source, 2, track) / 2, rel=0.06)


@pytest.mark.parametrize(("rate", "channels"), [(44100, 1), (44100, 2), (48000, 2)])
async def test_sound_keeps_its_rate_and_channels(tmp_path, rate, channels):
    source = clips.recording(
        tmp_path / "in.mp4", sound=f"sine=sample_rate={rate}", output=("-ac", channels, "-ar", rate)
    )
    sound = (await trim.probe(clips.ENCODER, await cut(source, 1, 3))).audio[0]
    assert (sound.rate, sound.channels) == (rate, channels)


async def test_sound_and_picture_stay_together(tmp_path):
    """A beep and a flash at the same moment of the source are at the same moment of the cut."""
    flash = "geq=lum='if(between(T,2.0,2.19),235,16)':cb=128:cr=128"
    beep = "aevalsrc='if(between(t,2,2.2),sin(6283*t),0)':sample_rate=48000"
    source = clips.recording(tmp_path / "in.mp4", picture=flash, sound=beep)
    made = await cut(source, 1.2, 3.5)
    seen = next(time for time, frame in clips.pictures(made) if clips.brightness(frame) > 120)
    heard = next(at / 48000 for at, level in enumerate(clips.sound(made)) if abs(level) > 3000)
    assert abs(seen - heard) < 0.02
    assert seen == pytest.approx(0.8, abs=0.001)


async def test_sound_that_starts_late_comes_no_earlier(tmp_path):
    source = tmp_path / "in.mkv"
    silent = clips.recording(tmp_path / "silent.mp4", tracks=0)
    clips.ffmpeg(
        *("-i", silent, "-itsoffset", "1.5", "-f", "lavfi", "-i", "sine=duration=2.5:sample_rate=48000"),
        *("-c:v", "copy", "-c:a", "aac", source),
    )
    made = await cut(source, 1, 4)
    assert clips.loudness(made, 0.3) < 0.001
    assert clips.loudness(made, 0.7) > 0.05


async def test_the_place_and_the_chapters_of_a_recording_are_not_published(tmp_path):
    source = clips.recording(
        tmp_path / "in.mp4", output=("-metadata", "location=+53.3498-006.2603/", "-metadata", "comment=secret")
    )
    made = await cut(source, 0, 2)
    assert b"secret" not in made.read_bytes()
    assert b"53.3498" not in made.read_bytes()


async def test_progress_and_events_tell_of_the_run(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    watched = clips.Watched(tmp_path, source, name=name(1, 3))
    await trim.run(trim.Options(), watched.context)
    done, total, unit, _ = watched.progress[-1]
    assert (done, total, unit) == (pytest.approx(2, abs=0.1), 2, "s")
    assert [event.running for event in watched.events if isinstance(event, EncodeCount)] == [1, 0]
    (ended,) = [event for event in watched.events if isinstance(event, EncodeEnded)]
    assert ended.kind == "trim"
    assert ended.speed > 0
    # Read while it lived (see child.py): a run this short may have ended before it was looked at.
    assert 0 <= ended.cpu_seconds < 60


async def times(watched: clips.Watched) -> tuple[float, float]:
    outcome: Outcome = await trim.run(trim.Options(), watched.context)
    return outcome.facts["start"], outcome.facts["end"]


async def test_times_come_from_the_job_then_the_programme_then_the_name(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    talk = Talk("0badcafe", start=1.0, end=2.0)
    facts = {"start": 0.5, "end": 2.5}
    assert await times(clips.Watched(tmp_path, source, name=name(0, 3), talk=talk, facts=facts)) == (0.5, 2.5)
    assert await times(clips.Watched(tmp_path, source, name=name(0, 3), talk=talk)) == (1, 2)
    assert await times(clips.Watched(tmp_path, source, name=name(0, 3), talk=Talk("0badcafe"))) == (0, 3)
    assert await times(clips.Watched(tmp_path, source, name=name(0, 3), talk=Talk("0badcafe", start=2.0))) == (2, 4)


async def test_an_end_a_little_past_the_end_means_the_end(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=3.6)
    assert await times(clips.Watched(tmp_path, source, name=name(1, 4))) == (1, pytest.approx(3.6))


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [
        (1, 9, r"ends at 9 s, but the recording is only 4\.00 s long: correct the end"),
        (7, 9, "but the recording is only"),
        (3, 2, "starts at 3 s and ends at 2 s: correct its times"),
        (-1, 2, "starts at -1 s and ends at 2 s"),
        (4.1, 4.2, r"starts at 4\.1 s, where the recording ends"),
        (math.nan, 2, "starts at nan s"),
    ],
)
async def test_impossible_times_are_refused(tmp_path, start, end, sentence):
    source = clips.recording(tmp_path / "in.mp4")
    watched = clips.Watched(tmp_path, source, name="x\n.mp4", facts={"start": start, "end": end})
    with pytest.raises(Refused, match=r"The talk in 'x\\n\.mp4' " + ".*" + sentence):
        await trim.run(trim.Options(), watched.context)


async def test_a_talk_whose_times_nobody_gives_is_all_of_the_recording_with_a_note(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    watched = clips.Watched(tmp_path, source, name="talk.mp4", talk=Talk("0badcafe"))
    outcome = await trim.run(trim.Options(fade=0, crf=10, lane=LANES[0]), watched.context)
    assert clips.numbers(tmp_path / outcome.artifacts[0].path) == list(range(100))
    assert outcome.facts["notes"] == ["Nobody gave the talk's times, so it is all of the recording."]
    assert set(outcome.facts) <= STEPS["trim"].facts


async def test_times_in_the_name_that_are_none_are_refused(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    with pytest.raises(Refused, match="'0001' is no time HHMMSS"):
        await trim.run(trim.Options(), clips.Watched(tmp_path, source, name="Main_t1_0001_000003.mp4").context)


def cut_off(source: Path, target: Path) -> Path:
    data = source.read_bytes()
    target.write_bytes(data[: len(data) * 6 // 10])
    return target


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        ("mp4", "was cut off: its index lists .* send it again, whole"),
        ("mkv", r"only 1\.\d\d s could be made of the 3\.00 s wanted: the source is damaged or ends there"),
        ("ts", r"ends at 4 s, but the recording is only 2\.\d\d s long"),
    ],
)
async def test_a_recording_cut_off_at_sixty_percent_is_refused_and_leaves_nothing(tmp_path, container, sentence):
    whole = clips.recording(tmp_path / f"whole.{container}")
    source = cut_off(whole, tmp_path / f"in.{container}")
    watched = clips.Watched(tmp_path, source, name=name(1, 4))
    with pytest.raises(Refused, match=sentence):
        await trim.run(trim.Options(), watched.context)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, whole.name])


async def test_a_hole_in_the_middle_is_noticed(tmp_path):
    source = clips.recording(tmp_path / "in.ts", seconds=8, output=("-g", "25"))
    data = bytearray(source.read_bytes())
    size = len(data) // 188
    data[size * 4 // 10 * 188 : size * 6 // 10 * 188] = b""
    source.write_bytes(data)
    watched = clips.Watched(tmp_path, source, name=name(0, 7))
    with pytest.raises(Refused, match="damaged"):
        await trim.run(trim.Options(), watched.context)


async def test_what_a_killed_run_left_is_removed(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    (tmp_path / ".talk.0badcafe.part.mp4").write_bytes(b"half")
    room = tmp_path / ".talk.0badcafe.part.mp4.room"
    room.mkdir()
    (room / "head.mp4").write_bytes(b"half")
    await cut(source, 1, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "talk.mp4"]


async def test_a_file_name_that_looks_like_an_option_is_only_a_name(tmp_path):
    source = clips.recording(tmp_path / "in.mp4")
    odd = source.rename(tmp_path / "-y%03d:concat|x\n'ü.mp4")
    assert clips.numbers(await cut(odd, 1, 2)) == list(range(25, 50))


async def test_an_ffmpeg_that_can_do_it_passes_the_check(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.2)
    tools = clips.Watched(tmp_path, source, name="x").context.tools
    assert "has what cutting and encoding need" in await trim.check(trim.Options(), tools)


async def test_an_ffmpeg_that_is_none_fails_the_check(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.2)
    watched = clips.Watched(tmp_path, source, name="x", encoder=Encoder(Path("/bin/false")))
    with pytest.raises(Refused, match=r"/bin/false does not run"):
        await trim.check(trim.Options(), watched.context.tools)

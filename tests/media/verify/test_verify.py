"""The check of what ffmpeg made: exit code 0 is not success."""

from dataclasses import replace
from pathlib import Path

import pytest
from footage import clips

from vidd.errors import Refused
from vidd.files.atomic import commit
from vidd.media.ffmpeg.args.common import Cut
from vidd.media.probe.client import probe
from vidd.media.verify.verify import Expected, count_missing_frames, verify, video_end
from vidd.model.media import Media, Video

pytestmark = pytest.mark.media

WANTED = Expected(duration=2.0, total=2.0, width=96, height=64, tracks=1)


@pytest.fixture
def made(tmp_path) -> Path:
    return clips.recording(tmp_path / "out.mp4", seconds=2)


async def test_what_was_wanted_passes_and_leaves_a_record(made):
    media, check = await verify(clips.ENCODER, made, replace(WANTED, rate=25, bits=10**7), "talk.mp4", "a\nb")
    assert media.video[0].frames == 50
    assert check.to_json() == {
        "id": check.id,
        "wanted": 2.0,
        "duration": 2.0,
        "first": 0.0,
        "end": 2.0,
        "frames": 50,
        "pictures": 50,
        "size": made.stat().st_size,
        "sound": (2.0,),
        "decoded": check.decoded,
        "looked": 1,
        "apart": 1.96,
        "black": (),
        "frozen": (),
        "silent": ((),),
        "loudness": check.loudness,
        "offset": (),
        "lost": False,
        "damage": (),
        "joins": (),
        "complaints": ("a", "b"),
        "cpu": check.cpu,
    }
    assert check.decoded > 12
    # A tone whose peaks are at -18 dBFS has 3 dB less, and K-weighting takes 0.7 dB from 440 Hz on one channel.
    assert check.loudness[0]["integrated"] == pytest.approx(-21.7, abs=0.3)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"duration": 2.06}, r"only 2\.00 s could be made of the 2\.06 s wanted"),
        ({"duration": 1.94}, r"2\.00 s were made instead of 1\.94 s"),
        ({"total": 1.9}, r"2\.00 s were made instead of 1\.90 s"),
        ({"width": 98}, "size: wanted 98x64, got 96x64"),
        ({"tracks": 2}, "number of audio tracks: wanted 2, got 1"),
        ({"rate": 30}, "frame rate: wanted 30, got 25"),
        ({"bits": 8000}, "size in bytes at most: wanted 1000, got"),
        ({"codec": "hevc"}, "video codec: wanted hevc, got h264"),
        ({"frames": 51}, "has 50 frames instead of 51"),
        ({"audio_ends": (3.0,)}, r"\(track 1\) only 2\.00 s could be made of the 3\.00 s wanted"),
    ],
)
async def test_what_is_not_as_wanted_is_refused(made, wrong, sentence):
    with pytest.raises(Refused, match=sentence):
        await verify(clips.ENCODER, made, replace(WANTED, **wrong), "talk.mp4")


async def test_a_difference_of_one_picture_is_none(made):
    await verify(clips.ENCODER, made, replace(WANTED, duration=2.04), "talk.mp4")
    await verify(clips.ENCODER, made, replace(WANTED, duration=1.96), "talk.mp4")


@pytest.mark.parametrize("place", [0.06, 0.9])
async def test_damage_in_the_first_and_in_the_last_pictures_is_found(tmp_path, place):
    noise = "geq=lum='random(1)*255':cb=128:cr=128"
    made = clips.recording(tmp_path / "out.mp4", seconds=4, picture=noise, tracks=0)
    data = bytearray(made.read_bytes())
    at = int(len(data) * place)
    data[at : at + 4000] = bytes(4000)
    made.write_bytes(data)
    with pytest.raises(Refused, match="decode"):
        await verify(clips.ENCODER, made, replace(WANTED, duration=4.0, total=4.0, tracks=0), "talk.mp4")


async def test_no_picture_missing_in_a_cut_of_a_steady_rate_is_reckoned(tmp_path):
    video = Video("h264", 96, 64, 25.0)
    assert (
        await count_missing_frames(clips.ENCODER, tmp_path / "not looked at", video, Cut(1, 3), frames=50, name="x")
        == 0
    )


async def test_pictures_of_a_varying_rate_are_counted_in_the_source(tmp_path):
    picture = clips.GREY + ",select='gt(mod(n,7),1)'"
    source = clips.recording(tmp_path / "in.mp4", rate="30", picture=picture)
    video = (await probe(clips.ENCODER, source)).video[0]
    there = len([number for number in range(120) if number % 7 > 1 and 1 <= number / 30 < 3])
    assert await count_missing_frames(clips.ENCODER, source, video, Cut(1, 3), frames=there, name="x") == 0
    assert await count_missing_frames(clips.ENCODER, source, video, Cut(1, 3), frames=there - 1, name="x") == 1
    with pytest.raises(Refused, match=rf"5 of {there} frames from 1 s to 3 s could not be decoded"):
        await count_missing_frames(clips.ENCODER, source, video, Cut(1, 3), frames=there - 5, name="x")


def test_the_end_of_the_picture_is_counted_from_the_start_of_the_file():
    video = Video("h264", 96, 64, 25.0, duration=6.0, start=1.5)
    assert video_end(Media("mpegts", 7.0, 1, (video,), start=1.4)) == pytest.approx(6.1)
    assert video_end(Media("matroska", 7.0, 1, (replace(video, duration=None),))) == 7.0


async def test_a_checked_file_takes_the_place_of_an_older_one(tmp_path):
    (tmp_path / "part").write_bytes(b"new")
    (tmp_path / "final").write_bytes(b"old")
    await commit(tmp_path / "part", tmp_path / "final")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("final", b"new")]

"""Encoded parts that are put together into one file: no picture lost, no byte changed, and all of it decodes."""

import subprocess
from pathlib import Path

import av
import pytest
from footage import clips

from vidd.errors import RetryLater
from vidd.media.ffmpeg.args.common import Cut, CutSource, EncodeSettings
from vidd.media.probe.client import probe
from vidd.media.smartcut.concat import AudioPart, VideoPart, concatenate
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.smart_cut import smart_cut

pytestmark = pytest.mark.media

SCALE = 12800
SECOND = SCALE
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", 2, "-g", 20, "-video_track_timescale", SCALE)
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-video_track_timescale", SCALE)
QUIET = "log-level=error:wpp=0:info=0"


def part(path: Path, first: int, *, output: tuple, seconds: float = 1.0) -> Path:
    """A second of pictures, numbered from `first` on."""
    picture = clips.NUMBERED.replace("(N/", f"((N+{first})/")
    return clips.recording(path, seconds=seconds, picture=picture, tracks=0, output=output)


def complaints(path: Path) -> str:
    words = [clips.FFMPEG, "-v", "warning", "-i", path, "-f", "null", "-"]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stderr


def bytes_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


async def test_parts_that_were_encoded_alike_meet_without_a_lost_picture_or_a_changed_byte(tmp_path):
    files = [part(tmp_path / f"{number}.mp4", 25 * number, output=H264) for number in range(3)]
    sound = clips.recording(tmp_path / "sound.mp4", seconds=3)
    made = await concatenate(
        [VideoPart(path, at=number * SECOND) for number, path in enumerate(files)],
        [AudioPart(sound, 0, "deu")],
        tmp_path / "made.mp4",
        scale=SCALE,
        name="x",
    )
    path = tmp_path / "made.mp4"
    assert (made.frames, made.starts, made.joins) == ((25, 25, 25), (0.0, 1.0, 2.0), (1.0, 2.0))
    assert clips.numbers(path) == list(range(75))
    assert [time for time, _ in clips.pictures(path)] == pytest.approx([number / 25 for number in range(75)], abs=1e-6)
    assert bytes_of(path) == [byte for file in files for byte in bytes_of(file)]
    assert complaints(path) == ""
    media = await probe(clips.ENCODER, path)
    assert [(track.language, round(track.duration, 2)) for track in media.audio] == [("deu", 3.0)]
    assert media.duration == pytest.approx(3.0, abs=0.03)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_parts_of_other_settings_have_parameter_sets_of_their_own(tmp_path, codec):
    if codec == "h264":
        outputs = [
            (*H264, "-x264-params", "sps-id=5:ref=4:cabac=0"),
            H264,
            (*H264[:4], *H264[6:], "-bf", 0, "-x264-params", "sps-id=7"),
        ]
        names = [None, None, None]
    else:
        outputs = [(*HEVC, "-x265-params", f"{QUIET}:{more}") for more in ("ref=4:bframes=4", "bframes=2", "bframes=0")]
        names = [(1, 1, 29), None, (2, 2, 30)]
    files = [part(tmp_path / f"{number}.mp4", 25 * number, output=output) for number, output in enumerate(outputs)]
    parts = [VideoPart(path, at=at * SECOND, ids=names[at]) for at, path in enumerate(files)]
    path = tmp_path / "made.mp4"
    await concatenate(parts, [], path, scale=SCALE, name="x", like=1)
    assert clips.numbers(path) == list(range(75))
    assert complaints(path) == ""


async def test_a_talk_of_which_only_the_edges_were_encoded_gets_a_sting_before_it(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=8, output=(*H264, "-c:a", "aac"))
    media, talk = await probe(clips.ENCODER, source), tmp_path / "talk.mp4"
    made = await smart_cut(
        clips.ENCODER,
        CutSource(source, media, Cut(1.3, 6.5, 0)),
        talk,
        EncodeSettings(10, "ultrafast", 64_000, threads=1),
        clips.HOOKS,
        name="x",
    )
    assert made.plan.strategy == "edges"
    sting = part(tmp_path / "sting.mp4", 1000, output=(*H264, "-x264-params", "sps-id=5"))
    path = tmp_path / "made.mp4"
    await concatenate([VideoPart(sting), VideoPart(talk, at=SECOND)], [], path, scale=SCALE, name="x", like=1)
    assert clips.numbers(path) == [*range(1000, 1025), *range(33, 163)]
    assert complaints(path) == ""


async def test_parts_that_cannot_be_one_track_are_refused_with_a_sentence_and_leave_nothing(tmp_path):
    one = part(tmp_path / "one.mp4", 0, output=H264)
    like = part(tmp_path / "like.mp4", 25, output=(*H264, "-x264-params", "cabac=0:ref=4"))
    other = part(tmp_path / "other.mp4", 25, output=(*HEVC, "-x265-params", QUIET))
    sound = clips.recording(tmp_path / "sound.mp4", seconds=1)
    clips.ffmpeg("-i", sound, "-vn", "-c", "copy", tmp_path / "only.mp4")
    path = tmp_path / "made.mp4"
    for second, at, sentence in [
        (like, SECOND, "different parameter sets with the same id"),
        (other, SECOND, "different codecs"),
        (one, SECOND // 2, "do not come one after another"),
        (tmp_path / "only.mp4", SECOND, r"no video in only\.mp4"),
    ]:
        with pytest.raises(SmartCutUnavailable, match=sentence):
            await concatenate([VideoPart(one), VideoPart(second, at=at)], [], path, scale=SCALE, name="x")
        assert not path.exists()


async def test_a_full_disk_is_waited_for_and_says_nothing_about_the_parts(tmp_path):
    files = [part(tmp_path / f"{number}.mp4", 25 * number, output=H264) for number in range(2)]
    path = tmp_path / "made.mp4"
    path.symlink_to("/dev/full")
    with pytest.raises(RetryLater, match="disk was full while the parts were joined: free some space") as raised:
        await concatenate([VideoPart(files[0]), VideoPart(files[1], at=SECOND)], [], path, scale=SCALE, name="x")
    assert not raised.value.counts
    assert not path.is_symlink()

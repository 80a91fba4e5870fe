"""A long encode is made in segments: what comes out is what one piece would have been, and a restart makes only what is missing."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from footage import clips
from pydantic import ValidationError

from vidd.errors import Refused, RetryLater
from vidd.model.event import EncodeEnded
from vidd.ports import Encoder
from vidd.steps import transcode, trim

pytestmark = pytest.mark.media

# x264 makes a keyframe every 250 pictures here, so every ten seconds at 25 a second, and there a segment may end.
START, END = 1.337, 22.6
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", 10, "-c:a", "copy")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", 10, "-tag:v", "hvc1", "-c:a", "copy")
OPEN = (*X264, "-g", 25, "-x264-params", "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal")
VARYING = "select='gt(mod(n,7),1)'"
# How each source is made of the same recording, with the words before its name and after it.
READ_UP_TO = {
    "AVI": "found reliably only by reading up to it",
    "transport stream": "only by reading up to it",
    "one keyframe": "too few keyframes",
}
SOURCES = {
    "H.264": ("mp4", (), ("-c", "copy")),
    "23.976 pictures a second": ("mp4", ("-r", "24000/1001"), ("-c:v", "copy", "-an")),
    "varying rate": ("mp4", (), ("-vf", VARYING, "-fps_mode", "vfr", *X264, "-g", 30, "-bf", 2)),
    "open GOPs": ("mp4", (), OPEN),
    "HEVC": ("mp4", (), (*X265, "-x265-params", "log-level=error:bframes=4:keyint=25")),
    "one keyframe": ("mp4", (), (*X264, "-g", 9999, "-sc_threshold", 0)),
    "turned": ("mp4", ("-display_rotation", -180), ("-c", "copy")),
    "edit list": ("mp4", ("-ss", "0.5"), ("-c", "copy")),
    "AVI": ("avi", (), (*X264, "-bf", 2)),
    "transport stream": ("ts", (), ("-c", "copy", "-output_ts_offset", "100")),
    "Matroska, odd size": ("mkv", (), ("-vf", "pad=97:65:0:0,format=yuv444p", "-c:v", "ffv1", "-c:a", "copy")),
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Twenty-three seconds whose pictures are numbered."""
    return clips.recording(tmp_path_factory.mktemp("base") / "base.mp4", seconds=23, output=("-g", 50, "-bf", 2))


def made_of(recording: Path, directory: Path, kind: str) -> Path:
    suffix, before, after = SOURCES[kind]
    path = directory / f"in.{suffix}"
    clips.ffmpeg(*before, "-i", recording, *after, path)
    return path


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """As if the daemon were killed between the rename of the talk and the end of its segments."""

    async def remove(_):
        pass

    for step in (trim, transcode):
        monkeypatch.setattr(step, "remove_checkpoints", remove)


async def cut(source: Path, *, start=START, end=END, encoder=None, **options) -> tuple[Path, dict, clips.Watched]:
    """The talk, the record of its check, and who watched."""
    watched = clips.Watched(source.parent, source, name="x.mp4", facts={"start": start, "end": end}, encoder=encoder)
    usual = {"fade": 0, "lane": "full", "preset": "ultrafast", "crf": 12, "segment": "5s"}
    outcome = await trim.run(trim.Options(**{**usual, **options}), watched.context)
    return source.parent / "talk.mp4", outcome.artifacts[0].facts["check"], watched


def record(directory: Path, name: str = "talk") -> dict:
    return json.loads((directory / f".{name}.segments" / "record.json").read_text())


def lose(directory: Path, *numbers: int, name: str = "talk") -> None:
    """Leave things as they are while these segments are still being made."""
    path = directory / f".{name}.segments" / "record.json"
    known = json.loads(path.read_text())
    for segment in [known["segments"][number] for number in numbers]:
        known["segments"].remove(segment)
        (path.parent / segment["path"]).unlink()
    path.write_text(json.dumps(known))


def packets(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as file:
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in file.demux(video=0) if packet.size]


def complaints(path: Path) -> str:
    words = [clips.FFMPEG, "-v", "warning", "-i", path, "-f", "null", "-"]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stderr


def likeness(path: Path, other: Path) -> float:
    """The lowest PSNR of a picture (dB)."""
    words = [clips.FFMPEG, "-v", "info", "-i", path, "-i", other, "-lavfi", "psnr=f=-", "-f", "null", "-"]
    said = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout
    return min(float(line.partition("psnr_avg:")[2].split()[0]) for line in said.splitlines() if "psnr_avg" in line)


@pytest.mark.parametrize("kind", SOURCES)
async def test_in_segments_a_cut_is_what_it_is_in_one_piece_and_after_a_kill_too(tmp_path, recording, kind):
    source = made_of(recording, tmp_path, kind)
    # The last picture of a varying rate must be followed at once by another, or the cut would seem to end too early.
    end = 558 / 25 if kind == "varying rate" else END
    how = {"end": end, "preset": "superfast"}  # with B pictures
    single = (await cut(source, **how, segment=0))[0].rename(tmp_path / "one.mp4")
    talk, check, _ = await cut(source, **how)
    assert check["segments"]["number"] > 1
    assert packets(talk) == packets(single)
    talk.rename(tmp_path / "segments.mp4")
    lose(tmp_path, -1)
    left = sum(segment["pictures"] for segment in record(tmp_path)["segments"])
    talk, check, watched = await cut(source, **how)
    assert check["segments"]["encoded"] == 1
    assert check["segments"]["pictures_encoded"] == check["frames"] - left
    assert watched.progress[0][0] > 0.9 * check["wanted"] * left / check["frames"]
    assert clips.numbers(talk) == clips.numbers(single)
    assert sorted(time for time, _ in packets(talk)) == sorted(time for time, _ in packets(single))
    assert likeness(talk, tmp_path / "segments.mp4") > 38
    assert complaints(talk) == ""
    assert [join["failed"] for join in check["joins"]] == [0]
    assert READ_UP_TO.get(kind, "") in check["segments"].get("why", "")
    assert ("why" in check["segments"]) == (kind in READ_UP_TO)
    # The sound was there already: only what is missing of the picture was encoded.
    assert len([event for event in watched.events if isinstance(event, EncodeEnded)]) == 1
    with av.open(str(single)) as file:
        if file.streams.audio:
            heard, again = clips.sound(single), clips.sound(talk)
            assert abs(len(heard) - len(again)) <= 6
            assert heard[: len(again)] == again[: len(heard)]


async def test_places_where_the_picture_is_not_right_at_once_are_not_gone_on_from(tmp_path, recording):
    # No keyframes, but a column of each picture is new: nine seconds after such a place the picture is whole.
    refreshed = (*X264, "-bf", 0, "-x264-params", "intra-refresh=1:keyint=240")
    source = tmp_path / "in.mp4"
    clips.ffmpeg("-i", recording, *refreshed, source)
    single = clips.numbers((await cut(source, segment=0))[0])
    await cut(source)
    lose(tmp_path, -1)
    talk, check, _ = await cut(source)
    assert check["segments"]["why"] == "Seeks to two places in it do not show the same frames at the same times."
    assert clips.numbers(talk) == single


async def test_a_fade_goes_on_over_the_place_where_an_encode_was_killed(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=24, picture=clips.GREY)
    single = [clips.brightness(frame) for _, frame in clips.pictures((await cut(source, start=0, end=24, fade=8))[0])]
    lose(tmp_path, -1)
    talk, check, _ = await cut(source, start=0, end=24, fade=8)
    assert check["joins"][0]["at"] == pytest.approx(20, abs=0.1)
    again = [clips.brightness(frame) for _, frame in clips.pictures(talk)]
    assert again == pytest.approx(single, abs=1.5)
    assert again[550] == pytest.approx(16 + 164 * 2 / 8, abs=3)


@pytest.mark.parametrize("harm", ["truncated", "another byte", "gone"])
async def test_a_segment_that_is_not_whole_is_made_again_and_no_other(tmp_path, recording, harm):
    source = made_of(recording, tmp_path, "H.264")
    single = clips.numbers((await cut(source))[0])
    middle = record(tmp_path)["segments"][1]
    path = tmp_path / ".talk.segments" / middle["path"]
    data = bytearray(path.read_bytes())
    if harm == "gone":
        path.unlink()
    elif harm == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    talk, check, _ = await cut(source)
    assert (check["segments"]["found"], check["segments"]["pictures_encoded"]) == (2, middle["pictures"])
    assert clips.numbers(talk) == single
    assert complaints(talk) == ""


async def test_nothing_is_left_to_do_where_all_segments_are_there(tmp_path, recording):
    source = made_of(recording, tmp_path, "H.264")
    single = packets((await cut(source))[0])
    directory = tmp_path / ".talk.segments"
    known = {path.name for path in directory.iterdir()}
    assert known == {"record.json", "sound.mp4", *(segment["path"] for segment in record(tmp_path)["segments"])}
    # What was being made, too, when the daemon was killed.
    (directory / "run.0badcafe").mkdir()
    (directory / "run.0badcafe" / "00000.mp4").write_bytes(b"half")
    (directory / "part.mp4").write_bytes(b"half")
    talk, check, watched = await cut(source)
    assert {path.name for path in directory.iterdir()} == known
    assert (check["segments"]["found"], check["segments"]["encoded"]) == (3, 0)
    assert packets(talk) == single
    assert not [event for event in watched.events if isinstance(event, EncodeEnded)]


@pytest.mark.parametrize("other", ["crf", "fade", "times", "source", "ffmpeg"])
async def test_segments_of_another_encode_are_not_used(tmp_path, recording, other):
    source = made_of(recording, tmp_path, "H.264")
    await cut(source)
    options, encoder = {}, None
    if other == "source":
        clips.ffmpeg("-i", recording, "-c", "copy", "-metadata", "title=other", source)
    elif other == "ffmpeg":
        encoder = Encoder(
            program(tmp_path, 'words == ["-version"] and print("ffmpeg version 0", flush=True)'), nice=0, threads=1
        )
    else:
        options = {"crf": {"crf": 13}, "fade": {"fade": 1}, "times": {"end": END - 1}}[other]
    _, check, _ = await cut(source, encoder=encoder, **options)
    assert check["segments"]["found"] == 0
    assert check["segments"]["pictures_encoded"] == check["frames"]


def program(directory: Path, more: str) -> Path:
    """An ffmpeg that does something else first."""
    path = directory / "ffmpeg"
    path.write_text(
        f'#!{sys.executable} -IS\nimport os, sys\nwords = sys.argv[2:] if sys.argv[1:2] == ["-hide_banner"] else sys.argv[1:]\n'
        f'{more}\nos.execv({str(clips.FFMPEG)!r}, ["ffmpeg", *sys.argv[1:]])\n'
    )
    path.chmod(0o755)
    return path


# Reads on slowly where the first segment is whole, so that there is a moment at which some is there and some is not.
SLOW = """
if "-segment_time" in sys.argv:
    at = sys.argv.index("-i")
    sys.argv[at:at] = ["-readrate", "1", "-readrate_initial_burst", "14"]
"""


def without_sound(recording: Path, directory: Path) -> Path:
    clips.ffmpeg("-i", recording, "-an", "-c", "copy", directory / "in.mp4")
    return directory / "in.mp4"


async def test_a_cut_that_is_cancelled_keeps_its_whole_segments_and_goes_on_from_them(tmp_path, recording):
    source = without_sound(recording, tmp_path)
    encoder = Encoder(program(tmp_path, SLOW), nice=0, threads=1, stall=30.0)
    task = asyncio.ensure_future(cut(source, encoder=encoder))
    async with asyncio.timeout(60):
        while not (tmp_path / ".talk.segments" / "record.json").exists() or not record(tmp_path)["segments"]:
            assert not task.done(), task.result()
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    known = record(tmp_path)
    names = {segment["path"] for segment in known["segments"]}
    assert {path.name for path in (tmp_path / ".talk.segments").iterdir()} == {"record.json", *names}
    # The way back is not seen: what was done before counts.
    talk, check, watched = await cut(source)
    assert check["segments"]["found"] == len(names) >= 1
    assert clips.numbers(talk) == list(range(34, 565))
    done = [progress[0] for progress in watched.progress]
    assert done == sorted(done)
    assert done[0] >= 9
    assert watched.progress[-1][:3] == (END - START, END - START, "s")


async def test_a_disk_that_fills_up_in_the_middle_leaves_the_whole_segments(tmp_path, recording, monkeypatch):
    source = without_sound(recording, tmp_path)
    encoder = Encoder(program(tmp_path, SLOW), nice=0, threads=1, stall=30.0, disk_reserve=1)
    usage = shutil.disk_usage

    def filling(path):
        closed = [log for log in tmp_path.glob(".talk.segments/*/closed") if log.stat().st_size]
        return usage(path)._replace(free=0) if closed else usage(path)

    monkeypatch.setattr(shutil, "disk_usage", filling)
    with pytest.raises(RetryLater, match="free some space") as raised:
        await cut(source, encoder=encoder)
    assert not raised.value.counts
    monkeypatch.undo()
    _, check, _ = await cut(source)
    assert check["segments"]["found"] >= 1


async def test_a_cut_that_is_refused_leaves_no_segments(tmp_path, monkeypatch):
    monkeypatch.undo()
    source = clips.recording(tmp_path / "in.ts", seconds=8, output=("-g", "25"))
    data = bytearray(source.read_bytes())
    size = len(data) // 188
    data[size * 4 // 10 * 188 : size * 6 // 10 * 188] = b""
    source.write_bytes(data)
    with pytest.raises(Refused, match="damaged"):
        await cut(source, start=0, end=7, segment="1s")
    assert [path.name for path in tmp_path.iterdir()] == ["in.ts"]


async def test_a_talk_that_is_made_leaves_no_segments(tmp_path, recording, monkeypatch):
    monkeypatch.undo()
    source = made_of(recording, tmp_path, "H.264")
    await cut(source)
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "talk.mp4"}


async def test_a_state_directory_may_have_any_name(tmp_path, recording):
    odd = tmp_path / "50%d of: it's"
    odd.mkdir()
    source = made_of(recording, odd, "H.264")
    talk, check, _ = await cut(source)
    assert check["segments"]["number"] == 3
    assert clips.numbers(talk) == list(range(34, 565))


RENDITIONS = [
    {"height": 64, "video_bitrate": "300k"},
    {"height": 48, "video_bitrate": "100k"},
    {"height": 32, "video_bitrate": "100k", "fps": 5},
]


def test_a_segment_that_costs_more_than_a_kill_saves_is_refused():
    with pytest.raises(ValidationError, match="a segment is 1s or longer; 0s for one piece"):
        trim.Options(segment="20ms")


async def ladder(source: Path, segment: str) -> dict[str, dict]:
    watched = clips.Watched(source.parent, source, name="x.mp4")
    options = transcode.Options.model_validate({"renditions": RENDITIONS, "segment": segment, "preset": "ultrafast"})
    outcome = await transcode.run(options, watched.context)
    return {artifact.path: artifact.facts["check"] for artifact in outcome.artifacts}


async def test_renditions_of_one_decode_each_go_on_where_they_were(tmp_path, recording):
    source = made_of(recording, tmp_path, "H.264")
    names = list(await ladder(source, "0s"))
    single = {name: (packets(tmp_path / name), clips.sound(tmp_path / name)) for name in names}
    await ladder(source, "5s")
    assert [packets(tmp_path / name) for name in names] == [single[name][0] for name in names]
    lose(tmp_path, -1, name="rendition-64p")
    lose(tmp_path, -1, -2, name="rendition-48p")
    checks = await ladder(source, "5s")
    assert [check["segments"]["pictures_encoded"] for check in checks.values()] == [75, 325, 0]
    for name in names:
        assert [time for time, _ in packets(tmp_path / name)] == [time for time, _ in single[name][0]]
        assert clips.sound(tmp_path / name) == single[name][1]
        assert complaints(tmp_path / name) == ""
    assert clips.numbers(tmp_path / names[0]) == list(range(575))

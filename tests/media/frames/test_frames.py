"""Frames taken out of recordings: each row of the manifest is the picture that it says, and so is the film's frame."""

import asyncio
import json
import sys
from bisect import bisect_left
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import pytest
from footage import clips
from footage.recordings import Recording, make, run
from footage.strategies import psnr
from PIL import Image

from vidd.errors import Refused
from vidd.model.frame_manifest import Sample, TaskList
from vidd.steps import frames

pytestmark = pytest.mark.media

X264 = ("libx264", "-preset", "veryfast", "-crf", 8, "-g", 30)
X265 = ("libx265", "-preset", "ultrafast", "-crf", 8, "-x265-params")
QUIET = "log-level=error:keyint=30"
OPEN = ("libx264", "-preset", "veryfast", "-crf", 8, "-g", 30, "-x264-params")
ONE_SLICE = ("-movflags", "+faststart", "-x264-params", "slices=1")
VARYING = "select='not(eq(mod(n,7),3)+eq(mod(n,11),5)+between(n,70,76))'"
SECONDS = 6.0


@dataclass(frozen=True)
class Case:
    """A recording, and how many frames of a second are taken; `shown` are filters that make of it what is to be seen."""

    recording: Recording
    rate: float = 5
    shown: str = ""


def case(*video, rate="25", wanted=5.0, shown="", **more):
    return Case(Recording(video, rate=rate, seconds=SECONDS, **more), wanted, shown)


SOURCES = {
    "25": case(*X264, "-bf", 2),
    "30": case(*X264, "-bf", 2, rate="30"),
    "60": case(*X264, "-bf", 3, rate="60"),
    "29.97": case(*X264, "-bf", 2, rate="30000/1001"),
    "23.976, 4 a second": case(*X264, "-bf", 2, rate="24000/1001", wanted=4),
    "25, 7.5 a second": case(*X264, "-bf", 2, wanted=7.5),
    "all of them": case(*X264, "-bf", 2, wanted=25),
    "one in two seconds": case(*X264, "-bf", 2, wanted=0.5),
    "phone, varying rate": case(*X264, "-bf", 2, rate="30", chosen=VARYING),
    "varying rate, MKV": case(*X264, "-bf", 2, rate="30", chosen=VARYING, suffix="mkv"),
    "B pyramid": case(*X264, "-bf", 3, "-x264-params", "b-adapt=0:b-pyramid=normal"),
    "open GOPs": case(*OPEN, "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal"),
    "open GOPs, TS": case(*OPEN, "open-gop=1:bframes=3:b-adapt=0", suffix="ts"),
    "turned, with an edit list": case(*(*X264, "-bf", 2), again=(("-ss", 0.48, "-display_rotation", 90), ())),
    "interlaced": case(*X264, "-flags", "+ilme+ildct", shown="estdif=mode=frame:deint=interlaced"),
    "no sound": case(*X264, "-bf", 2, sounds=()),
    "10 bits": case(*X264, "-bf", 2, pixels="yuv420p10le"),
    "full range": case(*X264, "-bf", 2, pixels="yuvj420p"),
    "HEVC": case(*X265, f"{QUIET}:bframes=4", codec="hevc"),
    "HEVC, temporal layers": case(*X265, f"{QUIET}:bframes=4:temporal-layers=3", codec="hevc"),
    "AV1, WebM": case(
        "libsvtav1", "-preset", 10, "-crf", 10, "-g", 30, codec="av1", suffix="webm", sounds=(("libopus",),)
    ),
    "VP9, WebM": case("libvpx-vp9", "-crf", 10, "-b:v", 0, "-cpu-used", 8, codec="vp9", suffix="webm", sounds=()),
    "MPEG-4, AVI": case("mpeg4", "-q:v", 2, "-bf", 2, codec="mpeg4", suffix="avi", sounds=(("libmp3lame",),)),
    "MPEG-2, TS": case("mpeg2video", "-q:v", 2, "-bf", 2, codec="mpeg2video", suffix="ts", sounds=(("mp2",),)),
}


def watched(directory, source, **options):
    job = clips.Watched(directory, source, name=source.name, facts={"frame_rate": 5})
    return frames.Options.model_validate(options), job


async def taken(directory, source, **options):
    """Outcome, manifest and list of tasks."""
    settings, job = watched(directory, source, **options)
    outcome = await frames.run(settings, job.context)
    rows = [Sample.from_json(json.loads(line)) for line in (directory / "manifest.jsonl").read_text().splitlines()]
    return outcome, rows, TaskList.from_json(json.loads((directory / "task_list.json").read_text()))


async def pictures(source):
    """Of each picture in order: its time in the recording's units, and the SHA-1 of its samples, as ffmpeg says."""
    words = (
        "-loglevel",
        "error",
        "-copyts",
        "-noautorotate",
        "-i",
        source,
        "-map",
        "0:V:0",
        "-fps_mode:v",
        "passthrough",
    )
    told, _ = await run(*words, "-enc_time_base:v", "demux", "-f", "framehash", "-hash", "SHA160", "-")
    lines = [line.split(",") for line in told.decode().splitlines() if line and not line.startswith("#")]
    return [(int(line[2]), line[5].strip()) for line in lines]


async def seen(path, filters, size):
    """The luma of each picture as it is shown, after these filters."""
    words = ("-loglevel", "error", "-i", path, "-map", "0:V:0", "-fps_mode:v", "passthrough")
    chain = ",".join([*([filters] if filters else []), "scale=out_range=tv", "format=yuv420p"])
    raw, _ = await run(*words, "-filter:v", chain, "-f", "rawvideo", "-")
    whole, luma = size[0] * size[1] * 3 // 2, size[0] * size[1]
    return [raw[at : at + luma] for at in range(0, len(raw), whole)]


def expected(times, time_base, rate):
    """The last picture of each whole interval, reckoned in seconds."""
    begin = times[0]
    end = float((times[-1] - begin) * time_base) * len(times) / (len(times) - 1)
    starts = [float((time - begin) * time_base) for time in times]
    found = [bisect_left(starts, (k + 1) / rate - 0.001) - 1 for k in range(int(end * rate + 0.01))]
    return sorted(set(found))


@dataclass
class Matched:
    frames: int = 0
    matched: int = 0
    worst: float = 99.0


async def match(directory, case, **options):
    """How many of a case's frames are the pictures that the manifest says."""
    source = await make(directory, case.recording)
    _, rows, listed = await taken(directory, source, rate=case.rate, per_task=12, crf=8, **options)
    truth = await pictures(source)
    assert [row.frame for row in rows] == expected([time for time, _ in truth], listed.time_base, case.rate)
    size = (listed.width, listed.height)
    shown = await seen(source, case.shown, size)
    films = [frame for task in listed.tasks for frame in await seen(directory / "tasks" / task.video, "", size)]
    found = Matched(len(rows))
    for row, film in zip(rows, films, strict=True):
        found.matched += (row.pts, row.hash) == truth[row.frame]
        found.worst = min(found.worst, psnr(shown[row.frame], film))
    return found


async def test_each_row_is_the_picture_it_says_and_so_is_the_films_frame(tmp_path):
    found = {}
    for name, source in SOURCES.items():
        directory = tmp_path / name.replace(" ", "-")
        directory.mkdir()
        found[name] = await match(directory, source)
    frames_, matched = sum(value.frames for value in found.values()), sum(value.matched for value in found.values())
    worst = min(value.worst for value in found.values())
    sys.stdout.write(f"\nsources={len(found)} frames={frames_} matched={matched} worst={worst:.1f}dB\n")
    assert {name: value for name, value in found.items() if value.matched != value.frames or value.worst < 33} == {}
    assert frames_ > 700


@pytest.mark.parametrize(
    "name", ["B pyramid", "open GOPs", "open GOPs, TS", "HEVC", "HEVC, temporal layers", "phone, varying rate"]
)
async def test_what_nobody_needs_is_not_decoded_and_the_frames_are_the_same(tmp_path, name):
    told = []
    for prune in (True, False):
        directory = tmp_path / str(prune)
        directory.mkdir()
        source = await make(directory, SOURCES[name].recording)
        outcome, rows, _ = await taken(directory, source, rate=5, prune=prune)
        told.append((rows, {path.name: path.read_bytes() for path in (directory / "tasks").rglob("*.mp4")}))
        assert (outcome.facts["pruned"] > 20) == prune
    assert told[0] == told[1]


async def test_on_integer_ratios_the_frames_are_those_that_the_original_took(tmp_path):
    source = clips.recording(tmp_path / "a.mp4", rate="30", seconds=4.1)
    _, rows, listed = await taken(tmp_path, source, per_task=8)
    assert [row.frame + 1 for row in rows] == [6 * k for k in range(1, 21)]
    assert [(task.name, task.frames, task.first, task.last) for task in listed.tasks] == [
        ("task-0-a", 8, 5, 47), ("task-1-a", 8, 53, 95), ("task-2-a", 4, 101, 119)
    ]  # fmt: skip
    assert [row.index for row in rows] == [*range(1, 9), *range(1, 9), *range(1, 5)]
    films = [clips.numbers(tmp_path / "tasks" / task.video) for task in listed.tasks]
    assert [number for film in films for number in film] == [row.frame for row in rows]


async def test_jpegs_and_small_ones_are_the_same_frames(tmp_path):
    source = clips.recording(tmp_path / "a.mp4", size="640x360", picture="geq=lum='16+N':cb=128:cr=128")
    outcome, rows, _ = await taken(tmp_path, source, images=True, thumbnails=True)
    tree = tmp_path / "tasks" / "task-0-a"
    assert sorted(path.name for path in tree.iterdir()) == sorted(
        ["task-0-a.mp4", *(f"{k}{end}.jpg" for k in range(1, 21) for end in ("", "_thumbnail"))]
    )
    for row in rows:
        with Image.open(tree / f"{row.index}.jpg") as image, Image.open(tree / f"{row.index}_thumbnail.jpg") as small:
            assert (image.size, small.size) == ((640, 360), (250, 141))
            grey = (16 + row.frame - 16) * 255 / 219
            for picture in (image, small):
                assert picture.convert("L").resize((1, 1)).getpixel((0, 0)) == pytest.approx(grey, abs=2)
    assert outcome.artifacts[0].tree.files == 41


async def killed(directory, frames_there, **options):
    """A run on a.mp4 that is ended once so many frames are there."""
    settings, job = watched(directory, directory / "a.mp4", **options)

    def look(done, *_):
        if done >= frames_there:
            running.cancel()

    running = asyncio.ensure_future(frames.run(settings, replace(job.context, progress=look)))
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_run_that_was_killed_goes_on_after_its_last_whole_task_and_ends_the_same(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for directory in (whole, cut):
        directory.mkdir()
        clips.recording(directory / "a.mp4", seconds=20, rate="30")
    await taken(whole, whole / "a.mp4", per_task=20)
    await killed(cut, 50, per_task=20)
    rest = cut / ".frames" / "tasks"
    assert {"task-0-a", "task-1-a"} <= {path.name for path in rest.iterdir()}
    (rest / "task-1-a" / "task-1-a.mp4").write_bytes(b"torn")
    began = (rest / "task-0-a" / "task-0-a.mp4").stat().st_ino
    await taken(cut, cut / "a.mp4", per_task=20)
    assert (cut / "tasks" / "task-0-a" / "task-0-a.mp4").stat().st_ino == began
    assert not (cut / ".frames").exists()
    for path in [*(whole / "tasks").rglob("*.mp4"), whole / "manifest.jsonl", whole / "task_list.json"]:
        assert (cut / path.relative_to(whole)).read_bytes() == path.read_bytes()


async def test_a_run_that_was_killed_tells_of_the_frames_that_were_lost_before_it(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    told = []
    for directory in (whole, cut):
        directory.mkdir()
        damage(clips.recording(directory / "a.mp4", seconds=20, output=ONE_SLICE))
        if directory == cut:
            await killed(cut, 50, per_task=20)
        outcome, _, _ = await taken(directory, directory / "a.mp4", per_task=20)
        told.append((outcome.facts["lost"], (directory / "manifest.jsonl").read_bytes()))
    assert told[0][0] > 0
    assert told[0] == told[1]


async def test_what_was_made_with_other_settings_is_not_gone_on_with(tmp_path):
    source = clips.recording(tmp_path / "a.mp4", seconds=4)
    await killed(tmp_path, 10, per_task=5)
    outcome, rows, _ = await taken(tmp_path, source, per_task=5, rate=2)
    assert [row.frame for row in rows] == [12, 24, 37, 49, 62, 74, 87, 99]
    assert outcome.facts["tasks"] == 2


def damage(source):
    """Overwrite the packets 60 to 74 of a recording."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as file:
        packets = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    for at, size in packets[60:75]:
        data[at + 4 : at + size] = bytes(size - 4)
    source.write_bytes(data)


async def test_frames_of_damaged_pictures_are_left_out_and_the_others_are_right(tmp_path):
    source = clips.recording(tmp_path / "a.mp4", seconds=8, output=ONE_SLICE)
    truth = await pictures(source)
    damage(source)
    outcome, rows, _ = await taken(tmp_path, source)
    assert outcome.facts["lost"] > 0
    assert len(rows) + outcome.facts["lost"] == 40
    why = f"{outcome.facts['lost']} of 40 could not be decoded: the recording is damaged."
    assert outcome.facts["left_out"] == [{"name": "frames", "why": why}]
    assert [row for row in rows if row.frame < 55] == [
        row for row in rows if row.frame < 55 and (row.pts, row.hash) == truth[row.frame]
    ]
    assert [row for row in rows if row.frame > 95] != []


NTSC = {24: Fraction(24000, 1001), 30: Fraction(30000, 1001), 60: Fraction(60000, 1001)}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("wanted", "rate"), [*NTSC.items(), (25, Fraction(25)), (30, Fraction(296, 10)), (13, Fraction(127, 10))]
)
async def test_whoever_asks_for_the_rate_as_people_round_it_gets_every_frame_at_the_real_rate(
    tmp_path, wanted, rate, suffix
):
    # Matroska rounds times to a millisecond.
    source = clips.recording(tmp_path / f"a.{suffix}", rate=str(rate), seconds=4, output=("-shortest",))
    _, rows, listed = await taken(tmp_path, source, rate=wanted, per_task=50)
    truth = await pictures(source)
    assert [(row.frame, row.pts, row.hash) for row in rows] == [(at, *picture) for at, picture in enumerate(truth)]
    assert (listed.rate, listed.source_rate) == pytest.approx((float(rate), float(rate)), rel=1e-6)
    for task in listed.tasks:
        with av.open(str(tmp_path / "tasks" / task.video)) as video:
            stream = video.streams.video[0]
            assert (stream.frames, float(stream.average_rate)) == (task.frames, pytest.approx(float(rate), rel=1e-6))


async def test_every_frame_of_a_varying_recording_is_taken_where_its_rounded_rate_is_asked_for(tmp_path):
    phone = case(*X264, "-bf", 2, rate="30", chosen="select='not(eq(mod(n,6),3)+between(n,70,71))'")
    source = await make(tmp_path, phone.recording)
    _, rows, listed = await taken(tmp_path, source, rate=25)
    assert 24.5 < listed.source_rate < 24.9
    assert [row.pts for row in rows] == [time for time, _ in await pictures(source)]
    assert listed.rate == pytest.approx(listed.source_rate, rel=1e-4)


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        (60, "The rate is 60 frames a second, but 'a.mp4' has only 25: set a lower rate"),
        (26, "The rate is 26 frames a second, but 'a.mp4' has only 25: set a lower rate"),
        (0.1, "'a.mp4' is shorter than 10 s, the time from one frame to the next"),
    ],
)
async def test_a_rate_that_gives_no_frames_is_refused(tmp_path, rate, sentence):
    source = clips.recording(tmp_path / "a.mp4", seconds=4)
    with pytest.raises(Refused, match=sentence):
        await taken(tmp_path, source, rate=rate)
    assert not (tmp_path / ".frames").exists()


@pytest.mark.parametrize("told", [0, -1, 0.0004, 10_000, "five", [1], None])
async def test_a_rate_of_the_job_that_is_none_is_refused(tmp_path, told):
    source = clips.recording(tmp_path / "a.mp4", seconds=1)
    job = clips.Watched(tmp_path, source, name="a.mp4", facts={"frame_rate": told})
    with pytest.raises(Refused, match="frame rate"):
        await frames.run(frames.Options(), job.context)
    assert frames.Options.model_validate({"rate": 4}).rate == 4


async def test_what_is_no_recording_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(Refused, match=r"'a\.mp4' is a text and no video"):
        await taken(tmp_path, tmp_path / "a.mp4")


async def test_films_are_the_same_byte_by_byte_however_often_they_are_made(tmp_path):
    source = clips.recording(tmp_path / "a.mp4", size="320x192", seconds=24, picture="noise=alls=20:allf=t")
    made = set()
    for number in range(6):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "a.mp4").hardlink_to(source)
        settings, job = watched(directory, directory / "a.mp4", per_task=60)
        tools = replace(job.context.tools, encoder=replace(job.context.tools.encoder, threads=0))
        await frames.run(settings, replace(job.context, tools=tools))
        made.add(tuple(path.read_bytes() for path in sorted((directory / "tasks").rglob("*.mp4"))))
    assert len(made) == 1


async def test_progress_goes_up_to_all_frames(tmp_path):
    source = clips.recording(tmp_path / "a.mp4", seconds=8)
    settings, job = watched(tmp_path, source, per_task=15)
    await frames.run(settings, job.context)
    done = [told[0] for told in job.progress]
    assert (done[0], done[-1], done) == (0, 40, sorted(done))
    assert {told[1:3] for told in job.progress} == {(40, "frames")}

"""What the probe's child says of real and of broken files."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from footage import clips

from vidd.errors import Refused, RetryLater
from vidd.media.probe.client import Prober, probe_report
from vidd.model.media import Media
from vidd.processes.child import setpriv

pytestmark = pytest.mark.media


@pytest.fixture
async def prober():
    prober = Prober()
    yield prober
    await prober.close()


def child(prober: Prober) -> int:
    return prober.worker.child.pid


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_recording_is_described(prober, tmp_path):
    media = await prober.probe(clips.recording(tmp_path / "in.mp4", rate="30000/1001", tracks=2))
    (video,) = media.video
    assert (video.codec, video.width, video.height, video.frames) == ("h264", 96, 64, 120)
    assert (video.rotation, video.variable, video.pixel_format) == (0, False, "yuv420p")
    assert video.rate == pytest.approx(30000 / 1001)
    assert media.duration == pytest.approx(120 * 1001 / 30000, abs=0.01)
    assert media.size == (tmp_path / "in.mp4").stat().st_size
    assert [(track.codec, track.rate, track.channels) for track in media.audio] == [("aac", 48000, 1)] * 2


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
async def test_rotation_is_in_clockwise_degrees(prober, tmp_path, turned):
    upright = clips.recording(tmp_path / "upright.mp4", seconds=0.4)
    clips.ffmpeg("-display_rotation", -turned, "-i", upright, "-c", "copy", tmp_path / "in.mp4")
    video = (await prober.probe(tmp_path / "in.mp4")).video[0]
    assert video.rotation == turned
    assert video.display_size == ((64, 96) if turned % 180 else (96, 64))


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    ("rate", "picture", "variable"),
    [
        ("25", clips.GREY, False),
        ("30000/1001", clips.GREY, False),
        ("60", clips.GREY, False),
        ("30", clips.GREY + ",select='gt(mod(n,7),1)'", True),
    ],
)
async def test_a_varying_rate_is_told_from_rounded_times(prober, tmp_path, container, *, rate, picture, variable):
    source = clips.recording(tmp_path / f"in.{container}", seconds=2, rate=rate, picture=picture)
    assert (await prober.probe(source)).video[0].variable is variable


@pytest.mark.parametrize("container", ["mkv", "ts"])
async def test_pictures_that_are_decoded_behind_where_looking_ends_are_no_varying_rate(prober, tmp_path, container):
    output = ("-bf", 7, "-g", 290, "-x264-params", "b-adapt=0:b-pyramid=normal")
    source = clips.recording(tmp_path / f"in.{container}", seconds=14, output=output)
    assert (await prober.probe(source)).video[0].variable is False


async def test_pictures_of_two_fields_are_told(prober, tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=1, output=("-flags", "+ilme+ildct"))
    assert (await prober.probe(source)).video[0].interlaced
    assert not (await prober.probe(clips.recording(tmp_path / "plain.mp4", seconds=1))).video[0].interlaced


async def test_times_of_a_transport_stream_start_where_it_starts(prober, tmp_path):
    source = clips.recording(tmp_path / "in.ts", output=("-output_ts_offset", "100"))
    media = await prober.probe(source)
    assert media.start > 100
    assert media.video[0].start >= media.start
    assert media.duration == pytest.approx(4, abs=0.1)


async def test_a_cover_is_no_video(prober, tmp_path):
    clips.ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64:d=0.04", "-frames:v", 1, tmp_path / "cover.png")
    sound = ("-f", "lavfi", "-i", "sine=duration=1")
    clips.ffmpeg(
        *("-i", tmp_path / "cover.png", *sound, "-map", 0, "-map", 1, "-c:v", "png"),
        *("-disposition:v", "attached_pic", tmp_path / "in.mp4"),
    )
    with pytest.raises(Refused, match=r"'in\.mp4' has no video stream \(streams: 1 audio\)"):
        await prober.probe(tmp_path / "in.mp4")
    clips.recording(tmp_path / "talk.mp4", seconds=1)
    clips.ffmpeg(
        *("-i", tmp_path / "cover.png", "-i", tmp_path / "talk.mp4", "-map", 0, "-map", 1, "-c", "copy"),
        *("-disposition:v:0", "attached_pic", tmp_path / "both.mp4"),
    )
    assert [video.codec for video in (await prober.probe(tmp_path / "both.mp4")).video] == ["h264"]


async def test_broken_files_are_refused_with_a_sentence_and_the_child_lives_on(prober, tmp_path):
    whole = clips.recording(tmp_path / "whole.mp4", seconds=1)
    late = clips.recording(tmp_path / "late.mp4", seconds=1, output=("-movflags", "0"))
    data, slow = whole.read_bytes(), late.read_bytes()
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{whole.as_uri()}\n#EXT-X-ENDLIST\n"
    broken = {
        "empty.mp4": (b"", r"'empty\.mp4' is empty \(0 bytes\)"),
        "text.mp4": (b"hello, this is a text\n", "is a text and no video"),
        "utf8.mp4": (("ü" * 600).encode()[:-1], "is a text and no video"),
        "list.mp4": (playlist.encode(), "is a text and no video"),
        "cut.mp4": (data[: len(data) * 6 // 10], "was cut off: its index lists"),
        "late cut.mp4": (slow[: len(slow) * 6 // 10], r"was cut off: its index \(moov\), written last, is missing"),
        "noise.mp4": (bytes(range(256)) * 40, "cannot be read as a video"),
        "zeros.mp4": (bytes(4096), "cannot be read as a video"),
    }
    pids = set()
    for name, (content, sentence) in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Refused, match=sentence):
            await prober.probe(tmp_path / name)
        pids.add(child(prober))
    with pytest.raises(Refused, match="cannot be opened: No such file"):
        await prober.probe(tmp_path / "gone.mp4")
    with pytest.raises(Refused, match="is no file"):
        await prober.probe(tmp_path)
    assert len(pids) == 1


async def test_a_hostile_name_is_shown_escaped(prober, tmp_path):
    (tmp_path / "in.mp4").write_bytes(b"")
    with pytest.raises(Refused) as refused:
        await prober.probe(tmp_path / "in.mp4", "a\n\x1b[31m\u202eü'.mp4")
    assert r"""a\n\x1b[31m\u202eü'.mp4""" in refused.value.sentence
    assert refused.value.sentence.isprintable()


async def test_a_name_that_is_no_unicode_can_be_opened(prober, tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=1)
    odd = source.rename(tmp_path / os.fsdecode(b"-\xff%d:|\n.mp4"))
    assert (await prober.probe(odd)).video[0].width == 96


async def test_many_questions_at_once_are_each_answered(prober, tmp_path):
    sources = [clips.recording(tmp_path / f"{size}.mp4", seconds=0.4, size=f"{size}x64") for size in (96, 112, 128)]
    answers = await asyncio.gather(*(prober.probe(source) for source in sources * 5))
    assert [answer.video[0].width for answer in answers] == [96, 112, 128] * 5


async def test_a_child_that_died_between_questions_is_replaced(prober, tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.4)
    await prober.probe(source)
    gone = prober.worker.child.gone
    os.kill(child(prober), signal.SIGKILL)
    async with asyncio.timeout(60):
        await gone
    assert (await prober.probe(source)).video[0].width == 96


async def test_a_file_that_cannot_be_read_in_time_is_tried_again_later_and_the_next_one_is_answered(prober, tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.4)
    await prober.probe(source)
    hung = child(prober)
    os.kill(hung, signal.SIGSTOP)
    prober.timeout = 0.3
    with pytest.raises(RetryLater, match=r"'in\.mp4' took longer than 0\.3 s"):
        await prober.probe(source)
    assert not alive(hung)
    prober.timeout = 60
    assert (await prober.probe(source)).size > 0


async def test_a_pipe_is_no_recording(prober, tmp_path):
    os.mkfifo(tmp_path / "fifo.mp4")
    async with asyncio.timeout(60):
        with pytest.raises(Refused, match="is no file"):
            await prober.probe(tmp_path / "fifo.mp4")


async def test_a_child_killed_in_the_middle_of_a_question_says_nothing_about_the_file(prober, tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.4)
    await prober.probe(source)
    os.kill(child(prober), signal.SIGSTOP)
    question = asyncio.create_task(prober.probe(source))
    await asyncio.sleep(0)
    os.kill(child(prober), signal.SIGKILL)
    async with asyncio.timeout(60):
        with pytest.raises(RetryLater, match=r"was killed while reading the file 'in\.mp4'"):
            await question


async def test_a_file_that_crashes_the_child_is_refused(prober, tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.4)
    await prober.probe(source)
    os.kill(child(prober), signal.SIGSTOP)
    question = asyncio.create_task(prober.probe(source))
    await asyncio.sleep(0)
    os.kill(child(prober), signal.SIGSEGV)
    os.kill(child(prober), signal.SIGCONT)
    async with asyncio.timeout(60):
        with pytest.raises(Refused, match=r"'in.mp4' crashes the media reader \(exit code -11\)"):
            await question


async def test_a_cancelled_question_does_not_answer_the_next_one(prober, tmp_path):
    first = clips.recording(tmp_path / "in.mp4", seconds=0.4)
    second = clips.recording(tmp_path / "two.mp4", seconds=0.4, size="128x64")
    await prober.probe(first)
    question = asyncio.create_task(prober.probe(first))
    await asyncio.sleep(0)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert (await prober.probe(second)).video[0].width == 128


async def test_a_child_that_rests_ends_by_itself_when_it_is_closed(prober, tmp_path):
    await prober.probe(clips.recording(tmp_path / "in.mp4", seconds=0.4))
    pid, gone = child(prober), prober.worker.child.gone
    await prober.close()
    assert gone.result() == 0
    assert not alive(pid)


async def test_a_child_that_is_asked_something_is_ended_when_it_is_closed(prober, tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.4)
    await prober.probe(source)
    gone = prober.worker.child.gone
    os.kill(child(prober), signal.SIGSTOP)
    question = asyncio.create_task(prober.probe(source))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await prober.close()
        assert gone.result() < 0
        with pytest.raises(RetryLater):
            await question


def test_the_daemon_itself_never_opens_media():
    code = "import sys, vidd.steps.trim, vidd.steps.transcode; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.skipif(setpriv() is None, reason="needs Debian package: util-linux")
def test_kill_minus_nine_of_the_daemon_leaves_no_prober(tmp_path):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.4)
    daemon = """
import asyncio, pathlib, sys
from vidd.media.probe.client import Prober
async def main():
    prober = Prober()
    await prober.probe(pathlib.Path(sys.argv[1]))
    print(prober.worker.child.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", daemon, source], stdout=subprocess.PIPE) as one:
        pid = int(one.stdout.readline())
        assert alive(pid)
        one.kill()
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline


async def test_people_get_one_report_as_json(tmp_path, monkeypatch):
    source = clips.recording(tmp_path / "in.mp4", seconds=0.4)
    monkeypatch.chdir(tmp_path)
    report = json.loads(json.dumps(await probe_report(Path("in.mp4"))))
    assert Media.from_json(report).video[0].height == 64
    with pytest.raises(Refused, match="cannot be opened"):
        await probe_report(source.with_name("none.mp4"))

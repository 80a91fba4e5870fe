"""One run of ffmpeg: its limits, and its end sorted into the three fates. Programs that only look like ffmpeg help."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest
from footage import clips

from vidd.errors import Refused, RetryLater
from vidd.files.atomic import temporary_path
from vidd.media.ffmpeg import process as ffmpeg_process
from vidd.media.ffmpeg.settings import parse_bit_rate
from vidd.model.event import EncodeCount, EncodeEnded
from vidd.ports import Encoder
from vidd.ports.shared import Shared


def looks_like_ffmpeg(directory: Path, script: str) -> Path:
    program = directory / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


class Run:
    def __init__(self, tmp_path: Path, path: Path = clips.FFMPEG, **limits):
        self.encoder = Encoder(path, **{"nice": 0, "stall": 20.0, **limits})
        self.output = tmp_path / "out.mp4"
        self.events, self.progress = [], []

    async def __call__(self, *args: object, duration: float = 1.0):
        return await ffmpeg_process.encode(
            self.encoder,
            [*map(str, args)],
            output=self.output,
            duration=duration,
            progress=lambda *told: self.progress.append(told),
            observe=self.events.append,
            kind="trim",
        )


ENDLESS = ("-nostdin", "-v", "error", "-progress", "pipe:1", "-re", "-f", "lavfi", "-i", "color", "-y", "-f", "mp4")


@pytest.mark.slow
async def test_an_output_that_was_begun_is_gone_when_the_work_is_cancelled(tmp_path):
    run = Run(tmp_path)
    begun = asyncio.Event()
    run.encoder = Encoder(clips.FFMPEG, nice=0)
    task = asyncio.create_task(
        ffmpeg_process.encode(
            run.encoder,
            [*ENDLESS, str(run.output)],
            output=run.output,
            duration=60,
            progress=lambda *_: begun.set(),
            observe=run.events.append,
            kind="trim",
        )
    )
    async with asyncio.timeout(60):
        await begun.wait()
        assert run.output.exists()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not run.output.exists()
    assert run.events == [EncodeCount(1), EncodeCount(0)]


@pytest.mark.slow
async def test_an_ffmpeg_that_hangs_is_ended_though_it_goes_on_reporting(tmp_path):
    os.mkfifo(tmp_path / "in.ts")
    holding = os.open(tmp_path / "in.ts", os.O_RDWR)
    run = Run(tmp_path, stall=1.0)
    try:
        async with asyncio.timeout(60):
            with pytest.raises(RetryLater, match="made no progress for 1 s"):
                await run(
                    "-nostdin",
                    "-v",
                    "error",
                    "-progress",
                    "pipe:1",
                    "-f",
                    "mpegts",
                    "-i",
                    tmp_path / "in.ts",
                    run.output,
                )
    finally:
        os.close(holding)


@pytest.mark.slow
async def test_reports_without_progress_are_no_progress(tmp_path):
    chatty = tmp_path / "ffmpeg"
    chatty.write_text(f"""#!{sys.executable}
import time
while True:
    print("out_time_us=5\\nprogress=continue", flush=True)
    time.sleep(0.05)
""")
    chatty.chmod(0o755)
    with pytest.raises(RetryLater, match="made no progress"):
        async with asyncio.timeout(60):
            await Run(tmp_path, chatty, stall=0.8)()


@pytest.mark.parametrize(
    ("script", "fate", "counts", "sentence"),
    [
        (
            "echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 228",
            RetryLater,
            False,
            "disk was full",
        ),
        ("echo 'Error: Cannot allocate memory' >&2; exit 244", RetryLater, True, "ran out of memory"),
        ("kill -KILL $$", RetryLater, True, r"was killed \(SIGKILL\)"),
        ("kill -TERM $$", RetryLater, True, r"was killed \(SIGTERM\)"),
        ("exit 255", RetryLater, True, "asked to stop from outside"),
        ("kill -SEGV $$", Refused, None, r"crashed on this file \(SIGSEGV"),
        (
            "echo '[x @ 0x1] Invalid data found' >&2; exit 183",
            Refused,
            None,
            r"cannot process this file: Invalid data found \(exit code 183\)",
        ),
    ],
)
async def test_the_fate_of_a_run_follows_from_its_end(tmp_path, script, fate, counts, sentence):
    run = Run(tmp_path, looks_like_ffmpeg(tmp_path, script))
    run.output.write_bytes(b"half")
    with pytest.raises(fate, match=sentence) as caught:
        await run()
    assert getattr(caught.value, "counts", None) is counts
    assert not run.output.exists()
    assert not [event for event in run.events if isinstance(event, EncodeEnded)]


async def test_too_little_room_on_the_disk_is_nobodys_failure_and_nothing_starts(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    run = Run(tmp_path, disk_reserve=2 * free)
    with pytest.raises(RetryLater, match=r"kept in reserve: free some space") as caught:
        await run("-version")
    assert not caught.value.counts
    assert run.events == []


@pytest.mark.slow
async def test_a_disk_that_fills_up_meanwhile_ends_the_run(tmp_path, monkeypatch):
    rooms = iter([10 << 30, 1 << 20])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, next(rooms)))
    run = Run(tmp_path, disk_reserve=1 << 30)
    async with asyncio.timeout(60):
        with pytest.raises(RetryLater, match="has 1 MiB free"):
            await run(*ENDLESS, run.output)
    assert not run.output.exists()


async def test_a_limit_of_memory_holds_and_its_sentence_names_it(tmp_path):
    run = Run(tmp_path, memory=300 << 20)
    with pytest.raises((RetryLater, Refused)):
        await run("-v", "error", "-f", "lavfi", "-i", "color=s=7680x4320:d=2", "-y", "-c:v", "libx264", run.output)


async def test_progress_is_told_in_seconds_of_media(tmp_path):
    script = "printf 'out_time_us=500000\\nspeed=2.5x\\nprogress=continue\\nout_time_us=9000000\\nprogress=end\\n'"
    run = Run(tmp_path, looks_like_ffmpeg(tmp_path, script))
    await run(duration=1.0)
    assert run.progress == [(0.5, 1.0, "s", 2.5), (1.0, 1.0, "s", None)]


async def test_two_runs_at_once_are_counted(tmp_path):
    slow = looks_like_ffmpeg(tmp_path, "sleep 0.3")
    shared = Shared()
    runs = [Run(tmp_path, slow, shared=shared) for _ in range(2)]
    await asyncio.gather(*(run() for run in runs))
    assert max(event.running for run in runs for event in run.events if isinstance(event, EncodeCount)) == 2
    assert shared.get(ffmpeg_process.RunningEncodes).count == 0


async def test_the_ffmpeg_of_the_wheel_can_do_what_is_needed():
    found = await ffmpeg_process.capabilities(Encoder(ffmpeg_process.default_ffmpeg()))
    assert found.version
    assert found.missing == ()


async def test_what_an_ffmpeg_lacks_is_named(tmp_path):
    poor = looks_like_ffmpeg(
        tmp_path, 'echo "ffmpeg version 1.0 Copyright"; echo " A....D aac  AAC"; echo " T. fade  V->V  Fade"'
    )
    missing = (await ffmpeg_process.capabilities(Encoder(poor))).missing
    assert f"{poor} has no encoder libx264: set [ffmpeg] path to one that has it." in missing
    assert not [sentence for sentence in missing if "aac" in sentence or " fade:" in sentence]


async def test_an_ffmpeg_that_is_not_there_is_a_reason_and_no_error(tmp_path):
    found = await ffmpeg_process.capabilities(Encoder(tmp_path / "none"))
    assert len(found.missing) == 1
    assert "There is no program" in found.missing[0]


@pytest.mark.parametrize(
    ("text", "bits"), [("2M", 2_000_000), ("1.5M", 1_500_000), ("128k", 128_000), ("9000", 9000), (7, 7)]
)
def test_bit_rates_are_written_as_people_write_them(text, bits):
    assert parse_bit_rate(text) == bits


def test_a_bit_rate_that_is_none_is_a_fault():
    with pytest.raises(ValueError, match="write it like 128k or 2M"):
        parse_bit_rate("fast")


def test_a_temporary_name_is_new_each_time_and_what_was_left_is_removed(tmp_path):
    left = tmp_path / ".talk.0badcafe.part.mp4"
    other = tmp_path / ".other.0badcafe.part.mp4"
    left.touch()
    other.touch()
    part = temporary_path(tmp_path / "talk.mp4")
    assert part.parent == tmp_path
    assert part.name.startswith(".talk.")
    assert part != temporary_path(tmp_path / "talk.mp4")
    assert [path.name for path in tmp_path.iterdir()] == [other.name]

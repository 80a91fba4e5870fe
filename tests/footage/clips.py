"""Tiny media with known facts, made by the ffmpeg of the wheel, and what can be measured of a result."""

import array
import subprocess
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import av

from vidd.media.ffmpeg.hooks import StepHooks
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.model.job import Job
from vidd.model.media import Artifact
from vidd.ports import Encoder, StepContext, Tools

FFMPEG = default_ffmpeg()
ENCODER = Encoder(FFMPEG, nice=0, threads=1, stall=30.0)
HOOKS = StepHooks(nullcontext, lambda *_: None, lambda _: None)
BITS = 12
# Twelve columns say the picture's number in binary, dark or bright; 8 pixels wide, so that an encoder keeps them.
NUMBERED = "geq=lum='if(mod(floor(N/pow(2,floor(X/8))),2),235,16)':cb=128:cr=128"
GREY = "geq=lum=180:cb=128:cr=128"


def ffmpeg(*words: object) -> None:
    subprocess.run([FFMPEG, "-nostdin", "-loglevel", "error", "-y", *map(str, words)], check=True, timeout=120)


def recording(
    path: Path,
    *,
    seconds: float = 4.0,
    rate: str = "25",
    size: str = "96x64",
    picture: str = NUMBERED,
    tracks: int = 1,
    sound: str = "sine=frequency=440:sample_rate=48000",
    output: tuple[object, ...] = (),
) -> Path:
    """A recording. The number of each picture can be read off it with `numbers`."""
    ffmpeg(
        *("-f", "lavfi", "-i", f"color=gray:s={size}:r={rate}:d={seconds}"),
        *(word for track in range(tracks) for word in ("-f", "lavfi", "-i", f"{sound}:duration={seconds}")),
        *("-filter:v", f"format=yuv420p,{picture}", "-fps_mode:v", "vfr", "-map", "0:v"),
        *(word for track in range(tracks) for word in ("-map", f"{track + 1}:a")),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", 10, "-g", 30, "-bf", 2, "-c:a", "aac"),
        *(output or ("-movflags", "+faststart")),
        path,
    )
    return path


def pictures(path: Path) -> list[tuple[float, av.VideoFrame]]:
    """(seconds from the file's start, picture) of all pictures, rotation not applied."""
    with av.open(str(path)) as file:
        start = (file.start_time or 0) / av.time_base
        return [(frame.time - start, frame) for frame in file.decode(video=0)]


def _luma(frame: av.VideoFrame) -> tuple[memoryview, int]:
    plane = frame.planes[0]
    return memoryview(plane), plane.line_size


def brightness(frame: av.VideoFrame) -> float:
    """The mean of Y."""
    plane, line = _luma(frame)
    rows = [plane[row * line : row * line + frame.width] for row in range(frame.height)]
    return sum(sum(row) for row in rows) / (frame.width * frame.height)


def number(frame: av.VideoFrame) -> int:
    """What number a picture of `recording` has."""
    plane, line = _luma(frame)
    middle = frame.height // 2 * line
    return sum((plane[middle + 8 * bit + 4] > 125) << bit for bit in range(BITS))


def numbers(path: Path) -> list[int]:
    return [number(frame) for _, frame in pictures(path)]


def sound(path: Path, track: int = 0) -> array.array:
    """The samples of a sound track: mono, 48 kHz, 16 bits."""
    words = ["-v", "error", "-i", path, "-map", f"0:a:{track}", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"]
    return array.array("h", subprocess.run([FFMPEG, *words], check=True, capture_output=True, timeout=60).stdout)


def loudness(path: Path, at: float, track: int = 0) -> float:
    """RMS of a tenth of a second of sound around a time, 0 to 1."""
    here = sound(path, track)[max(0, round((at - 0.05) * 48000)) : round((at + 0.05) * 48000)]
    return (sum(level * level for level in here) / len(here)) ** 0.5 / 32768


class Watched:
    """A workbench whose progress and events are kept."""

    def __init__(
        self, directory: Path, source: Path, *, name: str, talk=None, facts=None, encoder: Encoder | None = None
    ):
        self.progress, self.events = [], []
        now = datetime(2026, 11, 1, tzinfo=UTC)
        job = Job("j1", "key", "talks", "folder", source.as_uri(), name, now, now, facts=facts or {})
        tools = Tools(
            directory,
            encoder or ENCODER,
            clock=None,
            observe=self.events.append,
        )
        relative = source.relative_to(directory).as_posix()
        artifacts = {"source": Artifact("source", relative, source.stat().st_size)}
        self.context = StepContext(job, directory, tools, talk, artifacts, {}, lambda *told: self.progress.append(told))

    def with_artifacts(self, *more: Artifact) -> StepContext:
        return replace(
            self.context, artifacts={**self.context.artifacts, **{artifact.role: artifact for artifact in more}}
        )


def long_recording(path: Path, *, times: int, output: tuple[object, ...] = ("-movflags", "+faststart")) -> Path:
    """Many minutes of few bytes: one minute of test pictures (320x180, 2 s from keyframe to keyframe), again and again."""
    minute = path.with_name("minute.mp4")
    if not minute.exists():
        ffmpeg(
            *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=60"),
            *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=60"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "36", "-g", "50", "-bf", "2", "-c:a", "aac", minute),
        )
    ffmpeg("-stream_loop", times - 1, "-i", minute, "-c", "copy", *output, path)
    return path


def heard_and_seen(source: Path | str, start: float, end: float) -> str:
    """A sum of each decoded picture and piece of sound between two times, as `trim` reads them."""
    lead = min(start, 1.0)
    cut = f"trim=start={lead:.6f}:end={lead + end - start:.6f}"
    words = ["-v", "error", "-ss", f"{start - lead:.6f}", "-i", source, "-map", "0:V", "-map", "0:a?"]
    words += ["-filter:v", cut, "-filter:a", f"a{cut}", "-f", "framemd5", "-"]
    return subprocess.run([FFMPEG, *words], check=True, capture_output=True, text=True, timeout=60).stdout


@cache
def _film() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        return recording(Path(name) / "film.mp4", seconds=1).read_bytes()


def film(more: bytes) -> bytes:
    """A second of video that can be looked at, and these bytes in a box that nobody reads (ISO/IEC 14496-12, 8.1.2)."""
    return _film() + (len(more) + 8).to_bytes(4, "big") + b"free" + more

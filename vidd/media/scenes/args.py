"""ffmpeg arguments that detect scene cuts and split a video at them, and the parser of the detection. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.ffmpeg.args.common import global_args, input_limits, time_scale

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.model.media import Media, Video
    from vidd.model.scenes import Scene

_FRAME = re.compile(r"frame:(\d+)\s")
_CUT = "lavfi.scd.time="


@dataclass(frozen=True, slots=True)
class SceneCuts:
    """How many frames a video has, and the numbers of those that begin a scene (but the first)."""

    frames: int
    cuts: tuple[int, ...]


def detection_args(source: Path, output: Path, *, threshold: float, threads: int) -> list[str]:
    """Have the filter scdet examine every frame and write its metadata to the file `output`."""
    return [
        *global_args(),
        *input_limits(threads),
        *("-i", f"file:{source}"),
        *("-map", "0:V:0"),
        *("-filter:v", f"scdet=threshold={threshold:g},metadata=mode=print:file={_escape(str(output))}"),
        *("-fps_mode:v", "passthrough"),  # every frame once, so that they can be numbered
        *("-f", "null", "-"),
    ]


def _escape(text: str) -> str:
    """An option's value, escaped for the filter and again for the filter graph."""
    return re.sub(r"([\\'\[\],;])", r"\\\1", re.sub(r"([\\':])", r"\\\1", text))


def read_detection(text: str, name: str) -> SceneCuts:
    """Parse the file of `detection_args`: a line for each frame, and one more for each that begins a scene."""
    cuts, frames = [], 0
    for line in text.splitlines():
        if match := _FRAME.match(line):
            frames = int(match[1]) + 1
        elif line.startswith(_CUT) and frames > 1:
            cuts.append(frames - 1)
    if not frames:
        raise Refused(f"No frame of {quoted(name)} could be decoded: send the file again, whole.")
    return SceneCuts(frames, tuple(cuts))


def encode_args(
    source: Path,
    pattern: str,
    media: Media,
    scenes: Sequence[Scene],
    *,
    crf: int,
    preset: str,
    audio: bool,
    threads: int,
) -> list[str]:
    """Encode the video once, with a keyframe where each scene begins, and split it there.

    `pattern` is the path of the files with %d for their number; `audio` keeps the first audio track.
    """
    starts = [scene.start for scene in scenes[1:]]
    video = media.video[0]
    return [
        *global_args(),
        *input_limits(threads),
        *("-i", f"file:{source}"),
        *("-map", "0:V:0"),
        *(("-map", "0:a:0", "-c:a", "aac") if audio and media.audio else ()),
        *("-filter:v", ",".join([*_even_filters(video), "format=yuv420p"])),
        *("-c:v", "libx264", "-preset", preset, "-crf", str(crf)),
        *(("-force_key_frames:v", f"expr:{_any_of(starts)}") if starts else ()),
        *("-fps_mode:v", "passthrough"),
        *("-enc_time_base:v", f"1:{time_scale(video)}"),
        *_segment_args(pattern, starts, "mp4"),
    ]


def _any_of(numbers: Sequence[int]) -> str:
    """An ffmpeg expression: whether n is one of these. A balanced tree, since the parser's depth is limited."""
    if len(numbers) == 1:
        return f"eq(n,{numbers[0]})"
    half = len(numbers) // 2
    return f"({_any_of(numbers[:half])}+{_any_of(numbers[half:])})"


def copy_args(
    source: Path, pattern: str, scenes: Sequence[Scene], *, audio: bool, container: str, threads: int
) -> list[str]:
    """Split the video at keyframes, where all scenes must begin, and copy every packet unchanged."""
    return [
        *global_args(),
        *input_limits(threads),
        *("-i", f"file:{source}"),
        *("-map", "0:V:0"),
        *(("-map", "0:a:0?") if audio else ()),
        *("-c", "copy"),
        *_segment_args(pattern, [scene.start for scene in scenes[1:]], container),
    ]


def _segment_args(pattern: str, starts: Sequence[int], container: str) -> list[str]:
    return [
        *("-map_metadata", "-1"),  # recorders write places, serial numbers and people's names
        *("-map_chapters", "-1"),
        *("-f", "segment", "-segment_format", container),
        *(("-segment_format_options", "movflags=+faststart") if container == "mp4" else ()),
        # The muxer counts packets: in a closed GOP the packet number of a keyframe is its frame number.
        *(("-segment_frames", ",".join(map(str, starts))) if starts else ("-segment_time", "2000000")),
        *("-reset_timestamps", "1"),
        pattern,
    ]


def _even_filters(video: Video) -> list[str]:
    # 4:2:0 needs even sides; a line less is no resampling.
    return ["crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"] if any(side % 2 for side in video.display_size) else []

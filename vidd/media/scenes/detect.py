"""Where a video's scenes begin, and the files of the scenes: what ffmpeg is told, and what it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.ffmpeg.args import common as args_common

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.model.media import Media, Video
    from vidd.model.scenes import Scene

_FRAME = re.compile(r"frame:(\d+)\s")
_CUT = "lavfi.scd.time="


@dataclass(frozen=True, slots=True)
class Found:
    """How many pictures there are, and which ones begin a scene."""

    frames: int
    cuts: tuple[int, ...]


def detection(source: Path, told: Path, *, threshold: float, threads: int) -> list[str]:
    """Have the filter scdet look at every picture and write what it finds to the file `told`."""
    return [
        *args_common.begin(),
        *args_common.limits(threads),
        *("-i", f"file:{source}"),
        *("-map", "0:V:0"),
        *("-filter:v", f"scdet=threshold={threshold:g},metadata=mode=print:file={_in_graph(str(told))}"),
        *("-fps_mode:v", "passthrough"),  # every picture once, so that they can be numbered
        *("-f", "null", "-"),
    ]


def _in_graph(text: str) -> str:
    """A text as the value of an option (first) within a graph of filters (second): each has its own escapes."""
    return re.sub(r"([\\'\[\],;])", r"\\\1", re.sub(r"([\\':])", r"\\\1", text))


def read_detection(text: str, name: str) -> Found:
    """What the filters wrote: a line for each picture, and one more for each that begins a scene."""
    cuts, frames = [], 0
    for line in text.splitlines():
        if match := _FRAME.match(line):
            frames = int(match[1]) + 1
        elif line.startswith(_CUT) and frames > 1:
            cuts.append(frames - 1)
    if not frames:
        raise Refused(f"No picture of {quoted(name)} could be looked at: send the file again, whole.")
    return Found(frames, tuple(cuts))


def splitting(
    source: Path,
    pattern: str,
    media: Media,
    scenes: Sequence[Scene],
    *,
    crf: int,
    preset: str,
    sound: bool,
    threads: int,
) -> list[str]:
    """Encode all of it once, with a keyframe where each scene begins, and part it there.

    `pattern` is the path of the files with %d for their number.
    """
    starts = [scene.start for scene in scenes[1:]]
    video = media.video[0]
    return [
        *args_common.begin(),
        *args_common.limits(threads),
        *("-i", f"file:{source}"),
        *("-map", "0:V:0"),
        *(("-map", "0:a:0", "-c:a", "aac") if sound and media.audio else ()),
        *("-filter:v", ",".join([*_even(video), "format=yuv420p"])),
        *("-c:v", "libx264", "-preset", preset, "-crf", str(crf)),
        *(("-force_key_frames:v", f"expr:{_any_of(starts)}") if starts else ()),
        *("-fps_mode:v", "passthrough"),
        *("-enc_time_base:v", f"1:{args_common.time_scale(video)}"),
        *_parts(pattern, starts, "mp4"),
    ]


def _any_of(numbers: Sequence[int]) -> str:
    """Whether n is one of these. In pairs of pairs: the reader of expressions goes only so deep into a long sum."""
    if len(numbers) == 1:
        return f"eq(n,{numbers[0]})"
    half = len(numbers) // 2
    return f"({_any_of(numbers[:half])}+{_any_of(numbers[half:])})"


def parting(
    source: Path, pattern: str, scenes: Sequence[Scene], *, sound: bool, container: str, threads: int
) -> list[str]:
    """Part it at keyframes, where all scenes must begin, and copy every packet as it is."""
    return [
        *args_common.begin(),
        *args_common.limits(threads),
        *("-i", f"file:{source}"),
        *("-map", "0:V:0"),
        *(("-map", "0:a:0?") if sound else ()),
        *("-c", "copy"),
        *_parts(pattern, [scene.start for scene in scenes[1:]], container),
    ]


def _parts(pattern: str, starts: Sequence[int], container: str) -> list[str]:
    return [
        *("-map_metadata", "-1"),  # recorders write places, serial numbers and people's names
        *("-map_chapters", "-1"),
        *("-f", "segment", "-segment_format", container),
        *(("-segment_format_options", "movflags=+faststart") if container == "mp4" else ()),
        # Counted in packets as they are written: a keyframe that no picture before it refers past is also that picture.
        *(("-segment_frames", ",".join(map(str, starts))) if starts else ("-segment_time", "2000000")),
        *("-reset_timestamps", "1"),
        pattern,
    ]


def _even(video: Video) -> list[str]:
    # 4:2:0 needs even sides; a line less is no resampling.
    return ["crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"] if any(side % 2 for side in video.shown) else []

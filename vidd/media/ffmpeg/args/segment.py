"""ffmpeg arguments for a long encode made in segments: a range of its video, and its audio in one file. Pure.

The encoder is left alone: a segment ends where it makes a keyframe anyway, so the frames of one run of segments are those
of one file. A run that resumes where another was killed begins with a keyframe, and that is all it costs. The filters
work on the result's clock, from the cut's beginning, so a fade or anything else that is a function of time continues
over that place; only after them are the frames left out that exist already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.ffmpeg.args import common
from vidd.media.ffmpeg.args.common import (
    NO_GRAPH,
    AudioGraph,
    CutSource,
    EncodeSettings,
    audio_maps,
    format_seconds,
    global_args,
    input_args,
    mp4_args,
    split_args,
    time_scale,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import Rendition, RenditionSettings
    from vidd.model.media import Media

SEGMENT_NAME = "%05d.mp4"
SEGMENT_LIST = "closed"
"""The file in a run's directory that names the complete segments, one a line."""


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """Frames from `first` to before `beyond` (None: the end), in ticks of the result. A run's own clock starts at `first`."""

    first: int = 0
    beyond: int | None = None

    def filters(self, scale: int) -> list[str]:
        """The filters that follow all others; `scale` is ticks a second."""
        ticks = [f"settb=1/{scale}"]  # rounded here as the encoder would, so that the next filter can count on it
        if self.beyond is not None:
            ticks.append(f"trim=end_pts={self.beyond}")
        return [*ticks, f"trim=start_pts={self.first}", f"setpts=PTS-{self.first}"] if self.first else ticks


def video_args(
    source: CutSource,
    directory: Path,
    settings: EncodeSettings,
    frames: SegmentRange,
    *,
    every: float,
    overlay: Sequence[str] = (),
) -> list[str]:
    """The video of `trim_args`, in segments of at least `every` seconds in `directory`.

    `source.seek` may be after the cut's start, by whole seconds more than at the first run: then all times are rounded
    alike.
    """
    scale = time_scale(source.media.video[0])
    return [
        *global_args(),
        *input_args(source.path, settings.threads, source.seek),
        *common.video_args(source, settings, overlay=overlay, after=frames.filters(scale)),
        *segment_muxer_args(directory, scale, every, settings.threads),
        *_null_output_args(audio_maps(source.media)),
    ]


def single_file_args(
    source: CutSource, output: Path, settings: EncodeSettings, *, overlay: Sequence[str] = ()
) -> list[str]:
    """All of the video of `trim_args`, in one file."""
    scale = time_scale(source.media.video[0])
    return [
        *global_args(),
        *input_args(source.path, settings.threads, source.seek),
        *common.video_args(source, settings, overlay=overlay),
        *("-video_track_timescale", str(scale), "-movie_timescale", str(scale)),
        *mp4_args(output, source.media, settings.threads),
        *_null_output_args(audio_maps(source.media)),
    ]


def audio_args(source: CutSource, output: Path, settings: EncodeSettings, graph: AudioGraph = NO_GRAPH) -> list[str]:
    """The audio of `trim_args`, in one file; empty where the source has none."""
    if not audio_maps(source.media):
        return []
    return [
        *global_args(),
        *input_args(source.path, settings.threads, source.seek),
        *graph.inputs,
        *common.audio_args(source, settings, graph),
        *mp4_args(output, source.media, settings.threads),
        *_null_output_args(["-map", "0:V:0"]),
    ]


def rendition_video_args(
    source: Path,
    media: Media,
    outputs: Sequence[tuple[Rendition, Path, SegmentRange]],
    settings: RenditionSettings,
    *,
    seek: float,
    every: float,
) -> list[str]:
    """The video of `transcode_args`, each range in segments of at least `every` seconds in a directory of its own."""
    scales = [time_scale(media.video[0], rendition.fps) for rendition, _, _ in outputs]
    after = [frames.filters(scale) for (_, _, frames), scale in zip(outputs, scales, strict=True)]
    args = [
        *global_args(),
        *input_args(source, settings.threads, seek),
        *split_args([rendition for rendition, _, _ in outputs], [*restore_time_filters(seek), *settings.before], after),
    ]
    for number, (rendition, directory, frames) in enumerate(outputs):
        args += common.rendition_video_args(number, rendition, media, preset=settings.preset)
        args += settings.keyframe_args(frames.first / scales[number])
        args += segment_muxer_args(directory, scales[number], every, settings.threads)
    return [*args, *_null_output_args(audio_maps(media))]


def rendition_audio_args(
    source: Path, media: Media, outputs: Sequence[tuple[Rendition, Path]], *, threads: int = 0
) -> list[str]:
    """The audio of `transcode_args`, each rendition's in one file; empty where the source has none."""
    if not audio_maps(media):
        return []
    args = [*global_args(), *input_args(source, threads, 0.0)]
    for rendition, path in outputs:
        args += [*common.rendition_audio_args(rendition, media), *mp4_args(path, media, threads)]
    return [*args, *_null_output_args(["-map", "0:V:0"])]


def restore_time_filters(seek: float) -> list[str]:
    """The filter that gives frames the file's time again after a seek."""
    return [f"setpts=round(PTS+{format_seconds(seek)}/TB)"] if seek > 0 else []


def segment_muxer_args(directory: Path, scale: int, every: float, threads: int) -> list[str]:
    """The end of an output that is written in segments."""
    inside = {
        "video_track_timescale": scale,
        "movie_timescale": scale,  # so that the first frame's time is not rounded to 1/1000 s
        "write_tmcd": 0,
    }
    pattern = str(directory).replace("%", "%%")
    return [
        *(("-threads", str(threads)) if threads else ()),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-avoid_negative_ts", "disabled"),  # else all would be moved by the first one's delay
        *("-f", "segment", "-segment_time", format_seconds(every)),
        *("-segment_format", "mp4"),
        *("-segment_format_options", ":".join(f"{name}={value}" for name, value in inside.items())),
        *("-segment_list", f"file:{directory / SEGMENT_LIST}", "-segment_list_type", "flat"),
        f"file:{pattern}/{SEGMENT_NAME}",
    ]


def _null_output_args(maps: list[str]) -> list[str]:
    # Nothing is written; but a transport stream's clock starts with the first of the tracks that are used, so the
    # tracks are those of one run for all.
    return [*maps, "-c", "copy", "-t", "0", "-f", "null", "-"] if maps else []

"""Argument lists for a long encode that is made in segments: its picture from one place to another, and its sound. Pure.

The encoder is left alone: a segment ends where it makes a keyframe anyway, so one run of segments is, picture by
picture, what one file would have been. A run that goes on where another was killed begins with a keyframe, and that is
all it costs. Its filters work on the result's clock, from the cut's beginning, so a fade or anything else that is a
function of time goes on over the place; only after them are the pictures left out that are there already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.ffmpeg.args import common as args_common

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import Cut, Rendition
    from vidd.model.media import Media

SEGMENT = "%05d.mp4"
LIST = "closed"
"""The file in a run's directory that names the segments which are whole, a line each."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Pictures from `first` to before `beyond` (None: the end), in ticks of the result. A run's own clock starts at `first`."""

    first: int = 0
    beyond: int | None = None

    def filters(self, scale: int) -> list[str]:
        """What follows all other filters; `scale` is ticks a second."""
        ticks = [f"settb=1/{scale}"]  # rounded here as the encoder would, so that the next one can count on it
        if self.beyond is not None:
            ticks.append(f"trim=end_pts={self.beyond}")
        return [*ticks, f"trim=start_pts={self.first}", f"setpts=PTS-{self.first}"] if self.first else ticks


def picture(
    source: Path,
    room: Path,
    media: Media,
    cut: Cut,
    stretch: Stretch,
    *,
    seek: float,
    crf: int,
    preset: str,
    every: float,
    threads: int = 0,
    over: Sequence[str] = (),
) -> list[str]:
    """The picture of `args.trim`, in segments of at least `every` seconds in the directory `room`.

    `seek` may be after the cut's start, by whole seconds more than at the first run: then all times are rounded alike.
    """
    scale = args_common.time_scale(media.video[0])
    return [
        *args_common.begin(),
        *args_common.input_of(source, threads, seek),
        *args_common.picture(
            media, cut, cut.start - seek, crf=crf, preset=preset, over=over, after=stretch.filters(scale)
        ),
        *segments(room, scale, every, threads),
        *_beside(args_common.sound_maps(media)),
    ]


def in_one(
    source: Path,
    output: Path,
    media: Media,
    cut: Cut,
    *,
    seek: float,
    crf: int,
    preset: str,
    threads: int = 0,
    over: Sequence[str] = (),
) -> list[str]:
    """All of the picture of `args.trim`, in one file."""
    scale = args_common.time_scale(media.video[0])
    return [
        *args_common.begin(),
        *args_common.input_of(source, threads, seek),
        *args_common.picture(media, cut, cut.start - seek, crf=crf, preset=preset, over=over),
        *("-video_track_timescale", str(scale), "-movie_timescale", str(scale)),
        *args_common.end(output, media, threads),
        *_beside(args_common.sound_maps(media)),
    ]


def sound(
    source: Path,
    output: Path,
    media: Media,
    cut: Cut,
    *,
    seek: float,
    audio_bitrate: int,
    threads: int = 0,
    more: Sequence[str] = (),
    graph: Sequence[str] = (),
) -> list[str]:
    """The sound of `args.trim`, in one piece; no words where there is none."""
    if not args_common.sound_maps(media):
        return []
    return [
        *args_common.begin(),
        *args_common.input_of(source, threads, seek),
        *more,
        *args_common.sound(media, cut, cut.start - seek, audio_bitrate=audio_bitrate, graph=graph),
        *args_common.end(output, media, threads),
        *_beside(["-map", "0:V:0"]),
    ]


def renditions(
    source: Path,
    media: Media,
    outputs: Sequence[tuple[Rendition, Path, Stretch]],
    *,
    seek: float,
    preset: str,
    every: float,
    threads: int = 0,
) -> list[str]:
    """The pictures of `args.transcode`, each a stretch in segments of at least `every` seconds in a directory of its own."""
    scales = [args_common.time_scale(media.video[0], one.fps) for one, _, _ in outputs]
    after = [each.filters(scale) for (_, _, each), scale in zip(outputs, scales, strict=True)]
    words = [
        *args_common.begin(),
        *args_common.input_of(source, threads, seek),
        *args_common.split([one for one, _, _ in outputs], since(seek), after),
    ]
    for number, (one, room, _) in enumerate(outputs):
        words += args_common.rendition(number, one, media, preset=preset)
        words += segments(room, scales[number], every, threads)
    return [*words, *_beside(args_common.sound_maps(media))]


def renditions_sound(
    source: Path, media: Media, outputs: Sequence[tuple[Rendition, Path]], *, threads: int = 0
) -> list[str]:
    """The sound of `args.transcode`, each in one piece; no words where there is none."""
    if not args_common.sound_maps(media):
        return []
    words = [*args_common.begin(), *args_common.input_of(source, threads, 0.0)]
    for one, path in outputs:
        words += [*args_common.rendition_sound(one, media), *args_common.end(path, media, threads)]
    return [*words, *_beside(["-map", "0:V:0"])]


def since(seek: float) -> list[str]:
    """The filter that gives pictures the file's time again after a seek."""
    return [f"setpts=round(PTS+{args_common.number(seek)}/TB)"] if seek > 0 else []


def segments(room: Path, scale: int, every: float, threads: int) -> list[str]:
    """What an output ends with that is written in segments."""
    inside = {
        "video_track_timescale": scale,
        "movie_timescale": scale,  # so that the first picture's time is not rounded to 1/1000 s
        "write_tmcd": 0,
    }
    pattern = str(room).replace("%", "%%")
    return [
        *(("-threads", str(threads)) if threads else ()),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-avoid_negative_ts", "disabled"),  # else all would be moved by the first one's delay
        *("-f", "segment", "-segment_time", args_common.number(every)),
        *("-segment_format", "mp4"),
        *("-segment_format_options", ":".join(f"{name}={value}" for name, value in inside.items())),
        *("-segment_list", f"file:{room / LIST}", "-segment_list_type", "flat"),
        f"file:{pattern}/{SEGMENT}",
    ]


def _beside(maps: list[str]) -> list[str]:
    # Nothing is written; but a transport stream's clock starts with the first of the tracks that are used, so the
    # same ones are used as by one run for all.
    return [*maps, "-c", "copy", "-t", "0", "-f", "null", "-"] if maps else []

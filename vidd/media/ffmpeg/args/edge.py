"""ffmpeg arguments for the parts of a smart cut that are encoded: the lead-in, the lead-out and the audio. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.ffmpeg.args.audio_mix import mix_graph
from vidd.media.ffmpeg.args.common import (
    CutSource,
    EncodeSettings,
    audio_filters,
    fade_filters,
    format_seconds,
    global_args,
    input_limits,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction
    from pathlib import Path

    from vidd.media.ffmpeg.args.audio_mix import FullTrack
    from vidd.media.ffmpeg.timebase import Ticks

# The profile of the source, by profile_idc (H.264 table in annex A); for any other the encoder chooses.
_PROFILES = {66: "baseline", 77: "main", 88: "main", 100: "high", 110: "high10", 122: "high422", 244: "high444"}

# SVT-AV1 presets by x264's names: from 10 on it leaves visible artefacts, with 10 bits from 8 on. Its scale of quality
# ends at 63.
_SVT_PRESETS = {
    "ultrafast": 9,
    "superfast": 9,
    "veryfast": 8,
    "faster": 8,
    "fast": 7,
    "medium": 6,
    "slow": 5,
    "slower": 4,
    "veryslow": 3,
}


@dataclass(frozen=True, slots=True)
class EdgeSpan:
    """Frames from `start` to before `end` (ticks of the source), decoded from the keyframe at `keyframe` on.

    `parameter_set_id` is the id of its parameter sets (x264 writes it, x265 does not); `reordered` allows B-frames. `idr` is the
    number of a frame that must be an IDR frame, and no other but the first; `intra` makes every frame one.
    """

    start: int
    end: int
    keyframe: int
    parameter_set_id: int
    reordered: bool
    idr: int | None = None
    intra: bool = False


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The codec, pixel format and profile_idc of a source, for an encode that can be joined to it."""

    codec: str
    pixel_format: str
    profile: int


def video_args(
    source: CutSource,
    output: Path,
    span: EdgeSpan,
    video_format: VideoFormat,
    settings: EncodeSettings,
    *,
    ticks: Ticks,
    time_base: Fraction,
) -> list[str]:
    """Encode one edge of the video, on the result's clock `ticks`; `time_base` is the source's."""
    cut = source.cut
    filters = [
        *_span_filters(span, ticks),
        *fade_filters("", cut.length, cut.fade),
        f"format={video_format.pixel_format}",
    ]
    return [
        *global_args(),
        *input_limits(settings.threads),
        "-noautorotate",  # the result's header turns the copied frames, and so these
        "-copyts",  # the packets were counted on the file's own clock
        *("-noaccurate_seek", "-seek_timestamp", "1", "-ss", _seek_time(source, span, time_base)),
        *("-i", f"file:{source.path}"),
        *("-map", "0:V:0", "-an", "-sn", "-dn"),
        *("-filter:v", ",".join(filters)),
        *encoder_args(video_format, span, crf=settings.crf, preset=settings.preset, threads=settings.threads),
        *output_args(output, ticks.scale),
    ]


def encoder_args(video_format: VideoFormat, span: EdgeSpan, *, crf: int, preset: str, threads: int) -> list[str]:
    """The encoder for this format and its options."""
    return [
        *{"h264": _x264, "hevc": _x265, "av1": _svtav1}[video_format.codec](span, video_format, threads),
        *_quality_args(video_format, preset, crf),
        *(("-threads", str(threads)) if threads else ()),
    ]


def output_args(output: Path, scale: int) -> list[str]:
    """A video file for the joiner, its times unchanged, on a clock of `scale` ticks a second."""
    return [
        *("-fps_mode:v", "passthrough", "-enc_time_base:v", f"1:{scale}"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-write_tmcd", "0"),
        *("-video_track_timescale", str(scale)),
        *("-movie_timescale", str(scale)),  # so that the first frame's time is not rounded to 1/1000 s
        *("-f", "mp4", f"file:{output}"),
    ]


def _span_filters(span: EdgeSpan, ticks: Ticks) -> list[str]:
    return [
        f"settb=1/{ticks.scale}",
        f"trim=start_pts={span.start * ticks.finer}:end_pts={span.end * ticks.finer}",
        f"setpts=PTS-({ticks.origin})",
    ]


def _seek_time(source: CutSource, span: EdgeSpan, time_base: Fraction) -> str:
    container, at = source.media.container, float(span.keyframe * time_base)
    # MP4 finds the keyframe by its own time; others seek on the clock of decoding, which runs ahead, or have no index.
    early = 0.0 if container.startswith("mov") else 2.0 if container.startswith("mpegts") else 0.001
    return format_seconds(max(at - early, source.media.start))


def _quality_args(video_format: VideoFormat, preset: str, crf: int) -> tuple[str, ...]:
    if video_format.codec == "av1":
        quickest = 9 if video_format.pixel_format == "yuv420p" else 7
        return "-preset", str(min(quickest, _SVT_PRESETS[preset])), "-crf", str(round(crf * 63 / 51))
    return "-preset", preset, "-crf", str(crf)


def _x264(span: EdgeSpan, video_format: VideoFormat, _threads: int) -> list[str]:
    profile = _PROFILES.get(video_format.profile)
    plain = ":keyint=infinite:scenecut=0:ref=1:weightp=0"
    return [
        *("-c:v", "libx264"),
        *(("-profile:v", profile) if profile else ()),
        *("-pix_fmt", video_format.pixel_format),
        *(() if span.reordered else ("-bf", "0")),
        *(("-g", "1") if span.intra else ()),
        # So plain that its frames can be renumbered: each is a reference, and refers to the one before.
        *(("-forced-idr", "1", "-force_key_frames", f"expr:eq(n,{span.idr})") if span.idr is not None else ()),
        *("-x264-params", f"sps-id={span.parameter_set_id}:open-gop=0{plain if span.idr is not None else ''}"),
    ]


def _x265(span: EdgeSpan, _video_format: VideoFormat, threads: int) -> list[str]:
    pool = f":pools={threads}" if threads else ""
    # No wavefront rows: their entry points would be counted in bytes that renaming the parameter sets moves.
    return [
        *("-c:v", "libx265", "-tag:v", "hvc1"),
        *(() if span.reordered else ("-bf", "0")),
        *("-x265-params", f"open-gop=0:wpp=0:info=0:hash=0:aud=0:hrd=0:repeat-headers=0:log-level=error{pool}"),
    ]


def _svtav1(_span: EdgeSpan, video_format: VideoFormat, threads: int) -> list[str]:
    return [
        *("-c:v", "libsvtav1", "-pix_fmt", video_format.pixel_format),
        *(("-svtav1-params", f"lp={threads}") if threads else ()),
    ]


def audio_args(
    source: CutSource, output: Path, tracks: Sequence[FullTrack], *, audio_bitrate: int, threads: int = 0
) -> list[str]:
    """Encode these audio tracks of the cut in full, as the full cut would."""
    begin, cut = source.media.start, source.cut
    graph = mix_graph(tracks, audio_filters(begin + cut.start, cut), threads)
    return [
        *global_args(),
        *input_limits(threads),
        # Else the clock of a transport stream would start with the first track that is used.
        *("-copyts", "-noaccurate_seek", "-seek_timestamp", "1", "-ss", format_seconds(begin + source.seek)),
        *("-i", f"file:{source.path}"),
        *graph.inputs,
        *graph.args,
        *("-c:a", "aac", "-b:a", str(audio_bitrate)),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-f", "mp4", f"file:{output}"),
    ]

"""Argument lists for the pieces of a cut that are encoded apart: the picture's head and tail, and the sound. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vidd.media.ffmpeg.args import audio_mix
from vidd.media.ffmpeg.args import common as args_common

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.args.audio_mix import Heard
    from vidd.media.ffmpeg.args.common import Cut
    from vidd.media.smartcut.plan import Ticks
    from vidd.model.media import Media

# The profile of the source, by profile_idc (H.264 table in annex A); what is not named the encoder chooses itself.
_PROFILES = {66: "baseline", 77: "main", 88: "main", 100: "high", 110: "high10", 122: "high422", 244: "high444"}

# How much time SVT-AV1 takes, by x264's words for it: from 10 on it leaves marks, of 10 bits from 8 on. Its scale of
# quality ends at 63.
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
class Piece:
    """Pictures from `start` to before `end` (ticks of the source), decoded from the keyframe at `keyframe` on.

    `name` is the id that its parameter sets get (x264 names them itself, x265 does not); `reordered` allows pictures
    that are decoded after such as are shown later. `idr` is the number of a picture that is to be an IDR picture, and
    none but it and the first; `intra` makes all of them so.
    """

    start: int
    end: int
    keyframe: int
    name: int
    reordered: bool
    idr: int | None = None
    intra: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What a source's pictures are like, so that the encoder makes them in the same way."""

    codec: str
    pixel_format: str
    profile: int


def picture(
    source: Path,
    output: Path,
    media: Media,
    piece: Piece,
    look: Look,
    *,
    cut: Cut,
    ticks: Ticks,
    time_base: Fraction,
    crf: int,
    preset: str,
    threads: int = 0,
) -> list[str]:
    """Encode one edge of the picture; its times are those in the result, on the result's clock."""
    return [
        *args_common.begin(),
        *args_common.limits(threads),
        "-noautorotate",  # the result's header turns the copied pictures, and so these
        "-copyts",  # the packets were counted on the file's own clock
        *("-noaccurate_seek", "-seek_timestamp", "1", "-ss", _seek(media, piece, time_base)),
        *("-i", f"file:{source}"),
        *("-map", "0:V:0", "-an", "-sn", "-dn"),
        *(
            "-filter:v",
            ",".join(
                [*_picked(piece, ticks), *args_common.fades("", cut.length, cut.fade), f"format={look.pixel_format}"]
            ),
        ),
        *encoded(look, piece, crf=crf, preset=preset, threads=threads),
        *written(output, ticks.scale),
    ]


def encoded(look: Look, piece: Piece, *, crf: int, preset: str, threads: int) -> list[str]:
    """The encoder and how it is to make a piece."""
    return [
        *{"h264": _x264, "hevc": _x265, "av1": _svtav1}[look.codec](piece, look, threads),
        *_quality(look, preset, crf),
        *(("-threads", str(threads)) if threads else ()),
    ]


def written(output: Path, scale: int) -> list[str]:
    """A file of pictures for the joiner, with their times as they are, in ticks of which there are `scale` a second."""
    return [
        *("-fps_mode:v", "passthrough", "-enc_time_base:v", f"1:{scale}"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-write_tmcd", "0"),
        *("-video_track_timescale", str(scale)),
        *("-movie_timescale", str(scale)),  # so that the first picture's time is not rounded to 1/1000 s
        *("-f", "mp4", f"file:{output}"),
    ]


def _picked(piece: Piece, ticks: Ticks) -> list[str]:
    return [
        f"settb=1/{ticks.scale}",
        f"trim=start_pts={piece.start * ticks.finer}:end_pts={piece.end * ticks.finer}",
        f"setpts=PTS-({ticks.origin})",
    ]


def _seek(media: Media, piece: Piece, time_base: Fraction) -> str:
    at = float(piece.keyframe * time_base)
    # MP4 finds the keyframe by its own time; others seek on the clock of decoding, which runs ahead, or have no index.
    early = 0.0 if media.container.startswith("mov") else 2.0 if media.container.startswith("mpegts") else 0.001
    return args_common.number(max(at - early, media.start))


def _quality(look: Look, preset: str, crf: int) -> tuple[str, ...]:
    if look.codec == "av1":
        quickest = 9 if look.pixel_format == "yuv420p" else 7
        return "-preset", str(min(quickest, _SVT_PRESETS[preset])), "-crf", str(round(crf * 63 / 51))
    return "-preset", preset, "-crf", str(crf)


def _x264(piece: Piece, look: Look, threads: int) -> list[str]:  # noqa: ARG001 - encoders have one shape
    profile = _PROFILES.get(look.profile)
    plain = ":keyint=infinite:scenecut=0:ref=1:weightp=0"
    return [
        *("-c:v", "libx264"),
        *(("-profile:v", profile) if profile else ()),
        *("-pix_fmt", look.pixel_format),
        *(() if piece.reordered else ("-bf", "0")),
        *(("-g", "1") if piece.intra else ()),
        # So plain that its pictures can be numbered anew: each a reference, and refers to the one before.
        *(("-forced-idr", "1", "-force_key_frames", f"expr:eq(n,{piece.idr})") if piece.idr is not None else ()),
        *("-x264-params", f"sps-id={piece.name}:open-gop=0{plain if piece.idr is not None else ''}"),
    ]


def _x265(piece: Piece, look: Look, threads: int) -> list[str]:  # noqa: ARG001
    pool = f":pools={threads}" if threads else ""
    # No rows side by side: their entry points would be counted in bytes that renaming the sets moves.
    return [
        *("-c:v", "libx265", "-tag:v", "hvc1"),
        *(() if piece.reordered else ("-bf", "0")),
        *("-x265-params", f"open-gop=0:wpp=0:info=0:hash=0:aud=0:hrd=0:repeat-headers=0:log-level=error{pool}"),
    ]


def _svtav1(piece: Piece, look: Look, threads: int) -> list[str]:  # noqa: ARG001
    return [
        *("-c:v", "libsvtav1", "-pix_fmt", look.pixel_format),
        *(("-svtav1-params", f"lp={threads}") if threads else ()),
    ]


def sound(
    source: Path,
    output: Path,
    tracks: Sequence[Heard],
    cut: Cut,
    *,
    begin: float,
    seek: float,
    audio_bitrate: int,
    threads: int = 0,
) -> list[str]:
    """Encode these sound tracks of the cut whole, as the full encode would; the file's own clock starts at `begin`."""
    inputs, graph = audio_mix.graph(tracks, args_common.sound_chain(begin + cut.start, cut), threads)
    return [
        *args_common.begin(),
        *args_common.limits(threads),
        # Else the clock of a transport stream would start with the first track that is used.
        *("-copyts", "-noaccurate_seek", "-seek_timestamp", "1", "-ss", args_common.number(begin + seek)),
        *("-i", f"file:{source}"),
        *inputs,
        *graph,
        *("-c:a", "aac", "-b:a", str(audio_bitrate)),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-f", "mp4", f"file:{output}"),
    ]

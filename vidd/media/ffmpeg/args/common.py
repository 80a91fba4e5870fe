"""Argument lists for ffmpeg. Pure functions; read them from top to bottom as pairs, the program's name left out.

-xerror is in none of them: it would throw an hour's talk away for one damaged packet of a stage recorder. ffmpeg
goes on over damage, and the check of what came out decides (`verify.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vidd.media.ffmpeg.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.model.media import Audio, Media, Video


@dataclass(frozen=True, slots=True)
class Cut:
    """What is taken of a file, and how long picture and sound fade at both ends. Seconds from the file's start."""

    start: float
    end: float
    fade: float = 0.0

    @property
    def length(self) -> float:
        """Seconds that come out."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Rendition:
    """One size of a video. Bit rates are bits per second; `fps` None keeps the source's pictures as they are."""

    name: str
    width: int
    height: int
    video_bitrate: int
    audio_bitrate: int
    fps: float | None = None

    @property
    def most_bits_per_second(self) -> int:
        """What the rate control may reach for a while; it may also start with two seconds' worth in hand."""
        return self.video_bitrate * 3 // 2


def trim(
    source: Path,
    output: Path,
    media: Media,
    cut: Cut,
    *,
    seek: float,
    crf: int,
    preset: str,
    audio_bitrate: int,
    threads: int = 0,
    over: Sequence[str] = (),
    more: Sequence[str] = (),
    graph: Sequence[str] = (),
) -> list[str]:
    """Cut, frame-exact, with fades; everything is encoded anew. `seek` (seconds) is at or before `cut.start`.

    `over` is that of `picture`, `graph` that of `sound`, and `more` are the inputs it takes besides the source.
    """
    lead = cut.start - seek
    return [
        *begin(),
        *input_of(source, threads, seek),
        *more,
        *picture(media, cut, lead, crf=crf, preset=preset, over=over),
        *sound(media, cut, lead, audio_bitrate=audio_bitrate, graph=graph),
        *("-video_track_timescale", str(time_scale(media.video[0]))),
        *end(output, media, threads),
    ]


def picture(
    media: Media,
    cut: Cut,
    lead: float,
    *,
    crf: int,
    preset: str,
    over: Sequence[str] = (),
    after: Sequence[str] = (),
) -> list[str]:
    """The talk's picture; `lead` is where the cut starts in what is read, `after` are filters that follow all others.

    `over` are those that put something over it, before it fades.
    """
    return [
        *("-map", "0:V:0"),  # V, not v: the picture of the recording, and no cover
        *("-filter:v", ",".join([*picture_chain(media, cut, lead, over), *after])),
        *("-c:v", "libx264", "-preset", preset, "-crf", str(crf)),
        *times(media.video[0]),
    ]


def picture_chain(media: Media, cut: Cut, lead: float, over: Sequence[str] = ()) -> list[str]:
    """The filters that make the talk's picture, on the result's clock."""
    video = media.video[0]
    return [*_whole(video), *_cut("", lead, cut), *_plain(video), *over, *fades("", cut.length, cut.fade)]


def sound(media: Media, cut: Cut, lead: float, *, audio_bitrate: int, graph: Sequence[str] = ()) -> list[str]:
    """The talk's sound, as above; `graph` is another one for it, with its maps."""
    return [
        *(graph or (*sound_maps(media), "-filter:a", ",".join(sound_chain(lead, cut)))),
        *("-c:a", "aac", "-b:a", str(audio_bitrate)),
    ]


def transcode(
    source: Path,
    outputs: Sequence[tuple[Rendition, Path]],
    media: Media,
    *,
    preset: str,
    threads: int = 0,
) -> list[str]:
    """Several renditions of a whole file, which is decoded once."""
    args = [*begin(), *input_of(source, threads, 0.0), *split([one for one, _ in outputs])]
    for number, (one, path) in enumerate(outputs):
        args += [
            *rendition(number, one, media, preset=preset),
            *rendition_sound(one, media),
            *("-video_track_timescale", str(time_scale(media.video[0], one.fps))),
            *end(path, media, threads),
        ]
    return args


def split(outputs: Sequence[Rendition], before: Sequence[str] = (), after: Sequence[Sequence[str]] = ()) -> list[str]:
    """The filters of several renditions; `before` are such that precede all others, `after` those that follow, of each."""
    heads = "".join(f"[in{number}]" for number in range(len(outputs)))
    branches = [
        ",".join(
            [
                f"[in{number}]scale={one.width}:{one.height}",
                "format=yuv420p",
                *([f"fps={one.fps:g}"] if one.fps else []),
                *(after[number] if after else ()),
            ]
        )
        + f"[out{number}]"
        for number, one in enumerate(outputs)
    ]
    return ["-filter_complex", ";".join(["[0:V:0]" + ",".join([*before, f"split={len(outputs)}"]) + heads, *branches])]


def rendition(number: int, one: Rendition, media: Media, *, preset: str) -> list[str]:
    """The picture of the `number`th of the renditions that are split."""
    return [
        *("-map", f"[out{number}]"),
        *("-c:v", "libx264", "-preset", preset, "-b:v", str(one.video_bitrate)),
        # A bound and not only an average, so that a rendition for 2 Mbit/s does play at 2 Mbit/s.
        *("-maxrate", str(one.most_bits_per_second), "-bufsize", str(2 * one.video_bitrate)),
        *times(media.video[0], one.fps),
    ]


def rendition_sound(one: Rendition, media: Media) -> list[str]:
    """Its sound."""
    return [*sound_maps(media), *("-filter:a", UNBROKEN), *("-c:a", "aac", "-b:a", str(one.audio_bitrate))]


def time_scale(video: Video, fps: float | None = None) -> int:
    """Ticks per second in which every picture of this rate lies on a tick; 90000 where the rate varies."""
    rate = Fraction(fps or video.rate or 25).limit_denominator(1001)
    if video.variable and not fps:
        return 90000
    scale = rate.numerator
    while scale < 10000:
        scale *= 2
    return scale


# Silence where the sound starts late or has a hole of 20 ms: AAC in MP4 has none, so all after it would come too early.
UNBROKEN = "aresample=async=1:min_hard_comp=0.02:first_pts=0"


def begin() -> list[str]:
    """What every run starts with."""
    return [
        "-nostdin",  # else ffmpeg reads keys from a terminal and stops when it has none
        "-hide_banner",
        *("-loglevel", "error"),
        *("-progress", "pipe:1", "-nostats"),
        "-y",  # the output has a temporary name of our own
    ]


def limits(threads: int) -> list[str]:
    """What a source may make ffmpeg use and open."""
    return [
        *_threads(threads),
        *("-protocol_whitelist", "file"),  # foreign media may name addresses to open
        *("-format_whitelist", ",".join(FORMATS)),
    ]


def input_of(source: Path, threads: int, seek: float) -> list[str]:
    """A foreign file as an input, from about `seek` seconds on."""
    return [
        *limits(threads),
        *(("-ss", number(seek)) if seek > 0 else ()),
        *("-i", f"file:{source}"),  # file: so that no name is taken for an option, a pattern or an address
    ]


def sound_maps(media: Media) -> list[str]:
    """All tracks of sound that can be decoded."""
    # One by one: "0:a?" fails altogether where one track has no decoder (phones write such beside the usual one).
    return [word for number, _ in _sound(media) for word in ("-map", f"0:a:{number}")]


def _sound(media: Media) -> list[tuple[int, Audio]]:
    return [(number, one) for number, one in enumerate(media.audio) if one.codec != "unknown"]


def _cut(a: str, lead: float, cut: Cut) -> list[str]:
    # Not PTS-STARTPTS: picture and sound begin at different times, and that difference must stay. round(), since
    # setpts cuts off.
    return [
        f"{a}trim=start={number(lead)}:end={number(lead + cut.length)}",
        f"{a}setpts=round(PTS{'-' if lead >= 0 else '+'}{number(abs(lead))}/TB)",
    ]


def sound_chain(lead: float, cut: Cut) -> list[str]:
    """The filters that cut and fade sound; `lead` is where the cut starts in what is read."""
    return [*_cut("a", lead, cut), UNBROKEN, *fades("a", cut.length, cut.fade)]


def fades(a: str, seconds: float, fade: float) -> list[str]:
    """The filters that let something of so many seconds fade in and out; `a` is "a" for sound."""
    if fade <= 0:
        return []
    length = number(fade)
    return [f"{a}fade=t=in:st=0:d={length}", f"{a}fade=t=out:st={number(seconds - fade)}:d={length}"]


def _whole(video: Video) -> list[str]:
    return [
        f"settb=1/{time_scale(video)}",  # a tick may be a whole frame (AVI), and the cut begin in the middle of one
        # No browser does it. Only where it is needed: it loses a picture where the size changes on the way.
        *(["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []),
    ]


def _plain(video: Video) -> list[str]:
    # 4:2:0 needs even sides; a line less is no resampling. Fades end in the black of the usual range.
    even = ["crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"] if any(side % 2 for side in video.shown) else []
    return [*even, "scale=out_range=tv", "format=yuv420p"]


def times(video: Video, fps: float | None = None) -> list[str]:
    """How the encoder gets its pictures' times."""
    return [
        *("-fps_mode:v", "vfr"),  # every picture at its own time: none doubled, none dropped
        # By default one tick per frame, which would round a varying rate.
        *("-enc_time_base:v", f"1:{time_scale(video, fps)}"),
    ]


def end(output: Path, media: Media, threads: int) -> list[str]:
    """What every MP4 file ends with, its name last."""
    return [
        *_threads(threads),
        *("-map_metadata", "-1"),  # recorders write places, serial numbers and people's names
        *_languages(media),  # which the line above took away too
        *("-map_chapters", "-1"),
        *("-write_tmcd", "0"),  # no time code track of the recorder's clock
        *("-max_muxing_queue_size", "4096"),  # sound waits here for the first picture, which may start late
        *("-movflags", "+faststart"),  # the index in front: players start without the whole file
        *("-f", "mp4"),
        f"file:{output}",
    ]


def _languages(media: Media) -> list[str]:
    told = [(place, one.language) for place, (_, one) in enumerate(_sound(media)) if one.language]
    return [word for place, language in told for word in (f"-metadata:s:a:{place}", f"language={language}")]


def _threads(threads: int) -> list[str]:
    return ["-threads", str(threads)] if threads else []


def number(seconds: float) -> str:
    """Seconds as ffmpeg reads them, to the microsecond."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")

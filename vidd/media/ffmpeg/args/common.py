"""ffmpeg argument lists for cuts and renditions, without the program's name. Pure.

-xerror is in none of them: one damaged packet of a stage recorder would end an hour's talk. ffmpeg continues past damage,
and the check of the result decides (`media.verify`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

from vidd.media.ffmpeg.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.model.media import Audio, Media, Video

# Silence where the audio starts late or has a gap of 20 ms: AAC in MP4 has no gaps, so all after one would come too early.
FILL_GAPS = "aresample=async=1:min_hard_comp=0.02:first_pts=0"


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of a file from `start` to `end` (seconds from the file's start); video and audio fade for `fade` seconds at both ends."""

    start: float
    end: float
    fade: float = 0.0

    @property
    def length(self) -> float:
        """Seconds of the result."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class CutSource:
    """A cut of the recording `path`, which holds `media`. Reading begins at `seek` seconds, at or before the cut's start."""

    path: Path
    media: Media
    cut: Cut
    seek: float = 0.0

    @property
    def lead(self) -> float:
        """Seconds from where reading begins to where the cut starts."""
        return self.cut.start - self.seek


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """Settings of libx264 (`crf`, `preset`), of AAC (`audio_bitrate`, bits per second) and of both (`threads`, 0: automatic)."""

    crf: int
    preset: str
    audio_bitrate: int
    threads: int = 0


@dataclass(frozen=True, slots=True)
class AudioGraph:
    """A filter graph that makes the audio tracks: the `inputs` it reads besides the recording, and its `args` with maps.

    Both are empty where the recording's tracks are simply cut.
    """

    inputs: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


NO_GRAPH = AudioGraph()


@dataclass(frozen=True, slots=True)
class Rendition:
    """One size of a video. Bit rates are bits per second; `fps` None keeps the source's frames as they are."""

    name: str
    width: int
    height: int
    video_bitrate: int
    audio_bitrate: int
    fps: float | None = None

    @property
    def most_bits_per_second(self) -> int:
        """The bit rate that rate control may reach for a while; it may also start with two seconds' worth in hand."""
        return self.video_bitrate * 3 // 2


@dataclass(frozen=True, slots=True)
class RenditionSettings:
    """What all renditions of a file share: x264's `preset`, `threads` (0: automatic), and `before`, filters on the source's frames.

    With `keyframes` each rendition has a keyframe at every multiple of so many seconds, besides those x264 makes anyway.
    """

    preset: str
    threads: int = 0
    before: tuple[str, ...] = ()
    keyframes: float = 0.0

    def keyframe_args(self, begin: float = 0.0) -> list[str]:
        """The option that makes keyframes, for a run whose time 0 is at `begin` seconds of the whole."""
        if not self.keyframes:
            return []
        every, passed = format_seconds(self.keyframes), ceil(begin / self.keyframes - 1e-6)
        # Half a millisecond: a frame that is to be shown at 6 s has its tick a little before.
        return ["-force_key_frames:v", f"expr:gte(t+{format_seconds(begin + 0.0005)},(n_forced+{passed})*{every})"]


def trim_args(
    source: CutSource,
    output: Path,
    settings: EncodeSettings,
    *,
    overlay: Sequence[str] = (),
    graph: AudioGraph = NO_GRAPH,
) -> list[str]:
    """A frame-exact cut with fades, encoded in full. `overlay` is that of `video_args`; `graph` makes the audio tracks."""
    return [
        *global_args(),
        *input_args(source.path, settings.threads, source.seek),
        *graph.inputs,
        *video_args(source, settings, overlay=overlay),
        *audio_args(source, settings, graph),
        *("-video_track_timescale", str(time_scale(source.media.video[0]))),
        *mp4_args(output, source.media, settings.threads),
    ]


def video_args(
    source: CutSource, settings: EncodeSettings, *, overlay: Sequence[str] = (), after: Sequence[str] = ()
) -> list[str]:
    """The video of a cut. `overlay` are filters that draw over the frames before they fade, `after` follow all others."""
    return [
        *("-map", "0:V:0"),  # V, not v: the video of the recording, and no cover image
        *("-filter:v", ",".join([*video_filters(source, overlay), *after])),
        *("-c:v", "libx264", "-preset", settings.preset, "-crf", str(settings.crf)),
        *timing_args(source.media.video[0]),
    ]


def video_filters(source: CutSource, overlay: Sequence[str] = ()) -> list[str]:
    """The filters that make the video of a cut, on the result's clock."""
    video, cut = source.media.video[0], source.cut
    return [
        *_clock_filters(video),
        *_trim_filters("", source.lead, cut),
        *_pixel_filters(video),
        *overlay,
        *fade_filters("", cut.length, cut.fade),
    ]


def audio_args(source: CutSource, settings: EncodeSettings, graph: AudioGraph = NO_GRAPH) -> list[str]:
    """The audio tracks of a cut; `graph` makes them where they are not simply cut."""
    plain = (*audio_maps(source.media), "-filter:a", ",".join(audio_filters(source.lead, source.cut)))
    return [*(graph.args or plain), *("-c:a", "aac", "-b:a", str(settings.audio_bitrate))]


def transcode_args(
    source: Path,
    outputs: Sequence[tuple[Rendition, Path]],
    media: Media,
    settings: RenditionSettings,
) -> list[str]:
    """Several renditions of a whole file, which is decoded once."""
    renditions = [rendition for rendition, _ in outputs]
    args = [*global_args(), *input_args(source, settings.threads, 0.0), *split_args(renditions, settings.before)]
    for number, (rendition, path) in enumerate(outputs):
        args += [
            *rendition_video_args(number, rendition, media, preset=settings.preset),
            *settings.keyframe_args(),
            *rendition_audio_args(rendition, media),
            *("-video_track_timescale", str(time_scale(media.video[0], rendition.fps))),
            *mp4_args(path, media, settings.threads),
        ]
    return args


def split_args(
    renditions: Sequence[Rendition], before: Sequence[str] = (), after: Sequence[Sequence[str]] = ()
) -> list[str]:
    """The filter graph of several renditions. `before` are filters that precede it, `after` those that follow, by rendition."""
    heads = "".join(f"[in{number}]" for number in range(len(renditions)))
    branches = [
        ",".join(
            [
                f"[in{number}]scale={rendition.width}:{rendition.height}",
                "format=yuv420p",
                *([f"fps={rendition.fps:g}"] if rendition.fps else []),
                *(after[number] if after else ()),
            ]
        )
        + f"[out{number}]"
        for number, rendition in enumerate(renditions)
    ]
    split = "[0:V:0]" + ",".join([*before, f"split={len(renditions)}"]) + heads
    return ["-filter_complex", ";".join([split, *branches])]


def rendition_video_args(number: int, rendition: Rendition, media: Media, *, preset: str) -> list[str]:
    """The video of the rendition with this number in `split_args`."""
    return [
        *("-map", f"[out{number}]"),
        *("-c:v", "libx264", "-preset", preset, "-b:v", str(rendition.video_bitrate)),
        # A bound and not only an average, so that a rendition for 2 Mbit/s does play at 2 Mbit/s.
        *("-maxrate", str(rendition.most_bits_per_second), "-bufsize", str(2 * rendition.video_bitrate)),
        *timing_args(media.video[0], rendition.fps),
    ]


def rendition_audio_args(rendition: Rendition, media: Media) -> list[str]:
    """The audio tracks of a rendition."""
    return [*audio_maps(media), *("-filter:a", FILL_GAPS), *("-c:a", "aac", "-b:a", str(rendition.audio_bitrate))]


def time_scale(video: Video, fps: float | None = None) -> int:
    """Ticks per second in which every frame of this rate lies on a tick; 90000 where the rate varies."""
    rate = Fraction(fps or video.rate or 25).limit_denominator(1001)
    if video.variable and not fps:
        return 90000
    scale = rate.numerator
    while scale < 10000:
        scale *= 2
    return scale


def global_args() -> list[str]:
    """The options that every run starts with."""
    return [
        "-nostdin",  # else ffmpeg reads keys from a terminal and stops when it has none
        "-hide_banner",
        *("-loglevel", "error"),
        *("-progress", "pipe:1", "-nostats"),
        "-y",  # the output has a temporary name of our own
    ]


def input_limits(threads: int) -> list[str]:
    """Limits of what an untrusted input may make ffmpeg use and open."""
    return [
        *_thread_args(threads),
        *("-protocol_whitelist", "file"),  # foreign media may name addresses to open
        *("-format_whitelist", ",".join(FORMATS)),
    ]


def input_args(source: Path, threads: int, seek: float) -> list[str]:
    """An untrusted file as an input, read from about `seek` seconds on."""
    return [
        *input_limits(threads),
        *(("-ss", format_seconds(seek)) if seek > 0 else ()),
        *("-i", f"file:{source}"),  # file: so that no name is taken for an option, a pattern or an address
    ]


def audio_maps(media: Media) -> list[str]:
    """Maps of all audio tracks that can be decoded."""
    # Track by track: "0:a?" fails altogether where one track has no decoder (phones write such beside the usual one).
    return [word for number, _ in _decodable_tracks(media) for word in ("-map", f"0:a:{number}")]


def _decodable_tracks(media: Media) -> list[tuple[int, Audio]]:
    return [(number, audio) for number, audio in enumerate(media.audio) if audio.codec != "unknown"]


def _trim_filters(a: str, lead: float, cut: Cut) -> list[str]:
    # Not PTS-STARTPTS: video and audio begin at different times, and that difference must stay. round(), since
    # setpts cuts off.
    return [
        f"{a}trim=start={format_seconds(lead)}:end={format_seconds(lead + cut.length)}",
        f"{a}setpts=round(PTS{'-' if lead >= 0 else '+'}{format_seconds(abs(lead))}/TB)",
    ]


def audio_filters(lead: float, cut: Cut) -> list[str]:
    """The filters that cut and fade audio; `lead` is where the cut starts in what is read (seconds)."""
    return [*_trim_filters("a", lead, cut), FILL_GAPS, *fade_filters("a", cut.length, cut.fade)]


def fade_filters(a: str, seconds: float, fade: float) -> list[str]:
    """A fade in and a fade out of something that lasts `seconds`; `a` is "a" for audio."""
    if fade <= 0:
        return []
    length = format_seconds(fade)
    return [f"{a}fade=t=in:st=0:d={length}", f"{a}fade=t=out:st={format_seconds(seconds - fade)}:d={length}"]


def _clock_filters(video: Video) -> list[str]:
    return [
        f"settb=1/{time_scale(video)}",  # a tick may be a whole frame (AVI), and the cut begin in the middle of one
        # No browser deinterlaces. Only where it is needed: bwdif loses a frame where the size changes on the way.
        *(["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []),
    ]


def _pixel_filters(video: Video) -> list[str]:
    # 4:2:0 needs even sides; a line less is no resampling. Fades end in the black of the limited range.
    even = ["crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"] if any(side % 2 for side in video.display_size) else []
    return [*even, "scale=out_range=tv", "format=yuv420p"]


def timing_args(video: Video, fps: float | None = None) -> list[str]:
    """How the encoder gets the times of its frames."""
    return [
        *("-fps_mode:v", "vfr"),  # every frame at its own time: none doubled, none dropped
        # By default one tick per frame, which would round a varying rate.
        *("-enc_time_base:v", f"1:{time_scale(video, fps)}"),
    ]


def mp4_args(output: Path, media: Media, threads: int) -> list[str]:
    """The options that every MP4 file ends with, its name last."""
    return [
        *_thread_args(threads),
        *("-map_metadata", "-1"),  # recorders write places, serial numbers and people's names
        *_language_args(media),  # which the line above took away too
        *("-map_chapters", "-1"),
        *("-write_tmcd", "0"),  # no time code track of the recorder's clock
        *("-max_muxing_queue_size", "4096"),  # audio waits here for the first frame, which may start late
        *("-movflags", "+faststart"),  # the index in front: players start without the whole file
        *("-f", "mp4"),
        f"file:{output}",
    ]


def _language_args(media: Media) -> list[str]:
    languages = [(number, audio.language) for number, (_, audio) in enumerate(_decodable_tracks(media))]
    return [
        word
        for number, language in languages
        if language
        for word in (f"-metadata:s:a:{number}", f"language={language}")
    ]


def _thread_args(threads: int) -> list[str]:
    return ["-threads", str(threads)] if threads else []


def format_seconds(seconds: float) -> str:
    """Seconds as ffmpeg reads them, to the microsecond."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")

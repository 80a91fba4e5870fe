"""ffmpeg arguments that encode an intro, an outro or a card so that it joins a talk without re-encoding the talk. Pure.

A clip gets the talk's frame, colours, clock and encoder; its aspect ratio stays, with black bars where it does not fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidd.media.ffmpeg import colours
from vidd.media.ffmpeg.args import edge
from vidd.media.ffmpeg.args.common import FILL_GAPS, fade_filters, format_seconds, global_args, input_args

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.args.edge import VideoFormat
    from vidd.model.media import Media, Video

_INVERSE_ROTATION = {0: [], 90: ["transpose=cclock"], 180: ["hflip", "vflip"], 270: ["transpose=clock"]}
_DEFAULT_RATE = 25.0


@dataclass(frozen=True, slots=True)
class Clip:
    """An intro or outro (`media` is what its file holds) or a card (None: its file is an image) before it is encoded.

    `seconds` is how long it is shown and `fade` how long it fades itself. `digest` is that of an intro's or outro's file.
    """

    part: str
    path: Path
    seconds: float
    media: Media | None = None
    fade: float = 0.0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """The format that clips are encoded in: that of `video` (as stored), by the encoder for `look`, on a clock of `scale`.

    `parameter_set_id` is the id of the parameter sets, where the encoder takes one.
    """

    video: Video
    look: VideoFormat
    scale: int
    reordered: bool
    crf: int
    preset: str
    parameter_set_id: int = 0

    @property
    def rate(self) -> Fraction | None:
        """Frames a second; None where the rate varies, and a clip keeps its own."""
        return None if self.video.variable else Fraction(self.video.rate or _DEFAULT_RATE).limit_denominator(1001)

    def to_json(self, clip: Clip) -> dict[str, Any]:
        """All that determines the encoded clip, for the name of its file in the cache."""
        video, look = self.video, self.look
        return {
            "sting": clip.digest,
            "seconds": clip.seconds,
            "frame": [video.width, video.height, video.rotation, video.aspect],
            "colours": [colours.matrix(video), *video.colours],
            "rate": str(self.rate),
            "look": [look.codec, look.pixel_format, look.profile],
            "encoder": [self.scale, self.reordered, self.crf, self.preset, self.parameter_set_id],
        }


def fit_size(clip: Video | None, frame: Video) -> tuple[int, int]:
    """The largest width and height at which a clip (None: an image) fits, as displayed, in pixels of the frame."""
    across, down = frame.display_size
    if clip is None:
        return across, down
    width, height = clip.display_size
    aspect = Fraction(width, height) * _pixel_aspect(clip) / _pixel_aspect(frame)
    if aspect * down >= across:
        return across, min(down, max(2, round(across / aspect / 2) * 2))
    return min(across, max(2, round(down * aspect / 2) * 2)), down


def _pixel_aspect(video: Video) -> Fraction:
    """Width of a pixel to its height, as displayed."""
    across, down = map(int, video.aspect.split(":"))
    return Fraction(down, across) if video.rotation % 180 else Fraction(across, down)


def video_args(clip: Clip, output: Path, clip_format: ClipFormat, *, threads: int = 0) -> list[str]:
    """Encode a clip's video, from time 0 on."""
    source = clip.media.video[0] if clip.media else None
    span = edge.EdgeSpan(0, 0, 0, clip_format.parameter_set_id, clip_format.reordered)
    own_rate = source.rate if source and source.rate else _DEFAULT_RATE
    rate = clip_format.rate or Fraction(own_rate).limit_denominator(1001)
    if source is None:
        # One frame for each moment, since the brightness of each differs while the card fades.
        image = ("-f", "image2", "-pattern_type", "none", "-loop", "1", "-framerate", str(rate))
        read = [*image, "-i", f"file:{clip.path}", "-frames:v", str(max(1, round(clip.seconds * rate)))]
    else:
        read = [*input_args(clip.path, threads, 0.0), "-t", format_seconds(clip.seconds)]
    return [
        *global_args(),
        *read,
        *("-map", "0:V:0", "-an", "-sn", "-dn"),
        *("-filter:v", ",".join(_filters(clip, clip_format, source))),
        *edge.encoder_args(clip_format.look, span, crf=clip_format.crf, preset=clip_format.preset, threads=threads),
        *edge.output_args(output, clip_format.scale),
    ]


def _filters(clip: Clip, clip_format: ClipFormat, source: Video | None) -> list[str]:
    frame = clip_format.video
    width, height = fit_size(source, frame)
    across, down = frame.display_size
    steady = [f"fps={clip_format.rate}:start_time=0"] if source is not None and clip_format.rate else []
    padded = f"pad={across}:{down}:(ow-iw)/2:(oh-ih)/2"
    return [
        *steady,
        f"scale={width}:{height}:flags=bicubic",
        *colours.match_filters(frame, source),
        f"format={clip_format.look.pixel_format}",
        *([] if (width, height) == (across, down) else [padded]),
        *_INVERSE_ROTATION[frame.rotation],
        f"setsar={frame.aspect.replace(':', '/')}",
        *fade_filters("", clip.seconds, clip.fade),
        colours.tag_filter(frame),
    ]


@dataclass(frozen=True, slots=True)
class AudioSpan:
    """So many samples of a clip's audio, or of silence where it has none."""

    clip: Clip
    samples: int


def audio_args(spans: Sequence[AudioSpan], output: Path, *, rate: int, layout: str, threads: int = 0) -> list[str]:
    """Convert the audio of clips, one after another, to a track's rate and channels: a WAV file of floats."""
    inputs: list[str] = []
    chains, count = [], 0
    for number, span in enumerate(spans):
        track = _first_track(span.clip)
        if track is None:
            begin = f"anullsrc=sample_rate={rate}:channel_layout={layout}"
        else:
            inputs += input_args(span.clip.path, threads, 0.0)
            begin = f"[{count}:a:{track}]{FILL_GAPS},aresample={rate},aformat=channel_layouts={layout}"
            count += 1
        size = f"apad=whole_len={span.samples},atrim=end_sample={span.samples}"
        chains.append(f"{begin},{size},aformat=sample_fmts=flt[s{number}]")
    labels = "".join(f"[s{number}]" for number in range(len(spans)))
    return [
        *global_args(),
        *inputs,
        *("-filter_complex", ";".join([*chains, f"{labels}concat=n={len(spans)}:v=0:a=1[out]"])),
        *("-map", "[out]", "-c:a", "pcm_f32le", "-f", "wav", f"file:{output}"),
    ]


def _first_track(clip: Clip) -> int | None:
    """The number of a clip's first audio track that can be decoded."""
    if clip.media is None:
        return None
    return next((number for number, audio in enumerate(clip.media.audio) if audio.codec != "unknown"), None)

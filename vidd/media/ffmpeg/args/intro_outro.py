"""Argument lists for what is shown before and after a talk, so that it can be joined to it without a new encode. Pure.

A clip gets the talk's frame, colours, clock and encoder; its own shape stays, with black where it does not fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidd.media.ffmpeg import colours
from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.args import edge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.args.edge import Look
    from vidd.model.media import Media, Video

_UNTURN = {0: [], 90: ["transpose=cclock"], 180: ["hflip", "vflip"], 270: ["transpose=clock"]}
# What channels are called where only their number is known (ffmpeg's own default layouts).
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_RATE = 25.0


@dataclass(frozen=True, slots=True)
class Clip:
    """A sting (`media` is what its file holds) or a card (None: its file is an image), as it is before it is encoded.

    `seconds` is how long it is shown and `fade` how long it fades itself. `digest` is that of a sting's file.
    """

    part: str
    path: Path
    seconds: float
    media: Media | None = None
    fade: float = 0.0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """What pictures are to be like: those of `video` (as stored), encoded as `look` says, on a clock of `scale`.

    `name` is the id that the parameter sets get, where the encoder is told it.
    """

    video: Video
    look: Look
    scale: int
    reordered: bool
    crf: int
    preset: str
    name: int = 0

    @property
    def rate(self) -> Fraction | None:
        """Pictures a second; None where they vary, and a clip keeps its own."""
        return None if self.video.variable else Fraction(self.video.rate or _RATE).limit_denominator(1001)

    def to_json(self, clip: Clip) -> dict[str, Any]:
        """All that decides what is made of a sting, for a name that stands for it."""
        video, look = self.video, self.look
        return {
            "sting": clip.digest,
            "seconds": clip.seconds,
            "frame": [video.width, video.height, video.rotation, video.aspect],
            "colours": [colours.matrix(video), *video.colours],
            "rate": str(self.rate),
            "look": [look.codec, look.pixel_format, look.profile],
            "encoder": [self.scale, self.reordered, self.crf, self.preset, self.name],
        }


def fit(clip: Video | None, frame: Video) -> tuple[int, int]:
    """Width and height, as shown but in the frame's own pixels, at which a clip (None: an image) fills the frame best."""
    across, down = frame.shown
    if clip is None:
        return across, down
    width, height = clip.shown
    shape = Fraction(width, height) * _shape(clip) / _shape(frame)
    if shape * down >= across:
        return across, min(down, max(2, round(across / shape / 2) * 2))
    return min(across, max(2, round(down * shape / 2) * 2)), down


def _shape(video: Video) -> Fraction:
    """Width of a pixel to its height, as shown."""
    across, down = map(int, video.aspect.split(":"))
    return Fraction(down, across) if video.rotation % 180 else Fraction(across, down)


def picture(clip: Clip, output: Path, form: Format, *, threads: int = 0) -> list[str]:
    """Encode a clip's pictures, from time 0 on."""
    source = clip.media.video[0] if clip.media else None
    piece = edge.Piece(0, 0, 0, form.name, form.reordered)
    rate = form.rate or Fraction(source.rate if source and source.rate else _RATE).limit_denominator(1001)
    if source is None:
        # One picture for each moment, since each has another brightness while it fades.
        image = ("-f", "image2", "-pattern_type", "none", "-loop", "1", "-framerate", str(rate))
        read = [*image, "-i", f"file:{clip.path}", "-frames:v", str(max(1, round(clip.seconds * rate)))]
    else:
        read = [*args_common.input_of(clip.path, threads, 0.0), "-t", args_common.number(clip.seconds)]
    return [
        *args_common.begin(),
        *read,
        *("-map", "0:V:0", "-an", "-sn", "-dn"),
        *("-filter:v", ",".join(_filters(clip, form, source))),
        *edge.encoded(form.look, piece, crf=form.crf, preset=form.preset, threads=threads),
        *edge.written(output, form.scale),
    ]


def _filters(clip: Clip, form: Format, source: Video | None) -> list[str]:
    frame = form.video
    width, height = fit(source, frame)
    across, down = frame.shown
    steady = [f"fps={form.rate}:start_time=0"] if source is not None and form.rate else []
    padded = f"pad={across}:{down}:(ow-iw)/2:(oh-ih)/2"
    return [
        *steady,
        f"scale={width}:{height}:flags=bicubic",
        *colours.like(frame, source),
        f"format={form.look.pixel_format}",
        *([] if (width, height) == (across, down) else [padded]),
        *_UNTURN[frame.rotation],
        f"setsar={frame.aspect.replace(':', '/')}",
        *args_common.fades("", clip.seconds, clip.fade),
        colours.marked(frame),
    ]


@dataclass(frozen=True, slots=True)
class Span:
    """A clip's sound: so many samples of it, or of silence where it has none."""

    clip: Clip
    samples: int


def layout_of(name: str, channels: int) -> str:
    """What ffmpeg is told of a track's channels."""
    return name if name and "channels" not in name else _LAYOUTS.get(channels, f"{channels}c")


def sound(spans: Sequence[Span], output: Path, *, rate: int, layout: str, threads: int = 0) -> list[str]:
    """Bring the sound of clips, one after another, to a track's rate and channels: a WAV file of floats."""
    inputs: list[str] = []
    chains, count = [], 0
    for number, span in enumerate(spans):
        track = _track(span.clip)
        if track is None:
            begin = f"anullsrc=sample_rate={rate}:channel_layout={layout}"
        else:
            inputs += args_common.input_of(span.clip.path, threads, 0.0)
            begin = f"[{count}:a:{track}]{args_common.UNBROKEN},aresample={rate},aformat=channel_layouts={layout}"
            count += 1
        size = f"apad=whole_len={span.samples},atrim=end_sample={span.samples}"
        chains.append(f"{begin},{size},aformat=sample_fmts=flt[s{number}]")
    labels = "".join(f"[s{number}]" for number in range(len(spans)))
    return [
        *args_common.begin(),
        *inputs,
        *("-filter_complex", ";".join([*chains, f"{labels}concat=n={len(spans)}:v=0:a=1[out]"])),
        *("-map", "[out]", "-c:a", "pcm_f32le", "-f", "wav", f"file:{output}"),
    ]


def _track(clip: Clip) -> int | None:
    if clip.media is None:
        return None
    return next((number for number, one in enumerate(clip.media.audio) if one.codec != "unknown"), None)

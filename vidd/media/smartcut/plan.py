"""Chooses how a cut is made, and says why: by copying, by encoding only its edges, or by encoding all of it. Pure.

Times of frames are ticks of the stream's own clock, so that nothing is rounded before it must be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from vidd.media.ffmpeg.timebase import Ticks, decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.media.ffmpeg.args.common import Cut

Strategy = Literal["copy", "edges", "full"]

# Wanted times are decimal and those of frames are fractions: half a microsecond is nobody's intention.
_SLACK = Fraction(1, 1_000_000)
# Above this share of encoded video, one encode of all is simpler and about as fast.
_MOST_ENCODED = 0.6
# Pixels a second that a processor decodes and encodes, and bytes a second it copies; only for the forecast.
_PIXELS, _BYTES = 45e6, 250e6
_FEWEST_TICKS = 10_000
_MOST_TICKS = 2**31 - 1


class SmartCutUnavailable(Exception):
    """A smart cut of this file is not possible; the sentence says why. All of it can be encoded instead."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A frame that copying may start with, shown at `pts`, with so many `leading` frames (decoded later, shown earlier).

    `kind`: idr, bla, cra (HEVC, may have leading frames), recovery and refresh (H.264 without IDR), other. It is
    `overlapped` if a frame decoded before it is shown after it. `first_leading` is when the first of its leading frames
    is shown, or it itself, and `frames_before` is how many frames of the cut come before that. Before a recovery
    keyframe, `frames_needed` frames must be encoded (0: nothing can be joined to it).
    """

    pts: int
    kind: str
    leading: int = 0
    overlapped: bool = False
    first_leading: int = 0
    frames_before: int = 0
    frames_needed: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of the packets around a cut; ticks of `time_base`. `obstacle` is why nothing can be copied.

    `first` and `last` are the times of the cut's own first and last frame. `clean_ends` are the times, in order, before
    which a copy may end: all frames decoded earlier are shown earlier too. The last may be just after `last`.
    """

    time_base: Fraction
    begin: Fraction
    codec: str
    frames: int
    keyframes: tuple[Keyframe, ...]
    clean_ends: tuple[int, ...]
    first: int
    last: int
    bytes: int
    obstacle: str | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Index:
        """From the child's answer."""
        return cls(
            **{
                **data,
                "time_base": Fraction(data["time_base"]),
                "begin": Fraction(data["begin"]),
                "keyframes": tuple(Keyframe(*keyframe) for keyframe in data["keyframes"]),
                "clean_ends": tuple(data["clean_ends"]),
            }
        )


@dataclass(frozen=True, slots=True)
class CutPlan:
    """How a cut is made. Frames before `copy_from` and from `copy_to` on are encoded; None if nothing is copied.

    The lead-in ends at `lead_in_to`, which is before `copy_from` if the keyframe has leading frames that must be
    replaced. `seconds` is a forecast of processor time.
    """

    strategy: Strategy
    reason: str
    seconds: float
    copy_from: int | None = None
    lead_in_to: int | None = None
    copy_to: int | None = None
    lead_in: bool = False
    lead_out: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def ticks(time_base: Fraction, begin: Fraction, cut: Cut) -> Ticks:
    """The result's clock: the source's own, made finer if it is coarse; SmartCutUnavailable if MP4 cannot hold it."""
    if time_base.numerator != 1 or not 1 <= time_base.denominator <= _MOST_TICKS:
        raise SmartCutUnavailable(f"The file's clock has ticks of {time_base} s, which MP4 cannot hold.")
    finer = 1
    while time_base.denominator * finer < _FEWEST_TICKS:
        finer *= 2
    scale = time_base.denominator * finer
    return Ticks(scale, finer, round((begin + decimal(cut.start)) * scale))


def bounds(time_base: Fraction, begin: Fraction, cut: Cut) -> tuple[int, int]:
    """The first tick of the cut, and the first after it."""
    return (
        ceil((begin + decimal(cut.start) - _SLACK) / time_base),
        ceil((begin + decimal(cut.end) - _SLACK) / time_base),
    )


def make_plan(index: Index, cut: Cut, *, pixels: int, rate: float, open_gops: bool = True) -> CutPlan:
    """Choose the strategy. `pixels` are those of one frame, `rate` is frames a second.

    `open_gops` allows to copy H.264 whose keyframes are no IDR frames. Chromium plays it from start to end, but stops
    with an error after a seek to such a keyframe, in the source as in the result.
    """
    full = cut.length * rate * pixels / _PIXELS
    if index.obstacle:
        return CutPlan("full", index.obstacle, full)
    faded_in = ceil((index.begin + decimal(cut.start + cut.fade) - _SLACK) / index.time_base)
    faded_out = int((index.begin + decimal(cut.end - cut.fade) + _SLACK) // index.time_base)
    starts = [
        keyframe for keyframe in index.keyframes if faded_in <= keyframe.pts < index.last and _may_start(keyframe)
    ]
    if not open_gops:
        starts = [] if any(keyframe.kind == "recovery" for keyframe in index.keyframes) else starts
    if not starts and not cut.fade and index.keyframes and index.keyframes[-1].pts == index.first == index.last:
        starts = [index.keyframes[-1]]
    if not starts:
        return CutPlan("full", _why_no_start(index, faded_in), full)
    start = starts[0]
    ends = [pts for pts in index.clean_ends if start.pts < pts <= faded_out or (not cut.fade and pts == index.last + 1)]
    if not ends:
        return CutPlan(
            "full", "No place was found after the first keyframe where copying could end before the fade-out.", full
        )
    end = ends[-1]
    lead_in, lead_out = start.pts > index.first, end <= index.last
    first, last = index.first * index.time_base, index.last * index.time_base
    encoded = float(start.pts * index.time_base - first) + (float(last - end * index.time_base) if lead_out else 0.0)
    if encoded > _MOST_ENCODED * cut.length:
        return CutPlan(
            "full", f"Keyframes are so rare that {encoded:.1f} s of {cut.length:.1f} s would be encoded anyway.", full
        )
    cost = (encoded + (1.0 if lead_in or lead_out else 0.0)) * rate * pixels / _PIXELS + index.bytes / _BYTES + 0.3
    if not lead_in and not lead_out:
        why = "The cut starts with a keyframe and nothing fades, so all packets are copied."
        return CutPlan("copy", why, cost, start.pts, start.pts, end)
    why = f"Only {encoded:.1f} s at the edges of {cut.length:.1f} s are encoded; the frames between are copied."
    lead_in_to = start.first_leading if start.kind == "recovery" else start.pts
    return CutPlan("edges", why, cost, start.pts, lead_in_to, end, lead_in, lead_out)


def _may_start(keyframe: Keyframe) -> bool:
    if keyframe.kind == "recovery":
        return not keyframe.overlapped and 0 < keyframe.frames_needed <= keyframe.frames_before
    return not keyframe.overlapped and keyframe.kind in {"idr", "bla", "cra"}


def _why_no_start(index: Index, faded_in: int) -> str:
    later = [keyframe for keyframe in index.keyframes if keyframe.pts >= faded_in]
    if not later:
        return "There is no keyframe between the fades, so nothing could be copied."
    if any(keyframe.kind == "recovery" for keyframe in later):
        return "The H.264 stream goes on over its keyframes (open GOP), so that a copy cannot start at one of them."
    return "No keyframe between the fades starts a sequence that decodes by itself."

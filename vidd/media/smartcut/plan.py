"""Which way a cut is made, and why: by copying, by encoding only its edges, or by encoding all of it. Pure.

Times of pictures are ticks of the stream's own clock, so that nothing is rounded before it must be.
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

Lane = Literal["copy", "edges", "full"]

# Wanted times are decimal and those of pictures are fractions: half a microsecond is nobody's intention.
_SLACK = Fraction(1, 1_000_000)
# Where more than this share would be encoded anyway, one encode of all is simpler and about as quick.
_SENSIBLE_SHARE = 0.6
# Pixels a second that a processor decodes and encodes, and bytes a second it copies; only for the forecast.
_PIXELS, _BYTES = 45e6, 250e6
_FEWEST_TICKS = 10_000
_MOST_TICKS = 2**31 - 1


class SmartCutUnavailable(Exception):
    """The edges of this cut cannot be encoded apart; the sentence says why. All of it can be encoded instead."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A picture that copying may start with.

    `kind`: idr, bla, cra (HEVC, may have leading pictures), recovery and renewing (H.264 without IDR), other. `torn` says that a
    picture decoded before it is shown after it. `low` is when the first of its leading pictures is shown, or it itself,
    and `before` how many of the cut's pictures come before that. A recovery keyframe `needs` so many before it (0:
    nothing can be joined to it).
    """

    pts: int
    kind: str
    leading: int = 0
    torn: bool = False
    low: int = 0
    before: int = 0
    needs: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of the packets around a cut; ticks of `time_base`. `obstacle` is why nothing can be copied.

    `first` and `last` are the times of the cut's own first and last picture. `clean` are the times, in order, before
    which a copy may end: all pictures decoded earlier are shown earlier too. The last may be just after `last`.
    """

    time_base: Fraction
    begin: Fraction
    codec: str
    pictures: int
    keyframes: tuple[Keyframe, ...]
    clean: tuple[int, ...]
    first: int
    last: int
    bytes: int
    obstacle: str | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Index:
        """As the child tells it."""
        return cls(
            **{
                **data,
                "time_base": Fraction(data["time_base"]),
                "begin": Fraction(data["begin"]),
                "keyframes": tuple(Keyframe(*keyframe) for keyframe in data["keyframes"]),
                "clean": tuple(data["clean"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """How a cut is made. Pictures before `copy_from` and from `copy_to` on are encoded; None where nothing is copied.

    `head_to` is before `copy_from` where the keyframe has leading pictures that each need one in its place.
    `seconds` is a forecast of processor time.
    """

    lane: Lane
    reason: str
    seconds: float
    copy_from: int | None = None
    head_to: int | None = None
    copy_to: int | None = None
    head: bool = False
    tail: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def ticks(time_base: Fraction, begin: Fraction, cut: Cut) -> Ticks:
    """The result's clock: the source's own, made finer where it is coarse; SmartCutUnavailable where MP4 cannot hold it."""
    if time_base.numerator != 1 or not 1 <= time_base.denominator <= _MOST_TICKS:
        raise SmartCutUnavailable(f"The file's clock has ticks of {time_base} s, which MP4 cannot hold.")
    finer = 1
    while time_base.denominator * finer < _FEWEST_TICKS:
        finer *= 2
    scale = time_base.denominator * finer
    return Ticks(scale, finer, round((begin + decimal(cut.start)) * scale))


def bounds(time_base: Fraction, begin: Fraction, cut: Cut) -> tuple[int, int]:
    """The first tick that belongs to the cut, and the first that does not any more."""
    return (
        ceil((begin + decimal(cut.start) - _SLACK) / time_base),
        ceil((begin + decimal(cut.end) - _SLACK) / time_base),
    )


def plan(index: Index, cut: Cut, *, pixels: int, rate: float, open_gops: bool = True) -> Plan:
    """Choose the lane. `pixels` are those of one picture, `rate` is pictures a second.

    `open_gops` allows to copy H.264 whose keyframes are no IDR pictures. Chromium plays it from the start to the end,
    but stops with an error where somebody seeks to such a keyframe, in the source as in the result.
    """
    whole = cut.length * rate * pixels / _PIXELS
    if index.obstacle:
        return Plan("full", index.obstacle, whole)
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
        return Plan("full", _no_start(index, faded_in), whole)
    start = starts[0]
    ends = [one for one in index.clean if start.pts < one <= faded_out or (not cut.fade and one == index.last + 1)]
    if not ends:
        return Plan(
            "full", "No place was found after the first keyframe where copying could end before the fade-out.", whole
        )
    end = ends[-1]
    head, tail = start.pts > index.first, end <= index.last
    first, last = index.first * index.time_base, index.last * index.time_base
    encoded = float(start.pts * index.time_base - first) + (float(last - end * index.time_base) if tail else 0.0)
    if encoded > _SENSIBLE_SHARE * cut.length:
        return Plan(
            "full", f"Keyframes are so rare that {encoded:.1f} s of {cut.length:.1f} s would be encoded anyway.", whole
        )
    cost = (encoded + (1.0 if head or tail else 0.0)) * rate * pixels / _PIXELS + index.bytes / _BYTES + 0.3
    if not head and not tail:
        why = "The cut starts with a keyframe and nothing fades, so all packets are copied."
        return Plan("copy", why, cost, start.pts, start.pts, end)
    why = f"Only {encoded:.1f} s at the edges of {cut.length:.1f} s are encoded; the pictures between are copied."
    head_to = start.low if start.kind == "recovery" else start.pts
    return Plan("edges", why, cost, start.pts, head_to, end, head, tail)


def _may_start(keyframe: Keyframe) -> bool:
    if keyframe.kind == "recovery":
        return not keyframe.torn and 0 < keyframe.needs <= keyframe.before
    return not keyframe.torn and keyframe.kind in {"idr", "bla", "cra"}


def _no_start(index: Index, faded_in: int) -> str:
    later = [keyframe for keyframe in index.keyframes if keyframe.pts >= faded_in]
    if not later:
        return "There is no keyframe between the fades, so nothing could be copied."
    if any(keyframe.kind == "recovery" for keyframe in later):
        return "The H.264 stream goes on over its keyframes (open GOP), so that a copy cannot start at one of them."
    return "No keyframe between the fades starts a sequence that decodes by itself."

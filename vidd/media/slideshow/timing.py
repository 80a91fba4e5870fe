"""When the slides of a slideshow begin, exact to the frame. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor

# The finest length of a slide: to the microsecond.
_FINEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """`slides` slides of `seconds` each, at `fps` frames a second; over `crossfade` seconds a slide turns into the next.

    A slide begins at the frame nearest to its time, so that the whole is as long as slides times seconds to half a frame,
    whether or not a slide is a whole number of frames. The crossfade lies at the end of a slide: a player that seeks to
    the beginning of one shows it unblended.
    """

    slides: int
    seconds: float
    fps: Fraction | int
    crossfade: float = 0.0

    @property
    def frames_per_slide(self) -> Fraction:
        """The length of a slide in frames."""
        return self._slide * self.fps

    @property
    def _slide(self) -> Fraction:
        return Fraction(self.seconds).limit_denominator(_FINEST)

    @property
    def frames(self) -> int:
        """The number of frames of the whole."""
        return self.first_frame(self.slides)

    @property
    def duration(self) -> float:
        """Seconds of the whole."""
        return float(self.frames / Fraction(self.fps))

    def first_frame(self, slide: int) -> int:
        """The first frame of a slide, counted from 0; for the slide after the last one the end."""
        length = self.frames_per_slide
        return (2 * slide * length.numerator + length.denominator) // (2 * length.denominator)

    @property
    def fades(self) -> bool:
        """Whether any frame is a blend of two slides."""
        return self.slides > 1 and self._fade_frames > 1

    @property
    def _fade_frames(self) -> int:
        return round(self.crossfade * self.fps)

    def given_frames(self, slide: int) -> list[int]:
        """The frames of a slide that have to be given, in order; the others repeat or blend them.

        Of the last slide the last frame is among them, since it says when the slideshow ends.
        """
        first, after = self.first_frame(slide), self.first_frame(slide + 1)
        blended = self._fade_frames if self.fades else after - first
        last = after - 1 if slide == self.slides - 1 else max(first, after - blended)
        return sorted({first, last})

    def at_most(self, rate: int) -> Timing:
        """The same with a whole number of frames for each slide, one at least and no more than `rate` a second; none is a blend."""
        per_slide = max(1, floor(self._slide * min(rate, self.fps)))
        return replace(self, fps=per_slide / self._slide, crossfade=0.0)

    @property
    def first_frame_expression(self) -> str:
        """`first_frame` in the language of ffmpeg, of the slide `n_forced`."""
        length = self.frames_per_slide
        return f"floor((2*n_forced*{length.numerator}+{length.denominator})/{2 * length.denominator})"

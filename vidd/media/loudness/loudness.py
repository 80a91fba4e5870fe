"""How loud a talk is (EBU R128), and what brings it to a target.

The gain is one number for the whole talk, measured before, so that quiet words stay quieter than loud ones. Only what
would come out above the highest true peak is limited, four times oversampled, and the loudness that costs is measured
and made good. ffmpeg's loudnorm was left aside: where a peak is in the way its linear mode turns, unasked, into one
that moves the gain all the time, and its measuring costs eight times as much as ebur128's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.media.ffmpeg import parse
from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.process import encode
from vidd.media.ffmpeg.settings import Level
from vidd.settings.types import Options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import Cut
    from vidd.model.event import Event
    from vidd.ports import Encoder

# EBU R128 counts nothing quieter (EBU Tech 3341, absolute gate), so this is what silence measures.
_SILENT = -70.0
# AAC changes peaks a little; so much stays free between the limiter and the highest peak.
_HEADROOM = 0.5
_OVERSAMPLED = 192_000
_STEPS = 4


class Loudness(Options):
    """How loud the talk is to be. Sound within the tolerance is left as it is."""

    target: Level = Field(-23.0, ge=-40, le=-5, description='Integrated loudness, such as "-23 LUFS" or "-16 LUFS".')
    tolerance: Level = Field(1.0, ge=0.1, le=10, description="How far from it the talk may be and is left alone.")
    peak: Level = Field(-1.0, ge=-20, le=0, description="The highest true peak; what would be above is limited.")
    most_gain: Level = Field(30.0, ge=0, le=60, description="How much is made louder at most, noise included.")


@dataclass(frozen=True, slots=True)
class Measured:
    """Integrated loudness (LUFS), loudness range (LU), highest true peak (dBTP); None: nothing but silence."""

    loudness: float | None
    range: float
    peak: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"lufs": self.loudness, "lu": self.range, "dbtp": self.peak}


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a track: a gain (dB), and a limit of true peaks (dBTP) where there must be one."""

    gain: float
    limit: float | None = None

    def filters(self, rate: int) -> list[str]:
        """As ffmpeg's filters, for sound of so many samples a second."""
        louder = [f"volume={self.gain:.2f}dB"]
        if self.limit is None:
            return louder
        most = 10 ** (self.limit / 20)
        # level: it would raise everything to the limit; latency: it would come later by what it looks ahead.
        limiter = f"alimiter=limit={most:.6f}:attack=5:release=50:level=disabled:latency=enabled"
        return [*louder, f"aresample={_OVERSAMPLED}", limiter, f"aresample={rate}"]


def change(found: Measured, wanted: Loudness) -> Change | str:
    """What brings a track to the target; or, as a sentence, why it is left as it is."""
    if found.loudness is None:
        return "It is silent."
    off = wanted.target - found.loudness
    if abs(off) <= wanted.tolerance:
        return f"It is within {wanted.tolerance:g} LU of {wanted.target:g} LUFS."
    gain = round(min(off, wanted.most_gain), 2)
    limited = found.peak is not None and found.peak + gain > wanted.peak - _HEADROOM
    return Change(gain, wanted.peak - _HEADROOM if limited else None)


def corrected(one: Change, limited: Measured, wanted: Loudness) -> Change:
    """The same, with what the limiter took away put on top."""
    if limited.loudness is None:
        return one
    return Change(round(min(one.gain + wanted.target - limited.loudness, wanted.most_gain), 2), one.limit)


def measurement(source: Path, track: int, filters: list[str], *, seek: float, threads: int = 0) -> list[str]:
    """Measure what comes out of these filters, and write nothing."""
    words = [word if word != "error" else "info" for word in args_common.begin()]  # the summary is an information
    return [
        *words,
        *args_common.input_of(source, threads, seek),
        *("-map", f"0:a:{track}", "-vn", "-sn", "-dn"),
        *("-filter:a", ",".join([*filters, "ebur128=peak=true:framelog=quiet"])),
        *("-f", "null", "-"),
    ]


@dataclass(frozen=True)
class Meter:
    """Measures tracks of files; `room` is a directory whose disk is watched meanwhile."""

    encoder: Encoder
    room: Path
    observe: Callable[[Event], None]

    async def hear(self, source: Path, track: int, filters: list[str], *, seek: float, seconds: float) -> Measured:
        """Measure a track. RetryLater and Refused as `run.encode`."""
        ended = await encode(
            self.encoder,
            measurement(source, track, filters, seek=seek, threads=self.encoder.threads),
            output=self.room / "nothing",
            duration=seconds,
            progress=lambda *_: None,
            observe=self.observe,
            kind="loudness",
        )
        loudness, spread, peak = parse.loudness(ended.stderr)
        heard = loudness is not None and isfinite(loudness) and loudness > _SILENT
        return Measured(
            loudness if heard else None, spread or 0.0, peak if peak is not None and isfinite(peak) else None
        )

    async def level(
        self, source: Path, track: int, rate: int, cut: Cut, wanted: Loudness, *, seek: float
    ) -> tuple[Measured, Change | str]:
        """How loud a track of a cut is, and what is to be done about it."""
        chain = args_common.sound_chain(cut.start - seek, cut)
        found = await self.hear(source, track, chain, seek=seek, seconds=cut.length)
        made = change(found, wanted)
        if isinstance(made, Change) and made.limit is not None:
            # What is louder is limited more, so that it takes some steps where much lies in the peaks.
            for _ in range(_STEPS):
                limited = await self.hear(source, track, [*chain, *made.filters(rate)], seek=seek, seconds=cut.length)
                better = corrected(made, limited, wanted)
                if abs(better.gain - made.gain) <= wanted.tolerance / 2:
                    break
                made = better
        return found, made

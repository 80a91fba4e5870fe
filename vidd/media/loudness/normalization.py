"""Measures the loudness of a talk (EBU R128) and finds the gain that brings it to a target.

The gain is one number for the whole talk, so that quiet words stay quieter than loud ones. Only peaks that would exceed
the highest true peak are limited, four times oversampled; the loudness that this costs is measured and compensated.
ffmpeg's loudnorm is not used: where a peak is in the way its linear mode changes, unasked, to a dynamic one that moves
the gain all the time, and its measurement takes eight times as long as ebur128's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vidd.media.ffmpeg import parse
from vidd.media.ffmpeg.args.common import audio_filters, global_args, input_args
from vidd.media.ffmpeg.process import encode
from vidd.media.ffmpeg.settings import Level
from vidd.settings.types import Options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import CutSource
    from vidd.model.event import Event
    from vidd.ports import Encoder

# The absolute gate of EBU R128 (EBU Tech 3341): silence measures this.
_SILENT = -70.0
# AAC changes peaks a little: dB between the limiter and the highest peak.
_HEADROOM = 0.5
_OVERSAMPLED = 192_000
_STEPS = 4


class Loudness(Options):
    """The target loudness of the talk. Audio within the tolerance is left as it is."""

    target: Level = Field(-23.0, ge=-40, le=-5, description='Integrated loudness, such as "-23 LUFS" or "-16 LUFS".')
    tolerance: Level = Field(
        1.0, ge=0.1, le=10, description="How far from the target the talk may be and is left as it is."
    )
    peak: Level = Field(-1.0, ge=-20, le=0, description="The highest true peak; higher ones are limited.")
    most_gain: Level = Field(30.0, ge=0, le=60, description="The highest gain, which also raises noise.")


@dataclass(frozen=True, slots=True)
class Measurement:
    """Integrated loudness (LUFS), loudness range (LU), highest true peak (dBTP); None: only silence."""

    loudness: float | None
    range: float
    peak: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"lufs": self.loudness, "lu": self.range, "dbtp": self.peak}


@dataclass(frozen=True, slots=True)
class GainChange:
    """The change of a track: a gain (dB), and a limit of true peaks (dBTP) where one is needed."""

    gain: float
    limit: float | None = None

    def filters(self, rate: int) -> list[str]:
        """The change as ffmpeg filters, for audio of `rate` samples a second."""
        louder = [f"volume={self.gain:.2f}dB"]
        if self.limit is None:
            return louder
        highest = 10 ** (self.limit / 20)
        # level: the limiter would raise everything to the limit; latency: its output would be late by its look-ahead.
        limiter = f"alimiter=limit={highest:.6f}:attack=5:release=50:level=disabled:latency=enabled"
        return [*louder, f"aresample={_OVERSAMPLED}", limiter, f"aresample={rate}"]


def gain_change(found: Measurement, target: Loudness) -> GainChange | str:
    """The change that brings a track to the target; or, as a sentence, why it is left as it is."""
    if found.loudness is None:
        return "It is silent."
    difference = target.target - found.loudness
    if abs(difference) <= target.tolerance:
        return f"It is within {target.tolerance:g} LU of {target.target:g} LUFS."
    gain = round(min(difference, target.most_gain), 2)
    limited = found.peak is not None and found.peak + gain > target.peak - _HEADROOM
    return GainChange(gain, target.peak - _HEADROOM if limited else None)


def correct_gain(change: GainChange, limited: Measurement, target: Loudness) -> GainChange:
    """The change with the loudness that the limiter took away added to its gain; `limited` was measured after it."""
    if limited.loudness is None:
        return change
    gain = round(min(change.gain + target.target - limited.loudness, target.most_gain), 2)
    return GainChange(gain, change.limit)


def measurement_args(source: Path, track: int, filters: list[str], *, seek: float, threads: int = 0) -> list[str]:
    """Arguments that measure the output of these filters and write no file."""
    options = [option if option != "error" else "info" for option in global_args()]  # the summary has the level info
    return [
        *options,
        *input_args(source, threads, seek),
        *("-map", f"0:a:{track}", "-vn", "-sn", "-dn"),
        *("-filter:a", ",".join([*filters, "ebur128=peak=true:framelog=quiet"])),
        *("-f", "null", "-"),
    ]


@dataclass(frozen=True)
class LoudnessMeter:
    """Measures audio tracks; `directory` is on the disk whose free space is watched meanwhile."""

    encoder: Encoder
    directory: Path
    observe: Callable[[Event], None]

    async def measure(
        self, source: Path, track: int, filters: list[str], *, seek: float, seconds: float
    ) -> Measurement:
        """Measure a track. RetryLater and Refused as `process.encode`."""
        ended = await encode(
            self.encoder,
            measurement_args(source, track, filters, seek=seek, threads=self.encoder.threads),
            output=self.directory / "nothing",
            duration=seconds,
            observe=self.observe,
            kind="loudness",
        )
        loudness, spread, peak = parse.loudness(ended.stderr)
        audible = loudness is not None and isfinite(loudness) and loudness > _SILENT
        return Measurement(
            loudness if audible else None, spread or 0.0, peak if peak is not None and isfinite(peak) else None
        )

    async def measure_cut(
        self, source: CutSource, track: int, rate: int, target: Loudness
    ) -> tuple[Measurement, GainChange | str]:
        """The loudness of a track of a cut, and the change that brings it to the target, or why there is none."""
        seek, seconds = source.seek, source.cut.length
        filters = audio_filters(source.lead, source.cut)
        found = await self.measure(source.path, track, filters, seek=seek, seconds=seconds)
        change = gain_change(found, target)
        if isinstance(change, GainChange) and change.limit is not None:
            # Louder audio is limited more, so this takes some steps where much of the loudness lies in the peaks.
            for _ in range(_STEPS):
                changed = [*filters, *change.filters(rate)]
                limited = await self.measure(source.path, track, changed, seek=seek, seconds=seconds)
                better = correct_gain(change, limited, target)
                if abs(better.gain - change.gain) <= target.tolerance / 2:
                    break
                change = better
        return found, change

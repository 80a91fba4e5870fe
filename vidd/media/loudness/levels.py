"""The loudness of a talk's audio tracks: as recorded, the change that is made, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidd.media.ffmpeg.args.common import Cut, audio_filters
from vidd.media.loudness.normalization import GainChange, LoudnessMeter, Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import CutSource
    from vidd.media.loudness.normalization import Loudness


@dataclass(frozen=True, slots=True)
class Levels:
    """The loudness of a cut, by track of the source, in the order they have in the result.

    Beside it the change that is made; or, as a sentence, why there is none.
    """

    meter: LoudnessMeter
    cut: Cut
    found: Mapping[int, tuple[Measurement, GainChange | str]] = field(default_factory=dict)

    @property
    def gains(self) -> dict[int, GainChange]:
        """The changes that are made, by track."""
        return {track: change for track, (_, change) in self.found.items() if isinstance(change, GainChange)}

    async def record(self, path: Path, at: float) -> list[dict[str, Any]]:
        """The record of each track, measured in the finished file `path`, where the talk begins `at` so many seconds."""
        rows = []
        seek = max(0.0, at - 1)
        filters = audio_filters(at - seek, Cut(at, at + self.cut.length))
        for number, (track, (before, change)) in enumerate(self.found.items()):
            row: dict[str, Any] = {"track": track, "before": before.to_json()}
            if isinstance(change, GainChange):
                after = await self.meter.measure(path, number, filters, seek=seek, seconds=self.cut.length)
                rows.append(row | {"after": after.to_json(), "gain": change.gain, "limit": change.limit})
            else:
                rows.append(row | {"after": before.to_json(), "why": change})
        return rows


async def measure_levels(meter: LoudnessMeter, source: CutSource, target: Loudness) -> Levels:
    """Measure every track of a cut that can be decoded."""
    found = {
        track: await meter.measure_cut(source, track, audio.rate, target)
        for track, audio in enumerate(source.media.audio)
        if audio.codec != "unknown"
    }
    return Levels(meter, source.cut, found)

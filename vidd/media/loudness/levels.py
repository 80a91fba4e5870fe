"""The loudness of a talk's tracks: as it was found, what is done about it, and how it came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.args.common import Cut
from vidd.media.loudness.loudness import Change, Measured, Meter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vidd.media.loudness.loudness import Loudness
    from vidd.model.media import Audio


@dataclass(frozen=True, slots=True)
class Levels:
    """How loud a cut is, by track of the source, in the order they have in the result.

    And what is done about it; or, as a sentence, why nothing is.
    """

    meter: Meter
    cut: Cut
    found: Mapping[int, tuple[Measured, Change | str]] = field(default_factory=dict)

    @property
    def changes(self) -> dict[int, Change]:
        """What is done, by track."""
        return {track: one for track, (_, one) in self.found.items() if isinstance(one, Change)}

    async def record(self, made: Path, at: float) -> list[dict[str, Any]]:
        """The record of each track; the talk begins in the file that was made `at` so many seconds."""
        rows = []
        seek = max(0.0, at - 1)
        chain = args_common.sound_chain(at - seek, Cut(at, at + self.cut.length))
        for place, (track, (before, done)) in enumerate(self.found.items()):
            row: dict[str, Any] = {"track": track, "before": before.to_json()}
            if isinstance(done, Change):
                after = await self.meter.hear(made, place, chain, seek=seek, seconds=self.cut.length)
                rows.append(row | {"after": after.to_json(), "gain": done.gain, "limit": done.limit})
            else:
                rows.append(row | {"after": before.to_json(), "why": done})
        return rows


async def measured(
    meter: Meter, source: Path, audio: Sequence[Audio], cut: Cut, wanted: Loudness, *, seek: float
) -> Levels:
    """Measure every track that can be decoded; `seek` (seconds) is at or before the cut's start."""
    found = {
        track: await meter.level(source, track, one.rate, cut, wanted, seek=seek)
        for track, one in enumerate(audio)
        if one.codec != "unknown"
    }
    return Levels(meter, cut, found)

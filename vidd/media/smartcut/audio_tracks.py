"""Makes the audio tracks of a smart cut: copied except for what fades, or encoded whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vidd.media.branding.preparation import full_tracks
from vidd.media.ffmpeg.args import edge
from vidd.media.probe.client import seek_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from fractions import Fraction
    from pathlib import Path

    from vidd.media.branding.intro_outro import IntroOutro
    from vidd.media.ffmpeg.args.audio_mix import SurroundingAudio
    from vidd.media.ffmpeg.args.common import CutSource, EncodeSettings
    from vidd.media.loudness.normalization import GainChange
    from vidd.media.smartcut.client import Cutter
    from vidd.model.media import Audio
    from vidd.ports import Encoder


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """A track of the result: track `number` of `path`, or of the source if it is copied (`path` None).

    `reason` says why it was encoded whole, or is empty.
    """

    path: Path | None
    number: int
    language: str | None
    reason: str = ""

    def to_json(self) -> tuple[str | None, int, str | None]:
        """As the child takes it."""
        return str(self.path) if self.path else None, self.number, self.language


@dataclass(frozen=True)
class AudioEncoder:
    """Encodes what cannot be copied in `directory`; `run` has ffmpeg make a file of so many seconds."""

    encoder: Encoder
    source: CutSource
    settings: EncodeSettings
    directory: Path
    run: Callable[[list[str], Path, float], Awaitable[None]]

    @property
    def tracks(self) -> list[tuple[int, Audio]]:
        """The tracks that can be decoded, with their numbers in the source."""
        return [(number, track) for number, track in enumerate(self.source.media.audio) if track.codec != "unknown"]

    async def make(
        self,
        cutter: Cutter,
        start: Fraction,
        name: str,
        *,
        parts: IntroOutro,
        around: Mapping[int, SurroundingAudio],
        gains: Mapping[int, GainChange],
    ) -> list[AudioTrack]:
        """All tracks of the result. `start` is where the cut starts on the file's clock; `around` is the clips' audio."""
        if not self.tracks:
            return []
        reasons = {number: f"Its loudness is changed by {change.gain:+.1f} dB." for number, change in gains.items()}
        reasons |= await self._uncopyable(cutter, start, around, gains)
        encoded = [(number, track) for number, track in self.tracks if number in reasons]
        path = self.directory / "audio.mp4"
        if encoded:
            seek = await seek_to(self.encoder, self.source.path, self.source.media, self.source.cut.start, name)
            argv = edge.audio_args(
                replace(self.source, seek=seek),
                path,
                full_tracks(encoded, parts, around, gains),
                audio_bitrate=self.settings.audio_bitrate,
                threads=self.settings.threads,
            )
            await self.run(argv, path, parts.total / parts.scale)
        numbers = {number: index for index, (number, _) in enumerate(encoded)}
        return [
            AudioTrack(path, numbers[number], track.language, reasons[number])
            if number in numbers
            else AudioTrack(None, number, track.language)
            for number, track in self.tracks
        ]

    async def _uncopyable(
        self,
        cutter: Cutter,
        start: Fraction,
        around: Mapping[int, SurroundingAudio],
        gains: Mapping[int, GainChange],
    ) -> dict[int, str]:
        """The tracks without a change of gain that cannot be copied between the fades, and why."""
        cut = self.source.cut
        tracks: list[Any] = [
            (number, track.language, *(str(path) if path else None for path in around[number]))
            for number, track in self.tracks
            if number not in gains
        ]
        answer = await cutter.ask(
            "audio",
            tracks=tracks,
            cut=[cut.start, cut.end, cut.fade],
            start=str(start),
            bits=self.settings.audio_bitrate,
        )
        return {int(number): sentence for number, sentence in answer["encode"].items()}

"""How each sound track of a cut by its edges is made: copied but for what fades, or encoded whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.branding.preparation import full_tracks
from vidd.media.ffmpeg.args import edge
from vidd.media.ffmpeg.args.common import CutSource
from vidd.media.probe.client import seek_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from fractions import Fraction
    from pathlib import Path

    from vidd.media.branding.intro_outro import IntroOutro
    from vidd.media.ffmpeg.args.audio_mix import FullTrack, SurroundingAudio
    from vidd.media.ffmpeg.args.common import Cut
    from vidd.media.loudness.normalization import GainChange
    from vidd.media.smartcut.client import Cutter
    from vidd.model.media import Audio, Media
    from vidd.ports import Encoder


@dataclass(frozen=True)
class Sounding:
    """The sound of one cut; `run` lets ffmpeg make a file of so many seconds in `room`."""

    encoder: Encoder
    run: Callable[[list[str], Path, float], Awaitable[None]]
    source: Path
    room: Path
    media: Media
    cut: Cut
    audio_bitrate: int

    @property
    def tracks(self) -> list[tuple[int, Audio]]:
        """Those that can be decoded, with their numbers in the source."""
        return [(number, audio) for number, audio in enumerate(self.media.audio) if audio.codec != "unknown"]

    async def sounds(
        self,
        cutter: Cutter,
        start: Fraction,
        name: str,
        *,
        around: IntroOutro,
        beside: Mapping[int, SurroundingAudio],
        changes: Mapping[int, GainChange],
    ) -> tuple[list[tuple[str | None, int, str | None]], tuple[str, ...]]:
        """For each track the file it was encoded in (None: it is copied), its number there and its language.

        And why it was encoded, or an empty text. `start` is where the cut starts on the file's clock.
        """
        if not self.tracks:
            return [], ()
        asked = [
            (number, audio.language, *(str(each) if each else None for each in beside[number]))
            for number, audio in self.tracks
            if number not in changes
        ]
        cut = [self.cut.start, self.cut.end, self.cut.fade]
        answer = await cutter.ask("listen", tracks=asked, cut=cut, start=str(start), bits=self.audio_bitrate)
        why = {int(number): sentence for number, sentence in answer["encode"].items()}
        why |= {number: f"Its loudness is changed by {change.gain:+.1f} dB." for number, change in changes.items()}
        path, odd = self.room / "sound.mp4", [number for number, _ in self.tracks if number in why]
        if odd:
            heard = full_tracks([(number, self.media.audio[number]) for number in odd], around, beside, changes)
            await self._whole(path, heard, name, around.total / around.scale)
        sounds: list[tuple[str | None, int, str | None]] = [
            (str(path), odd.index(number), audio.language) if number in odd else (None, number, audio.language)
            for number, audio in self.tracks
        ]
        return sounds, tuple(why.get(number, "") for number, _ in self.tracks)

    async def _whole(self, path: Path, tracks: list[FullTrack], name: str, seconds: float) -> None:
        seek = await seek_to(self.encoder, self.source, self.media, self.cut.start, name)
        source = CutSource(self.source, self.media, self.cut, seek)
        argv = edge.audio_args(source, path, tracks, audio_bitrate=self.audio_bitrate, threads=self.encoder.threads)
        await self.run(argv, path, seconds)

"""Encodes the intro, the outro and the cards in the talk's format: intros and outros once for all talks, cards for each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.digest import digest_of
from vidd.files.file_cache import FileCache
from vidd.media.ffmpeg.args import intro_outro
from vidd.media.ffmpeg.args.audio_mix import SurroundingAudio, channel_layout
from vidd.media.ffmpeg.process import encode
from vidd.media.loudness.normalization import GainChange
from vidd.media.probe.client import probe
from vidd.media.verify.verify import Expected, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from vidd.media.branding.watermark import PlacedWatermark
    from vidd.media.ffmpeg.args.intro_outro import Clip, ClipFormat
    from vidd.model.event import Event
    from vidd.model.media import Audio
    from vidd.ports import Encoder


class ParameterSetIds(NamedTuple):
    """The ids of a video's parameter sets. Those of H.264 have no VPS, those of AV1 have no ids: 0."""

    vps: int
    sps: int
    pps: int


@dataclass(frozen=True, slots=True)
class Branding:
    """What a talk gets besides a cut: clips before and after it, a gain by audio track, a watermark."""

    before: tuple[Clip, ...] = ()
    after: tuple[Clip, ...] = ()
    gains: Mapping[int, GainChange] = field(default_factory=dict)
    watermark: PlacedWatermark | None = None

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All clips, in order."""
        return (*self.before, *self.after)


NO_BRANDING = Branding()


@dataclass(frozen=True, slots=True)
class PlacedClip:
    """An encoded clip and its place in the result: from `at` on, for `ticks`; its parameter sets have these `ids`."""

    clip: Clip
    path: Path
    ids: ParameterSetIds
    at: int
    ticks: int
    frames: int

    def to_json(self, scale: int) -> dict[str, Any]:
        """For the record; times in seconds."""
        data = {"part": self.clip.part, "at": self.at / scale, "seconds": self.ticks / scale, "pictures": self.frames}
        return data | ({"digest": self.clip.digest} if self.clip.digest else {})


@dataclass(frozen=True, slots=True)
class IntroOutro:
    """The encoded clips before and after a talk, on a clock of `scale` ticks a second; the talk is from `begin` to `end`."""

    scale: int
    begin: int
    end: int
    before: tuple[PlacedClip, ...] = ()
    after: tuple[PlacedClip, ...] = ()

    @property
    def total(self) -> int:
        """The length of the result, in ticks."""
        return self.after[-1].at + self.after[-1].ticks if self.after else self.end

    def seconds(self, talk: float) -> float:
        """The length of the result, for a talk of exactly so many seconds."""
        return self.total / self.scale if self.before or self.after else talk

    @property
    def frames(self) -> int:
        """How many frames the clips have."""
        return sum(clip.frames for clip in (*self.before, *self.after))

    @property
    def joins(self) -> tuple[float, ...]:
        """Where clips meet each other and the talk (seconds)."""
        starts = [*(clip.at for clip in self.before[1:]), *([self.begin] if self.before else [])]
        return tuple(start / self.scale for start in (*starts, *(clip.at for clip in self.after)))

    def to_json(self) -> list[dict[str, Any]]:
        """The parts of the result, in order, with the talk among them; times in seconds."""
        talk = {"part": "talk", "at": self.begin / self.scale, "seconds": (self.end - self.begin) / self.scale}
        return [
            *(clip.to_json(self.scale) for clip in self.before),
            talk,
            *(clip.to_json(self.scale) for clip in self.after),
        ]

    def audio_ends(self, talk: Iterable[float | None]) -> tuple[float | None, ...]:
        """When the audio tracks end in the result, from when they end in the talk (seconds; None: not known)."""
        begin, total = self.begin / self.scale, self.total / self.scale
        return tuple(total if self.after else None if end is None else begin + end for end in talk)

    def samples(self, rate: int) -> int:
        """How many audio samples the talk has at this rate."""
        return round(self.end * rate / self.scale) - round(self.begin * rate / self.scale)


@dataclass(frozen=True)
class ClipEncoder:
    """Encodes the clips of one talk. Intros and outros stay in `cache` for other talks; all else is made in `directory`."""

    encoder: Encoder
    cache: Path
    directory: Path
    observe: Callable[[Event], None]

    async def encode_video(
        self,
        branding: Branding,
        clip_format: ClipFormat,
        ids: Sequence[ParameterSetIds],
        talk: int,
        *,
        cautious: bool = False,
    ) -> IntroOutro:
        """Encode the video of all clips, for a talk of so many ticks; each clip gets the next of `ids`.

        Be `cautious` where the talk begins with a frame at which decoders discard what they have not shown yet: the
        clip before it then has no B-frames. Refused and RetryLater as `encode` and `verify`.
        """
        ids_by_clip: dict[tuple[str, bool], ParameterSetIds] = {}
        placed: list[PlacedClip] = []
        at = 0
        for number, clip in enumerate(branding.clips):
            at += talk if number == len(branding.before) else 0
            ordered = cautious and number == len(branding.before) - 1
            # The same file encoded in the same way has the same parameter sets, which need one set of ids.
            own = ids_by_clip.setdefault((clip.digest, ordered), ids[number]) if clip.digest else ids[number]
            path = self.directory / f"clip-{clip_format.scale}-{number}.mp4"
            path.unlink(missing_ok=True)
            reordered = clip_format.reordered and not ordered
            encoded = await self._encoded_clip(
                clip, replace(clip_format, parameter_set_id=own.sps, reordered=reordered), path
            )
            placed.append(replace(encoded, ids=own, at=at))
            at += encoded.ticks
        count = len(branding.before)
        begin = sum(clip.ticks for clip in placed[:count])
        return IntroOutro(clip_format.scale, begin, begin + talk, tuple(placed[:count]), tuple(placed[count:]))

    async def _encoded_clip(self, clip: Clip, clip_format: ClipFormat, path: Path) -> PlacedClip:
        make = partial(self._encode_clip, clip, clip_format)
        if not clip.digest:
            await make(path)
            return await self._measure(clip, clip_format, path)
        key = json.dumps(clip_format.to_json(clip), sort_keys=True)
        cached = self.cache / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.mp4"
        cache = self.encoder.shared.get(FileCache)
        await cache.provide(cached, path, make)
        try:
            return await self._measure(clip, clip_format, path)
        except Refused:
            # The cached file was good when it was made and has been damaged since.
            cached.unlink(missing_ok=True)
            path.unlink()
            await cache.provide(cached, path, make)
            return await self._measure(clip, clip_format, path)

    async def _encode_clip(self, clip: Clip, clip_format: ClipFormat, path: Path) -> None:
        argv = intro_outro.video_args(clip, path, clip_format, threads=self.encoder.threads)
        await self._run(argv, path, clip.seconds)
        video = clip_format.video
        expected = Expected(clip.seconds, clip.seconds, video.width, video.height, 0)
        await verify(self.encoder, path, expected, clip.path.name)
        if clip.digest and await digest_of(clip.path) != clip.digest:
            path.unlink(missing_ok=True)
            raise RetryLater(
                f"The file {clip.path} was replaced while vidd read it; vidd will read it again.",
                code=FaultCode.CONFLICT,
            )

    async def _measure(self, clip: Clip, clip_format: ClipFormat, path: Path) -> PlacedClip:
        video = (await probe(self.encoder, path, clip.path.name)).video[0]
        ticks = round((video.duration or 0.0) * clip_format.scale)
        return PlacedClip(clip, path, ParameterSetIds(0, 0, 0), 0, ticks, video.frames or 0)

    async def encode_audio(self, parts: IntroOutro, track: Audio) -> SurroundingAudio:
        """Make the audio before and after the talk, in the rate and layout of this track."""
        layout = channel_layout(track.layout, track.channels)
        files: list[Path | None] = []
        for word, clips in (("before", parts.before), ("after", parts.after)):
            path = self.directory / f"{word}-{parts.scale}-{track.rate}-{layout}.wav"
            if clips and not path.exists():
                spans = list(_audio_spans(clips, track.rate, parts.scale))
                argv = intro_outro.audio_args(spans, path, rate=track.rate, layout=layout, threads=self.encoder.threads)
                await self._run(argv, path, sum(clip.clip.seconds for clip in clips))
            files.append(path if clips else None)
        return SurroundingAudio(*files)

    async def _run(self, argv: list[str], path: Path, seconds: float) -> None:
        await encode(
            self.encoder,
            argv,
            output=path,
            duration=seconds,
            observe=self.observe,
            kind="sting",
        )


def _audio_spans(clips: Iterable[PlacedClip], rate: int, scale: int) -> Iterable[intro_outro.AudioSpan]:
    for clip in clips:
        # From the rounded beginning to the rounded end, so that rounding errors do not add up.
        begin, end = (round(tick * rate / scale) for tick in (clip.at, clip.at + clip.ticks))
        yield intro_outro.AudioSpan(clip.clip, end - begin)

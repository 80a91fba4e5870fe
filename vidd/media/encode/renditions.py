"""Several renditions of one file, from one decode: a short file's at once, a long one's in segments that outlive a kill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.encode.assemble import Made, assemble
from vidd.media.encode.checkpoints import Checkpoints, fingerprint, forget
from vidd.media.encode.resumable import Segmented
from vidd.media.encode.seek_point import whence
from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.args import segment
from vidd.media.ffmpeg.args.segment import Stretch
from vidd.media.ffmpeg.process import encode, said_of_itself
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import Rendition
    from vidd.model.event import Event
    from vidd.model.media import Media
    from vidd.ports import Encoder


@dataclass(frozen=True)
class Ladder:
    """What is made of one file. Segments are of `every` seconds, 0 for none; those of each rendition lie in its `kept`."""

    encoder: Encoder
    source: Path
    media: Media
    renditions: Sequence[Rendition]
    preset: str
    every: float
    kept: Sequence[Path]
    name: str
    place: Callable[[], AbstractAsyncContextManager[None]]
    progress: Callable[[float, float | None, str, float | None], None]
    observe: Callable[[Event], None]

    async def make(self, outputs: Sequence[Path]) -> list[Made]:
        """Encode into `outputs`. Faults as `run.encode`; whole segments stay in `kept` whatever happens."""
        if not self.every or self.media.duration <= self.every:
            return await self._at_once(outputs)
        try:
            return await self._in_segments(outputs)
        except SmartCutUnavailable as odd:
            for one in self.kept:
                await forget(one)
            why = {"segments": {"number": 1, "why": odd.sentence}}
            return [Made(one.complaints, facts=why) for one in await self._at_once(outputs)]

    async def _at_once(self, outputs: Sequence[Path]) -> list[Made]:
        both = list(zip(self.renditions, outputs, strict=True))
        async with self.place():
            ended = await encode(
                self.encoder,
                args_common.transcode(self.source, both, self.media, preset=self.preset, threads=self.encoder.threads),
                output=outputs,
                duration=self.media.duration,
                progress=self.progress,
                observe=self.observe,
                kind="transcode",
            )
        return [Made(ended.stderr) for _ in outputs]

    async def _in_segments(self, outputs: Sequence[Path]) -> list[Made]:
        there = await self._there()
        found = [len(one.segments) for one in there]
        recipe = _Recipe(self)
        work = Segmented(
            self.encoder,
            there,
            recipe,
            self.media.duration,
            name=self.name,
            kind="transcode",
            place=self.place,
            progress=self.progress,
            observe=self.observe,
        )
        await work.run()
        made = []
        for at, (one, output) in enumerate(zip(there, outputs, strict=True)):
            joins = await assemble(self.encoder, one, self.media, output, name=self.name)
            facts = {"segments": one.told(found[at], work.made[at], recipe.why)}
            made.append(Made(work.complaints, joins, one.pictures, facts))
        return made

    async def _there(self) -> list[Checkpoints]:
        """What there is of each; a rendition's segments stay good when others are added or left out."""
        version, there = await said_of_itself(self.encoder), []
        for one, kept in zip(self.renditions, self.kept, strict=True):
            words = [
                self.pictures([(one, kept, Stretch())], 0.0),
                segment.renditions_sound(self.source, self.media, [(one, kept)], threads=self.encoder.threads),
            ]
            scale = args_common.time_scale(self.media.video[0], one.fps)
            there.append(Checkpoints(kept, fingerprint(version, words, [self.source]), scale))
            await there[-1].open()
        return there

    def pictures(self, outputs: Sequence[tuple[Rendition, Path, Stretch]], seek: float) -> list[str]:
        """Arguments that write these into segments."""
        return segment.renditions(
            self.source,
            self.media,
            outputs,
            seek=seek,
            preset=self.preset,
            every=self.every,
            threads=self.encoder.threads,
        )


class _Recipe:
    """How `Segmented` makes them; `why` says why an encode that went on was decoded from the beginning."""

    def __init__(self, ladder: Ladder) -> None:
        self._ladder, self.why = ladder, ""

    async def whence(self, stretches: Mapping[int, Stretch]) -> float:
        ladder = self._ladder
        scales = {at: args_common.time_scale(ladder.media.video[0], ladder.renditions[at].fps) for at in stretches}
        least = min(stretches, key=lambda at: stretches[at].first / scales[at])
        last, scale = stretches[least].first - 1, scales[least]
        if last < 0:
            return 0.0
        seek, self.why = await whence(
            ladder.encoder,
            ladder.source,
            ladder.media,
            first=0.0,
            at=last / scale,
            shown=lambda seek: [*segment.since(seek), *Stretch(last).filters(scale)],
            scale=scale,
            wanted=None if ladder.renditions[least].fps else 0,
            name=ladder.name,
        )
        return seek

    def picture(self, stretches: Mapping[int, Stretch], rooms: Mapping[int, Path], seek: float) -> list[str]:
        ladder = self._ladder
        outputs = [(ladder.renditions[at], rooms[at], one) for at, one in stretches.items()]
        return ladder.pictures(outputs, seek)

    def sound(self, files: Mapping[int, Path]) -> list[str]:
        ladder = self._ladder
        outputs = [(ladder.renditions[at], path) for at, path in files.items()]
        return segment.renditions_sound(ladder.source, ladder.media, outputs, threads=ladder.encoder.threads)

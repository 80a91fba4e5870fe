"""A cut all of which is encoded: a short one at once, a long one in segments that a killed run leaves to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.ffmpeg import args, stretch
from vidd.ffmpeg.assemble import Made, assemble
from vidd.ffmpeg.checkpoints import Checkpoints, fingerprint, forget
from vidd.ffmpeg.plan import NotLikeThis
from vidd.ffmpeg.resume import whence
from vidd.ffmpeg.run import encode, said_of_itself
from vidd.ffmpeg.segmented import Segmented
from vidd.ffmpeg.stretch import Stretch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from vidd.ffmpeg.args import Cut
    from vidd.model.event import Event
    from vidd.model.media import Media
    from vidd.ports import Encoder


@dataclass(frozen=True)
class Whole:
    """One cut. `seek` (seconds) is at or before its start; segments are of `every` seconds, 0 for none, in `kept`."""

    encoder: Encoder
    source: Path
    media: Media
    cut: Cut
    seek: float
    crf: int
    preset: str
    audio_bitrate: int
    every: float
    kept: Path
    name: str
    place: Callable[[], AbstractAsyncContextManager[None]]
    progress: Callable[[float, float | None, str, float | None], None]
    observe: Callable[[Event], None]

    async def make(self, output: Path) -> Made:
        """Encode into `output`. Faults as `run.encode`; whole segments stay in `kept` whatever happens."""
        if not self.every or self.cut.length <= self.every:
            return await self._at_once(output)
        try:
            return await self._in_segments(output)
        except NotLikeThis as odd:
            await forget(self.kept)
            made = await self._at_once(output)
            return Made(made.complaints, facts={"segments": {"number": 1, "why": odd.sentence}})

    async def _at_once(self, output: Path) -> Made:
        argv = args.trim(
            self.source,
            output,
            self.media,
            self.cut,
            seek=self.seek,
            crf=self.crf,
            preset=self.preset,
            audio_bitrate=self.audio_bitrate,
            threads=self.encoder.threads,
        )
        async with self.place():
            ended = await encode(
                self.encoder,
                argv,
                output=output,
                duration=self.cut.length,
                progress=self.progress,
                observe=self.observe,
                kind="trim",
            )
        return Made(ended.stderr)

    async def _in_segments(self, output: Path) -> Made:
        recipe = _Recipe(self)
        there = Checkpoints(self.kept, await self._fingerprint(recipe), args.time_scale(self.media.video[0]))
        await there.open()
        found = len(there.segments)
        work = Segmented(
            self.encoder,
            [there],
            recipe,
            self.cut.length,
            name=self.name,
            kind="trim",
            place=self.place,
            progress=self.progress,
            observe=self.observe,
        )
        await work.run()
        joins = await assemble(self.encoder, there, self.media, output, name=self.name)
        facts = there.told(found, work.made[0], recipe.why)
        return Made(work.complaints, joins, there.pictures, {"segments": facts})

    async def _fingerprint(self, recipe: _Recipe) -> str:
        first, nowhere = {0: Stretch()}, {0: self.kept}
        arguments = [recipe.picture(first, nowhere, self.seek), recipe.sound(nowhere)]
        return fingerprint(await said_of_itself(self.encoder), arguments, [self.source])


class _Recipe:
    """How `Segmented` makes it; `why` says why an encode that went on was decoded from the beginning."""

    def __init__(self, one: Whole) -> None:
        self._one, self.why = one, ""
        self._scale = args.time_scale(one.media.video[0])

    async def whence(self, stretches: Mapping[int, Stretch]) -> float:
        one, last = self._one, stretches[0].first - 1
        if last < 0:
            return one.seek

        def shown(seek: float) -> list[str]:
            return [*args.picture_chain(one.media, one.cut, one.cut.start - seek), *Stretch(last).filters(self._scale)]

        seek, self.why = await whence(
            one.encoder,
            one.source,
            one.media,
            first=one.seek,
            at=one.cut.start + last / self._scale,
            shown=shown,
            scale=self._scale,
            wanted=0,
            name=one.name,
        )
        return seek

    def picture(self, stretches: Mapping[int, Stretch], rooms: Mapping[int, Path], seek: float) -> list[str]:
        one = self._one
        return stretch.picture(
            one.source,
            rooms[0],
            one.media,
            one.cut,
            stretches[0],
            seek=seek,
            crf=one.crf,
            preset=one.preset,
            every=one.every,
            threads=one.encoder.threads,
        )

    def sound(self, files: Mapping[int, Path]) -> list[str]:
        one = self._one
        return stretch.sound(
            one.source,
            files[0],
            one.media,
            one.cut,
            seek=one.seek,
            audio_bitrate=one.audio_bitrate,
            threads=one.encoder.threads,
        )

"""A cut all of which is encoded: a short one at once, a long one in segments that a killed run leaves to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.files.atomic import temporary_directory
from vidd.media.encode.assemble import Encoded, Made, assemble, put_around
from vidd.media.encode.checkpoints import Checkpoints, fingerprint, forget
from vidd.media.encode.resumable import Segmented
from vidd.media.encode.seek_point import whence
from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.args import segment as args_segment
from vidd.media.ffmpeg.args.segment import Stretch
from vidd.media.ffmpeg.process import encode, said_of_itself
from vidd.media.probe.client import Prober
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from vidd.media.branding.prepared import Dressed
    from vidd.media.ffmpeg.args.common import Cut
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
    dressed: Dressed

    async def make(self, output: Path) -> Made:
        """Encode into `output`. Faults as `run.encode`; whole segments stay in `kept` whatever happens."""
        if not self.every or self.cut.length <= self.every:
            return await self._short(output)
        try:
            return await self._in_segments(output)
        except SmartCutUnavailable as odd:
            await forget(self.kept)
            made = await self._short(output)
            return replace(made, facts={"segments": {"number": 1, "why": odd.sentence}})

    async def _short(self, output: Path) -> Made:
        around = self.dressed.around
        return await (self._apart(output) if around.before or around.after else self._at_once(output))

    async def _at_once(self, output: Path) -> Made:
        more, graph = self.dressed.sound(self.cut, self.seek, self.encoder.threads)
        argv = args_common.trim(
            self.source,
            output,
            self.media,
            self.cut,
            seek=self.seek,
            crf=self.crf,
            preset=self.preset,
            audio_bitrate=self.audio_bitrate,
            threads=self.encoder.threads,
            over=self.dressed.over,
            more=more,
            graph=graph,
        )
        return Made(await self._encode(argv, output))

    async def _apart(self, output: Path) -> Made:
        """Picture and sound each in a file of its own, and put together with what is around them."""
        recipe, around = _Recipe(self), self.dressed.around
        with temporary_directory(output) as room:
            picture, sound = room / "picture.mp4", room / "sound.mp4"
            complaints = await self._encode(recipe.in_one(picture), picture)
            if words := recipe.sound({0: sound}):
                await self._encode(words, sound)
            found = await self.encoder.shared.get(Prober).segment(picture, self.name)
            if found["fault"]:
                raise Refused(f"What was made of {quoted(self.name)} is not as it must be ({found['fault']}).")
            own = [Encoded(picture, 0, found["last"])]
            heard = sound if words else None
            await put_around(own, heard, self.media, output, scale=around.scale, name=self.name, around=around)
        return Made(complaints, around.joins, found["pictures"] + around.pictures)

    async def _encode(self, argv: list[str], output: Path) -> str:
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
        return ended.stderr

    async def _in_segments(self, output: Path) -> Made:
        recipe = _Recipe(self)
        there = Checkpoints(self.kept, await self._fingerprint(recipe), args_common.time_scale(self.media.video[0]))
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
        joins = await assemble(self.encoder, there, self.media, output, name=self.name, around=self.dressed.around)
        facts = there.told(found, work.made[0], recipe.why)
        return Made(work.complaints, joins, there.pictures + self.dressed.around.pictures, {"segments": facts})

    async def _fingerprint(self, recipe: _Recipe) -> str:
        first, nowhere = {0: Stretch()}, {0: self.kept}
        arguments = [recipe.picture(first, nowhere, self.seek), recipe.sound(nowhere)]
        return fingerprint(await said_of_itself(self.encoder), arguments, [self.source, *self.dressed.files])


class _Recipe:
    """How `Segmented` makes it; `why` says why an encode that went on was decoded from the beginning."""

    def __init__(self, one: Whole) -> None:
        self._one, self.why = one, ""
        self._scale = args_common.time_scale(one.media.video[0])

    async def whence(self, stretches: Mapping[int, Stretch]) -> float:
        one, last = self._one, stretches[0].first - 1
        if last < 0:
            return one.seek

        def shown(seek: float) -> list[str]:
            chain = args_common.picture_chain(one.media, one.cut, one.cut.start - seek, one.dressed.over)
            return [*chain, *Stretch(last).filters(self._scale)]

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
        return args_segment.picture(
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
            over=one.dressed.over,
        )

    def in_one(self, output: Path) -> list[str]:
        """Arguments that write all of the picture into one file."""
        one = self._one
        return args_segment.in_one(
            one.source,
            output,
            one.media,
            one.cut,
            seek=one.seek,
            crf=one.crf,
            preset=one.preset,
            threads=one.encoder.threads,
            over=one.dressed.over,
        )

    def sound(self, files: Mapping[int, Path]) -> list[str]:
        one = self._one
        more, graph = one.dressed.sound(one.cut, one.seek, one.encoder.threads)
        return args_segment.sound(
            one.source,
            files[0],
            one.media,
            one.cut,
            seek=one.seek,
            audio_bitrate=one.audio_bitrate,
            threads=one.encoder.threads,
            more=more,
            graph=graph,
        )

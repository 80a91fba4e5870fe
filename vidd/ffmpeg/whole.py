"""A cut all of which is encoded: a short one at once, a long one in segments that a killed run leaves to the next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.ffmpeg import args, colours, stretch, watermark
from vidd.ffmpeg.around import Around
from vidd.ffmpeg.checkpoints import Checkpoints, fingerprint, forget
from vidd.ffmpeg.clips import Format
from vidd.ffmpeg.heard import graph
from vidd.ffmpeg.pieces import Look
from vidd.ffmpeg.place import room_of
from vidd.ffmpeg.plan import NotLikeThis, decimal
from vidd.ffmpeg.probe import prober
from vidd.ffmpeg.resume import whence
from vidd.ffmpeg.run import check_disk, encode, said_of_itself
from vidd.ffmpeg.segmented import Segmented
from vidd.ffmpeg.sounding import heard_whole
from vidd.ffmpeg.stretch import Stretch
from vidd.ffmpeg.together import PicturePart, SoundTrack, put_together
from vidd.printable import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from vidd.ffmpeg.args import Cut
    from vidd.ffmpeg.around import Dress, Wardrobe
    from vidd.ffmpeg.heard import Heard
    from vidd.ffmpeg.sounding import Beside
    from vidd.model.event import Event
    from vidd.model.media import Media
    from vidd.ports import Encoder


# All that is encoded here is of this kind; names of parameter sets that x264 does not take by itself.
_LOOK = Look("h264", "yuv420p", 0)
_NAMES = [(0, one, one) for one in range(31, 27, -1)]


@dataclass(frozen=True, slots=True)
class Made:
    """What was done. `joins` are where an encode went on (seconds), `pictures` how many it has, if that is known.

    `complaints` is what ffmpeg said though it succeeded, `facts` are for the record. `around` is what lies around the
    talk, and where the talk lies.
    """

    complaints: str
    around: Around
    joins: tuple[float, ...] = ()
    pictures: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


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
    dress: Dress
    wardrobe: Wardrobe

    async def make(self, output: Path) -> Made:
        """Encode into `output`. Faults as `run.encode`; whole segments stay in `kept` whatever happens."""
        around, heard = await self._dressed()
        if not self.every or self.cut.length <= self.every:
            return await self._short(output, around, heard)
        try:
            return await self._in_segments(output, around, heard)
        except NotLikeThis as odd:
            await forget(self.kept)
            made = await self._short(output, around, heard)
            return replace(made, facts={"segments": {"number": 1, "why": odd.sentence}})

    async def _dressed(self) -> tuple[Around, list[Heard]]:
        """What is around the talk, encoded; and how its tracks of sound are made, where that is unusual."""
        video, dress = self.media.video[0], self.dress
        scale = args.time_scale(video)
        talk = round(decimal(self.cut.length) * scale)
        tracks = [(number, one) for number, one in enumerate(self.media.audio) if one.codec != "unknown"]
        if not dress.clips:
            around = Around(scale, 0, talk)
            beside: dict[int, Beside] = {number: (None, None) for number, _ in tracks}
        else:
            form = Format(args.encoded_like(video), _LOOK, scale, True, self.crf, self.preset)
            async with self.place():
                around = await self.wardrobe.pictures(dress, form, _NAMES, talk)
                beside = {number: await self.wardrobe.sounds(around, one) for number, one in tracks}
        if not dress.clips and not dress.changes:
            return around, []
        return around, [heard_whole(number, one, around, beside[number], dress.changes) for number, one in tracks]

    async def _short(self, output: Path, around: Around, heard: list[Heard]) -> Made:
        if self.dress.clips:
            return await self._apart(output, around, heard)
        return await self._at_once(output, around, heard)

    async def _at_once(self, output: Path, around: Around, heard: list[Heard]) -> Made:
        more, graph = self.graph(heard)
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
            over=self.over,
            more=more,
            graph=graph,
        )
        return Made(await self._encode(argv, output), around)

    async def _apart(self, output: Path, around: Around, heard: list[Heard]) -> Made:
        """Picture and sound each in a file of its own, and put together with what is around them."""
        recipe = _Recipe(self, heard)
        with room_of(output) as room:
            picture, sound = room / "picture.mp4", room / "sound.mp4"
            complaints = await self._encode(recipe.whole_picture(picture), picture)
            if words := recipe.sound({0: sound}):
                await self._encode(words, sound)
            found = await prober().segment(picture, self.name)
            if found["fault"]:
                raise Refused(f"What was made of {quoted(self.name)} is not as it must be: {found['fault']}.")
            parts = [(picture, 0, found["last"])]
            joins, pictures = await self._together(parts, sound if words else None, output, around)
        return Made(complaints, around, joins, pictures)

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

    async def _together(
        self, talk: list[tuple[Path, int, int]], sound: Path | None, output: Path, around: Around
    ) -> tuple[tuple[float, ...], int]:
        """Write the result from files with the talk's pictures (each with its time 0, and when its last one is shown).

        Where what is around the talk meets it and each other (seconds), and how many pictures there are.
        """
        # A last picture may be shown right where the talk ends, since times are rounded.
        late = max(0, talk[-1][2] + 1 - (around.end - around.begin))
        before = [PicturePart(one.path, one.at, one.names) for one in around.before]
        after = [PicturePart(one.path, one.at + late, one.names) for one in around.after]
        own = [PicturePart(path, at + around.begin) for path, at, _ in talk]
        languages = [one.language for one in self.media.audio if one.codec != "unknown"]
        sounds = [SoundTrack(sound, at, one) for at, one in enumerate(languages) if sound]
        made = await put_together(
            [*before, *own, *after], sounds, output, scale=around.scale, name=self.name, like=len(before)
        )
        return around.joins, sum(made.pictures)

    @property
    def over(self) -> list[str]:
        """The filters that put the watermark over the picture."""
        mark = self.dress.mark
        return [watermark.overlay(mark, colours.matrix(self.media.video[0]))] if mark else []

    def graph(self, heard: list[Heard]) -> tuple[list[str], list[str]]:
        """The inputs and filters of tracks that are not simply cut; empty for such as are."""
        chain = args.sound_chain(self.cut.start - self.seek, self.cut)
        return graph(heard, chain, self.encoder.threads) if heard else ([], [])

    async def _in_segments(self, output: Path, around: Around, heard: list[Heard]) -> Made:
        recipe = _Recipe(self, heard)
        scale = args.time_scale(self.media.video[0])
        there = Checkpoints(self.kept, await self._fingerprint(recipe, heard), scale)
        await there.open()
        found = len(there.segments)
        work = Segmented(
            self.encoder,
            [there],
            recipe,
            self.cut.length,
            self.name,
            "trim",
            self.place,
            self.progress,
            self.observe,
        )
        await work.run()
        check_disk(self.encoder, output.parent, sum(one.size for one in there.segments))
        parts = [(there.directory / one.path, one.at, one.last) for one in there.segments]
        met, pictures = await self._together(parts, there.sound, output, around)
        self.progress(self.cut.length, self.cut.length, "s", None)
        begin = around.begin
        joins = [(after.first + begin) / scale for before, after in pairwise(there.segments) if before.at != after.at]
        facts = {
            "number": len(there.segments),
            "found": found,
            "pictures_encoded": sum(one.pictures for one in work.made),
            "resumed": recipe.told,
        }
        return Made(work.complaints, around, tuple(sorted((*joins, *met))), pictures, {"segments": facts})

    async def _fingerprint(self, recipe: _Recipe, heard: list[Heard]) -> str:
        first, nowhere = {0: Stretch()}, {0: self.kept}
        arguments = [recipe.picture(first, nowhere, self.seek), recipe.sound(nowhere)]
        files = [self.dress.mark.path] if self.dress.mark else []
        files += [path for one in heard for path in (one.before, one.after) if path]
        return fingerprint(await said_of_itself(self.encoder), arguments, [self.source, *files])


class _Recipe:
    """How `Segmented` makes it; `told` is why an encode that went on was decoded from the beginning."""

    def __init__(self, one: Whole, heard: list[Heard]) -> None:
        self._one, self._heard, self.told = one, heard, ""
        self._scale = args.time_scale(one.media.video[0])

    async def whence(self, stretches: Mapping[int, Stretch]) -> float:
        one, last = self._one, stretches[0].first - 1
        if last < 0:
            return one.seek

        def shown(seek: float) -> list[str]:
            chain = args.picture_chain(one.media, one.cut, one.cut.start - seek, one.over)
            return [*chain, *Stretch(last).filters(self._scale)]

        seek, self.told = await whence(
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
            over=one.over,
        )

    def whole_picture(self, output: Path) -> list[str]:
        """Arguments that write all of the picture into one file."""
        one = self._one
        return stretch.whole(
            one.source,
            output,
            one.media,
            one.cut,
            seek=one.seek,
            crf=one.crf,
            preset=one.preset,
            threads=one.encoder.threads,
            over=one.over,
        )

    def sound(self, files: Mapping[int, Path]) -> list[str]:
        one = self._one
        if all(track.codec == "unknown" for track in one.media.audio):
            return []
        more, words = one.graph(self._heard)
        return stretch.sound(
            one.source,
            files[0],
            one.media,
            one.cut,
            seek=one.seek,
            audio_bitrate=one.audio_bitrate,
            threads=one.encoder.threads,
            more=more,
            graph=words,
        )

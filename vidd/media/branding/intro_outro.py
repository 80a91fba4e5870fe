"""What is shown around a talk, encoded in the talk's own format: stings once for all talks, cards for each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused, RetryLater
from vidd.files.digest import digest_of
from vidd.files.made_once import made_once
from vidd.media.ffmpeg.args import intro_outro
from vidd.media.ffmpeg.process import encode
from vidd.media.loudness.loudness import Change
from vidd.media.probe.client import probe
from vidd.media.verify.verify import Wanted, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from vidd.media.branding.watermark import Mark
    from vidd.media.ffmpeg.args.intro_outro import Clip, Format
    from vidd.model.event import Event
    from vidd.model.media import Audio
    from vidd.ports import Encoder

Names = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Dress:
    """What a talk gets besides a cut: clips before and after it, by track of sound a change of loudness, a watermark."""

    before: tuple[Clip, ...] = ()
    after: tuple[Clip, ...] = ()
    changes: Mapping[int, Change] = field(default_factory=dict)
    mark: Mark | None = None

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All of them, in order."""
        return (*self.before, *self.after)


PLAIN = Dress()


@dataclass(frozen=True, slots=True)
class Shown:
    """A clip as it is in the result: its encoded pictures, with parameter sets of these names, from `at` on (ticks)."""

    clip: Clip
    path: Path
    names: Names
    at: int
    ticks: int
    pictures: int

    def to_json(self, scale: int) -> dict[str, Any]:
        """For the record; seconds."""
        said = {"part": self.clip.part, "at": self.at / scale, "seconds": self.ticks / scale, "pictures": self.pictures}
        return said | ({"digest": self.clip.digest} if self.clip.digest else {})


@dataclass(frozen=True, slots=True)
class Around:
    """All of them, on a clock of `scale` ticks a second; the talk is from `begin` to `end`."""

    scale: int
    begin: int
    end: int
    before: tuple[Shown, ...] = ()
    after: tuple[Shown, ...] = ()

    @property
    def whole(self) -> int:
        """The ticks of everything."""
        return self.after[-1].at + self.after[-1].ticks if self.after else self.end

    def seconds(self, talk: float) -> float:
        """How long everything is, for a talk of exactly so many seconds."""
        return self.whole / self.scale if self.before or self.after else talk

    @property
    def pictures(self) -> int:
        """How many the clips have."""
        return sum(one.pictures for one in (*self.before, *self.after))

    @property
    def joins(self) -> tuple[float, ...]:
        """Where clips meet each other and the talk (seconds)."""
        starts = [*(one.at for one in self.before[1:]), *([self.begin] if self.before else [])]
        return tuple(one / self.scale for one in (*starts, *(one.at for one in self.after)))

    def to_json(self) -> list[dict[str, Any]]:
        """The parts of the result, in order, with the talk among them; seconds."""
        talk = {"part": "talk", "at": self.begin / self.scale, "seconds": (self.end - self.begin) / self.scale}
        return [
            *(one.to_json(self.scale) for one in self.before),
            talk,
            *(one.to_json(self.scale) for one in self.after),
        ]

    def sound_ends(self, talk: Iterable[float | None]) -> tuple[float | None, ...]:
        """When the sound tracks end in the result (seconds), where they end so in the talk; None where nobody knows."""
        begin, whole = self.begin / self.scale, self.whole / self.scale
        return tuple(whole if self.after else None if one is None else begin + one for one in talk)

    def samples(self, rate: int) -> int:
        """How many samples of sound the talk has."""
        return round(self.end * rate / self.scale) - round(self.begin * rate / self.scale)


@dataclass(frozen=True)
class Wardrobe:
    """Encodes what is around one talk. `kept` is where stings stay for other talks, `room` where the rest is made."""

    encoder: Encoder
    kept: Path
    room: Path
    observe: Callable[[Event], None]

    async def pictures(
        self, dress: Dress, form: Format, names: Sequence[Names], talk: int, *, cautious: bool = False
    ) -> Around:
        """Encode all clips, for a talk of so many ticks; the parameter sets of each have the next of these names.

        Where the talk begins with a picture at which decoders throw away what they have not shown yet, be `cautious`:
        the clip before it then shows its pictures in the order they are decoded. Refused and RetryLater as
        `run.encode` and `verify`.
        """
        known: dict[tuple[str, bool], Names] = {}
        shown: list[Shown] = []
        at = 0
        for number, clip in enumerate(dress.clips):
            at += talk if number == len(dress.before) else 0
            ordered = cautious and number == len(dress.before) - 1
            # The same sting made in the same way has the same parameter sets, which need one name.
            name = known.setdefault((clip.digest, ordered), names[number]) if clip.digest else names[number]
            path = self.room / f"clip-{form.scale}-{number}.mp4"
            path.unlink(missing_ok=True)
            one = await self._shown(clip, replace(form, name=name[1], reordered=form.reordered and not ordered), path)
            shown.append(replace(one, names=name, at=at))
            at += one.ticks
        count = len(dress.before)
        begin = sum(one.ticks for one in shown[:count])
        return Around(form.scale, begin, begin + talk, tuple(shown[:count]), tuple(shown[count:]))

    async def _shown(self, clip: Clip, form: Format, path: Path) -> Shown:
        make = partial(self._encoded, clip, form)
        if not clip.digest:
            await make(path)
            return await self._look(clip, form, path)
        key = json.dumps(form.to_json(clip), sort_keys=True)
        kept = self.kept / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.mp4"
        await made_once(kept, path, make)
        try:
            return await self._look(clip, form, path)
        except Refused:
            # What was good when it was made has been spoilt since, so it is made once more.
            kept.unlink(missing_ok=True)
            path.unlink()
            await made_once(kept, path, make)
            return await self._look(clip, form, path)

    async def _look(self, clip: Clip, form: Format, path: Path) -> Shown:
        video = (await probe(self.encoder, path, clip.path.name)).video[0]
        return Shown(clip, path, (0, 0, 0), 0, round((video.duration or 0.0) * form.scale), video.frames or 0)

    async def _encoded(self, clip: Clip, form: Format, path: Path) -> None:
        await self._run(intro_outro.picture(clip, path, form, threads=self.encoder.threads), path, clip.seconds)
        wanted = Wanted(clip.seconds, clip.seconds, form.video.width, form.video.height, 0)
        await verify(self.encoder, path, wanted, clip.path.name)
        if clip.digest and await digest_of(clip.path) != clip.digest:
            path.unlink(missing_ok=True)
            raise RetryLater(f"The sting {clip.path} was replaced while it was read; it is read again.")

    async def sounds(self, around: Around, track: Audio) -> tuple[Path | None, Path | None]:
        """What is heard before and after the talk, as a track of this rate and these channels has it; None: nothing."""
        layout = intro_outro.layout_of(track.layout, track.channels)
        found = []
        for word, shown in (("before", around.before), ("after", around.after)):
            path = self.room / f"{word}-{around.scale}-{track.rate}-{layout}.wav"
            if shown and not path.exists():
                spans = list(_spans(shown, track.rate, around.scale))
                argv = intro_outro.sound(spans, path, rate=track.rate, layout=layout, threads=self.encoder.threads)
                await self._run(argv, path, sum(one.clip.seconds for one in spans))
            found.append(path if shown else None)
        return found[0], found[1]

    async def _run(self, argv: list[str], path: Path, seconds: float) -> None:
        await encode(
            self.encoder,
            argv,
            output=path,
            duration=seconds,
            progress=lambda *_: None,
            observe=self.observe,
            kind="sting",
        )


def _spans(shown: Iterable[Shown], rate: int, scale: int) -> Iterable[intro_outro.Span]:
    for one in shown:
        # Each from the rounded beginning to the rounded end, so that nothing adds up.
        begin, end = (round(tick * rate / scale) for tick in (one.at, one.at + one.ticks))
        yield intro_outro.Span(one.clip, end - begin)

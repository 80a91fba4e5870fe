"""What the settings put around a talk, made ready: stings looked at, cards drawn, each as a clip to encode."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.files.digest import digest_of
from vidd.media.branding import fonts, title_card, watermark
from vidd.media.branding.images import read_image
from vidd.media.branding.intro_outro import Dress
from vidd.media.ffmpeg.args.intro_outro import Clip
from vidd.media.probe.client import probe
from vidd.media.verify.verify import picture_end
from vidd.model.talk import speakers_in_words
from vidd.settings.templates import fields_of, render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from PIL.Image import Image

    from vidd.media.branding.title_card import Card, Words
    from vidd.media.branding.watermark import Watermark
    from vidd.model.media import Video
    from vidd.ports import Encoder, StepContext, Tools

STING_BEFORE, TITLE_CARD, CLOSING_CARD, STING_AFTER = "sting before", "title card", "closing card", "sting after"
"""The parts of a result beside the talk, which comes after the first two."""


@dataclass(frozen=True)
class Asked:
    """Stings (paths) and cards by the part they are, and a watermark, as the settings have them."""

    stings: Mapping[str, str]
    cards: Mapping[str, Card]
    watermark: Watermark | None = None

    async def check(self, tools: Tools) -> list[str]:
        """Look at all files they name; a sentence for each sting. Refused where one cannot be used."""
        said = []
        if self.watermark:
            await asyncio.to_thread(read_image, tools.path(self.watermark.image), watermark.WHAT)
        for part, path in self.stings.items():
            clip = await sting(tools.encoder, part, tools.path(path))
            said.append(f"The {part} lasts {clip.seconds:.1f} s.")
        for part, one in self.cards.items():
            for file in title_card.font_files(one, tools.path):
                fonts.font(file, 12)
            if one.image:
                await asyncio.to_thread(_behind, one, part, tools)
        return said

    def words(self, context: StepContext) -> dict[str, Words]:
        """What the cards say of this talk. Refused where a template names what there is not, or no font shows it."""
        said = {}
        for part, one in self.cards.items():
            facts = {"speakers": speakers_in_words(context.talk), **context.facts}
            fields = fields_of(context.job, context.talk, facts)
            files = title_card.font_files(one, context.tools.path)
            said[part] = title_card.readable(one, render(one.heading, fields), render(one.text, fields), files, part)
        return said

    async def dress(
        self, context: StepContext, words: Mapping[str, Words], video: Video, room: Path
    ) -> tuple[Dress, dict[str, Any]]:
        """All of it for a talk of this picture, its files in `room`; and for the record what was used."""
        found = await self._clips(context, words, video, room)
        before = tuple(one for one in found if one.part in {STING_BEFORE, TITLE_CARD})
        dress = Dress(before, tuple(found[len(before) :]))
        if self.watermark is None:
            return dress, {}
        image, output = context.tools.path(self.watermark.image), room / "watermark.png"
        across, down = video.shown
        frame = (across // 2 * 2, down // 2 * 2)  # all of it is encoded, in even sides
        mark = await asyncio.to_thread(watermark.prepare, self.watermark, image, output, frame)
        used = {"image": self.watermark.image, "digest": await digest_of(image)}
        return replace(dress, mark=mark), {"watermark": used}

    async def _clips(self, context: StepContext, words: Mapping[str, Words], video: Video, room: Path) -> list[Clip]:
        found = []
        for part in (STING_BEFORE, TITLE_CARD, CLOSING_CARD, STING_AFTER):
            if part in self.stings:
                found.append(await sting(context.tools.encoder, part, context.tools.path(self.stings[part])))
            elif part in self.cards:
                one, path = self.cards[part], room / f"{part.replace(' ', '-')}.png"
                image = await asyncio.to_thread(_behind, one, part, context.tools)
                files = title_card.font_files(one, context.tools.path)
                canvas = await asyncio.to_thread(title_card.draw, one, words[part], _seen(video), files, image)
                await asyncio.to_thread(canvas.save, path, "PNG")
                found.append(Clip(part, path, one.seconds, fade=min(one.fade, one.seconds / 2)))
        return found


@asynccontextmanager
async def dressing_room(final: Path) -> AsyncIterator[Path]:
    """An empty directory beside a file, for what it is dressed with; of the same name in every run, as resuming wants it."""
    room = final.with_name(f".{final.stem}.dress")
    await asyncio.to_thread(shutil.rmtree, room, ignore_errors=True)
    room.mkdir()
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


async def sting(encoder: Encoder, part: str, path: Path) -> Clip:
    """A sting's file as a clip; Refused, with a sentence, where it cannot be used."""
    try:
        media = await probe(encoder, path, path.name)
    except Refused as refused:
        raise Refused(f"The {part} {path} cannot be used: {refused.sentence}") from None
    if picture_end(media) <= 0:
        raise Refused(f"The {part} {path} holds no picture: export it anew.")
    return Clip(part, path, picture_end(media), media, digest=await digest_of(path))


def _behind(one: Card, part: str, tools: Tools) -> Image | None:
    return read_image(tools.path(one.image), f"image of the {part}") if one.image else None


def _seen(video: Video) -> tuple[int, int]:
    """Width and height of a picture as people see it, in pixels that are as wide as high."""
    across, down = video.shown
    wide, high = map(int, video.aspect.split(":"))
    shape = high / wide if video.rotation % 180 else wide / high
    return max(2, round(across * shape)), down

"""The branding that the settings ask for: reads intros and outros, draws cards, prepares the watermark."""

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
from vidd.media.branding.intro_outro import Branding
from vidd.media.ffmpeg.args.intro_outro import Clip
from vidd.media.probe.client import probe
from vidd.media.verify.verify import video_end
from vidd.model.talk import speakers_in_words
from vidd.settings.templates import fields_of, render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from PIL.Image import Image

    from vidd.media.branding.title_card import Card, CardText
    from vidd.media.branding.watermark import Watermark
    from vidd.model.media import Video
    from vidd.ports import Encoder, StepContext, Tools

INTRO, TITLE_CARD, CLOSING_CARD, OUTRO = "sting before", "title card", "closing card", "sting after"
"""The parts of a result beside the talk, which comes after the first two."""


@dataclass(frozen=True)
class BrandingOptions:
    """Intro and outro (paths) and cards by the part they are, and a watermark, as the settings have them."""

    clips: Mapping[str, str]
    cards: Mapping[str, Card]
    watermark: Watermark | None = None

    async def check(self, tools: Tools) -> list[str]:
        """Read all files they name; returns one sentence per intro and outro. Refused where one cannot be used."""
        sentences = []
        if self.watermark:
            await asyncio.to_thread(read_image, tools.path(self.watermark.image), watermark.PART)
        for part, path in self.clips.items():
            clip = await read_clip(tools.encoder, part, tools.path(path))
            sentences.append(f"The {part} lasts {clip.seconds:.1f} s.")
        for part, card in self.cards.items():
            for file in title_card.font_files(card, tools.path):
                fonts.load_font(file, 12)
            if card.image:
                await asyncio.to_thread(_background, card, part, tools)
        return sentences

    def card_texts(self, context: StepContext) -> dict[str, CardText]:
        """The text of each card for this talk. Refused where a template names what there is not, or no font shows it."""
        texts = {}
        for part, card in self.cards.items():
            facts = {"speakers": speakers_in_words(context.talk), **context.facts}
            fields = fields_of(context.job, context.talk, facts)
            files = title_card.font_files(card, context.tools.path)
            heading, text = render(card.heading, fields), render(card.text, fields)
            texts[part] = title_card.displayable_text(card, heading, text, files, part)
        return texts

    async def prepare(
        self, context: StepContext, texts: Mapping[str, CardText], video: Video, directory: Path
    ) -> tuple[Branding, dict[str, Any]]:
        """The branding for a talk with this video, its files in `directory`; and for the record what was used."""
        clips = await self._clips(context, texts, video, directory)
        before = tuple(clip for clip in clips if clip.part in {INTRO, TITLE_CARD})
        branding = Branding(before, tuple(clips[len(before) :]))
        if self.watermark is None:
            return branding, {}
        image, output = context.tools.path(self.watermark.image), directory / "watermark.png"
        across, down = video.display_size
        frame = (across // 2 * 2, down // 2 * 2)  # a full encode has even sides
        placed = await asyncio.to_thread(watermark.prepare, self.watermark, image, output, frame)
        used = {"image": self.watermark.image, "digest": await digest_of(image)}
        return replace(branding, watermark=placed), {"watermark": used}

    async def _clips(
        self, context: StepContext, texts: Mapping[str, CardText], video: Video, directory: Path
    ) -> list[Clip]:
        clips = []
        for part in (INTRO, TITLE_CARD, CLOSING_CARD, OUTRO):
            if part in self.clips:
                clips.append(await read_clip(context.tools.encoder, part, context.tools.path(self.clips[part])))
            elif part in self.cards:
                card, path = self.cards[part], directory / f"{part.replace(' ', '-')}.png"
                image = await asyncio.to_thread(_background, card, part, context.tools)
                files = title_card.font_files(card, context.tools.path)
                canvas = await asyncio.to_thread(title_card.draw, card, texts[part], _display_size(video), files, image)
                await asyncio.to_thread(canvas.save, path, "PNG")
                clips.append(Clip(part, path, card.seconds, fade=min(card.fade, card.seconds / 2)))
        return clips


@asynccontextmanager
async def branding_directory(final: Path) -> AsyncIterator[Path]:
    """An empty directory beside `final` for its branding; its name is the same in every run, which resuming relies on."""
    directory = final.with_name(f".{final.stem}.dress")
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def read_clip(encoder: Encoder, part: str, path: Path) -> Clip:
    """An intro's or outro's file as a clip; Refused, with a sentence, where it cannot be used."""
    try:
        media = await probe(encoder, path, path.name)
    except Refused as refused:
        raise Refused(f"The {part} {path} cannot be used: {refused.sentence}") from None
    if video_end(media) <= 0:
        raise Refused(f"The {part} {path} has no video frames: export it again.")
    return Clip(part, path, video_end(media), media, digest=await digest_of(path))


def _background(card: Card, part: str, tools: Tools) -> Image | None:
    return read_image(tools.path(card.image), f"image of the {part}") if card.image else None


def _display_size(video: Video) -> tuple[int, int]:
    """Width and height of a video as displayed, in square pixels."""
    across, down = video.display_size
    wide, high = map(int, video.aspect.split(":"))
    shape = high / wide if video.rotation % 180 else wide / high
    return max(2, round(across * shape)), down

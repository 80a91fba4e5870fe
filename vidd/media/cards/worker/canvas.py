"""The picture that a card is drawn into, with what all its parts need."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from vidd.media.cards.worker.lines import Block, Ink, Typesetter
from vidd.media.cards.worker.look import Colour, Measures, Palette, tint
from vidd.media.cards.worker.pictures import PictureFiles, Unusable
from vidd.media.cards.worker.shapes import rounded_mask, sign
from vidd.media.cards.worker.text import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.media.cards.worker.text import Prepared
    from vidd.model.post import CustomEmoji

_EDGE = 2


class Box(NamedTuple):
    """A rectangle in pixels: its left upper corner, width and height."""

    x: int
    y: int
    width: int
    height: int

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    def below(self, used: int) -> Box:
        """What is left below `used` rows."""
        return Box(self.x, self.y + used, self.width, self.height - used)

    def middle(self, width: int, height: int) -> Box:
        """A box in the middle of it."""
        return Box(self.x + (self.width - width) // 2, self.y + (self.height - height) // 2, width, height)

    def inset(self, by: int) -> Box:
        """What is left within a margin."""
        return Box(self.x + by, self.y + by, self.width - 2 * by, self.height - 2 * by)


@dataclass
class Canvas:
    """The card of post `number` in the making. `notes` are sentences about what is missing on it."""

    image: Image.Image
    palette: Palette
    files: PictureFiles
    typesetter: Typesetter
    number: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ink(self) -> Ink:
        """The colours of what is read first."""
        return Ink(self.palette.ink, self.palette.accent)

    @property
    def muted(self) -> Ink:
        """The colours of what is less important."""
        return Ink(self.palette.muted, self.palette.accent)

    def note(self, rest: str) -> None:
        """Tell what this post lacks, as the rest of a sentence about it."""
        self.notes.append(f"Post {self.number}: {rest}.")

    def write(self, block: Block, box: Box, ink: Ink | None = None) -> None:
        """Draw a text at the top of a box."""
        self.typesetter.draw(self.image, block, (box.x, box.y), box.width, ink or self.ink)

    def label(self, text: str, size: int, box: Box, ink: Ink, *, bold: bool = False) -> Block:
        """Draw one line at the top left of a box, cut where it is longer."""
        block = self.typesetter.single(prepare(text, single=True, bold=bold), box.width, size)
        self.write(block, Box(box.x, box.y, block.width, block.height), ink)
        return block

    def paste(self, picture: Image.Image, box: Box, radius: int) -> None:
        """Draw a picture of the box's size, with round corners."""
        self.image.paste(picture, (box.x, box.y), rounded_mask((box.width, box.height), radius))

    def fill(self, box: Box, radius: int, colour: Colour) -> None:
        """Draw an area with round corners."""
        self.image.paste(colour, (box.x, box.y, box.x + box.width, box.bottom), rounded_mask(box[2:], radius))

    def frame(self, box: Box, radius: int, fill: Colour) -> None:
        """Draw an area with round corners and an outline."""
        self.fill(box, radius, self.palette.edge)
        self.fill(box.inset(_EDGE), radius - _EDGE, fill)

    def sign(self, name: str, box: Box, colour: Colour) -> None:
        """Draw a sign; the box is a square."""
        self.image.paste(colour, (box.x, box.y, box.x + box.width, box.bottom), sign(name, box.width))

    def known_emoji(self, emoji: Sequence[CustomEmoji]) -> dict[str, str]:
        """The files of custom emoji that can be drawn; notes about the others."""
        files: dict[str, str] = {}
        for item in emoji:
            try:
                if item.path is None:
                    self.notes.append(f"The emoji :{item.shortcode}: could not be fetched; cards show its name.")
                else:
                    self.files.custom_emoji(item.path, (16, 16))
                    files[item.shortcode] = item.path
            except Unusable as reason:
                self.notes.append(f"The emoji :{item.shortcode}: {reason}; cards show its name.")
        return files

    def tell_boxes(self, text: Prepared) -> None:
        """Tell of the characters that no font has."""
        if text.boxes:
            points = ", ".join(f"U+{ord(box[0]):04X}" for box in text.boxes[:5])
            self.note(f"vidd's fonts have no glyphs for {points}; the card shows boxes in their place")


@lru_cache(maxsize=32)
def ground(measures: Measures, palette: Palette, hue: float) -> Image.Image:
    """An empty card on its page."""
    image = Image.new("RGB", (measures.width, measures.height), tint(hue, *palette.page))
    canvas = Canvas(image, palette, None, None)  # type: ignore[arg-type]  # neither pictures nor texts are on it
    outer = Box(0, 0, measures.width, measures.height).inset(measures.margin)
    canvas.frame(outer, measures.radius, palette.card)
    return image

"""The measures and colours of cards."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from vidd.media.cards.settings import SIZES, CardSize, Theme

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a theme.

    page: lightness and saturation of what is around the card, whose hue is the author's.
    card, edge: the card and its outline. fill: what stands in for pictures.
    ink, muted, accent: texts, what is less important, and links.
    """

    page: tuple[float, float]
    card: Colour
    edge: Colour
    fill: Colour
    ink: Colour
    muted: Colour
    accent: Colour


PALETTES: Mapping[Theme, Palette] = {
    "light": Palette(
        page=(0.90, 0.42),
        card=(255, 255, 255),
        edge=(226, 231, 238),
        fill=(241, 244, 248),
        ink=(20, 24, 31),
        muted=(92, 102, 117),
        accent=(21, 94, 204),
    ),
    "dark": Palette(
        page=(0.17, 0.32),
        card=(20, 23, 29),
        edge=(44, 50, 60),
        fill=(32, 37, 45),
        ink=(240, 243, 247),
        muted=(155, 165, 180),
        accent=(122, 178, 255),
    ),
}


@dataclass(frozen=True, slots=True)
class Measures:
    """Lengths in pixels.

    beside: whether pictures stand at the right of the text instead of below it.
    text: the sizes of a post's text, falling; the last one is the smallest that people can read. inner: of a quoted post's.
    """

    width: int
    height: int
    margin: int
    padding: int
    radius: int
    beside: bool
    avatar: int
    name: int
    handle: int
    small: int
    gap: int
    text: tuple[int, ...]
    inner: tuple[int, ...]


_TEXT = (140, 128, 118, 106, 96, 88, 80, 73, 66, 60, 54, 48, 43, 39, 36, 34)


def measures(size: CardSize) -> Measures:
    """The measures of cards of this size."""
    width, height = SIZES[size]
    wide = width > height
    return Measures(
        width=width,
        height=height,
        margin=44 if wide else 36,
        padding=72 if wide else 60,
        radius=44,
        beside=wide,
        avatar=116 if wide else 108,
        name=46 if wide else 44,
        handle=34,
        small=30,
        gap=36,
        text=_TEXT,
        inner=(46, 42, 38, 34, 32, 30),
    )


def hue_of(handle: str) -> float:
    """A hue from 0 to 1, the same for a handle whenever it is asked for."""
    return zlib.crc32(handle.casefold().encode("utf-8", "replace")) % 360 / 360


def tint(hue: float, lightness: float, saturation: float) -> Colour:
    """A colour of the hue."""
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def sizes_for(length: int, lengths: Measures) -> tuple[int, ...]:
    """The sizes for a text of so many graphemes: a few words are set large, a paragraph never is."""
    limits = ((24, 118), (70, 96), (170, 80), (300, 66), (500, 54))
    largest = next((size for most, size in limits if length <= most), 48)
    # A tall card has room, and is looked at on a phone.
    tall = lengths.height > 1.5 * lengths.width
    return tuple(size for size in lengths.text if size <= largest * (1.2 if tall else 1))

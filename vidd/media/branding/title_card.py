"""A card: a still picture with the talk's words, shown before or after it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from PIL import Image, ImageColor, ImageDraw, ImageOps
from pydantic import AfterValidator, Field

from vidd.errors import Refused
from vidd.media.branding import fonts
from vidd.media.ffmpeg.settings import Colour, Length, pixels
from vidd.settings.template_check import MayName
from vidd.settings.templates import check_template
from vidd.settings.types import Duration, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from PIL.ImageFont import FreeTypeFont

_Template = Annotated[str, AfterValidator(check_template), MayName("speakers")]
_SMALLEST = 6
_SMALLER = 0.93
# Down to this share of the wanted size letters shrink rather than that a word is broken.
_UNBROKEN = 0.5
_LEADING = 1.3
_CUT_OFF = "..."


class Card(Options):
    """What a card shows and for how long. Templates may name what those of `describe` may."""

    seconds: Duration = Field(4.0, ge=0.2, le=60, description="How long it is shown.")
    heading: _Template = Field("{{ talk.title or name }}", description="What is written large.")
    text: _Template = Field("{{ speakers }}\n{{ talk.stage }}", description="What is written below, line by line.")
    background: Colour = Field("#101820", description="The colour behind the words, as #rrggbb.")
    image: str = Field("", description="An image file that fills the picture behind the words; none if empty.")
    colour: Colour = Field("#ffffff", description="The colour of the heading.")
    text_colour: Colour = Field("#b8c4ce", description="The colour of the text below.")
    heading_height: Length = Field("9%", description="The heading's letters, in pixels or percent of the shorter side.")
    text_height: Length = Field("5%", description="The text's letters; both shrink until all of it fits.")
    margin: Length = Field("10%", description="What stays free at the edges.")
    align: Literal["left", "centre"] = Field("centre", description="Where lines begin.")
    fonts: tuple[str, ...] = Field(
        (), description="Font files, tried in this order for each line; at last DejaVu Sans, which comes with vidd."
    )
    misfits: Literal["refuse", "drop"] = Field(
        "refuse", description="What is done with a character that no font shows: refuse the job, or leave it out."
    )
    fade: Duration = Field(0.5, ge=0, le=10, description="Length of its own fade in and out; 0s for none.")


@dataclass(frozen=True, slots=True)
class Words:
    """What is written on a card, and what of it no font could show and was left out."""

    heading: str
    text: str
    dropped: str = ""


def plain(text: str) -> str:
    """A text as it can be set: composed, each line without spaces around it, empty lines only between others."""
    lines = [" ".join(line.split()) for line in unicodedata.normalize("NFC", text).splitlines()]
    return "\n".join(lines).strip("\n")


def font_files(card: Card, path: Callable[[str], Path]) -> list[Path]:
    """The fonts that a card may use, in order; `path` finds a file of the settings."""
    return [*map(path, card.fonts), fonts.shipped()]


def readable(card: Card, heading: str, text: str, paths: Sequence[Path], what: str) -> Words:
    """The words as the fonts can show them; Refused where they cannot, or where nothing is left; blocking."""
    kept, dropped = [], ""
    for part in (plain(heading), plain(text)):
        lines = []
        for line in part.split("\n"):
            fonts.check_direction(line, what)
            found, lacks = fonts.choose(paths, line)
            if lacks and card.misfits == "refuse":
                named = ", ".join(f"{one} (U+{ord(one):04X})" for one in lacks[:5])
                raise Refused(
                    f"The font {found.name} cannot show {named} of the {what}: name one that can under fonts,"
                    ' or set misfits = "drop".'
                )
            dropped += lacks
            lines.append(" ".join("".join(one for one in line if one not in lacks).split()))
        kept.append("\n".join(lines).strip("\n"))
    if not any(kept) and not card.image:
        raise Refused(f"The templates of the {what} make no text: correct heading or text, or give it an image.")
    return Words(kept[0], kept[1], "".join(dict.fromkeys(dropped)))


def draw(
    card: Card, words: Words, frame: tuple[int, int], paths: Sequence[Path], image: Image.Image | None = None
) -> Image.Image:
    """The card as a picture of this size; `image` (RGBA) fills it behind the words. Blocking."""
    canvas = Image.new("RGB", frame, card.background)
    if image is not None:
        behind = ImageOps.fit(image, frame, Image.Resampling.LANCZOS)
        canvas.paste(behind, (0, 0), behind)
    margin = round(min(pixels(card.margin, min(frame)), min(frame) / 4))
    room = (frame[0] - 2 * margin, frame[1] - 2 * margin)
    lines = _fitted(card, words, paths, room, min(frame))
    pen = ImageDraw.Draw(canvas)
    top = margin + (room[1] - sum(one.height for one in lines)) / 2
    for line in lines:
        left = margin if card.align == "left" else margin + (room[0] - line.width) / 2
        pen.text((left, top + line.height / 2), line.text, fill=line.colour, font=line.font, anchor="lm")
        top += line.height
    return canvas


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    font: FreeTypeFont
    colour: tuple[int, ...]
    width: float
    height: float
    breaks: bool = False


def _fitted(card: Card, words: Words, paths: Sequence[Path], room: tuple[int, int], side: int) -> list[_Line]:
    """The lines at the largest size at which they fit into the room; at the smallest the last ones are cut off."""
    parts = (
        (words.heading, pixels(card.heading_height, side), card.colour),
        (words.text, pixels(card.text_height, side), card.text_colour),
    )
    scale = 1.0
    while True:
        lines: list[_Line] = []
        for text, size, colour in parts:
            if lines and text:
                lines.append(replace(lines[-1], text="", width=0, height=lines[-1].height / 2))
            lines += _set(text, max(_SMALLEST, round(size * scale)), ImageColor.getrgb(colour), paths, room[0])
        whole = scale < _UNBROKEN or not any(one.breaks for one in lines)
        if whole and sum(one.height for one in lines) <= room[1]:
            return lines
        if all(size * scale <= _SMALLEST for _, size, _ in parts):
            return _cut_off(lines, room[1])
        scale *= _SMALLER


def _set(text: str, size: int, colour: tuple[int, ...], paths: Sequence[Path], width: int) -> list[_Line]:
    lines = []
    for line in text.split("\n") if text else ():
        using = fonts.font(fonts.choose(paths, line)[0], size)
        lines += [
            _Line(one, using, colour, using.getlength(one), size * _LEADING, breaks)
            for one, breaks in _balanced(line, using, width)
        ]
    return lines


def _balanced(text: str, using: FreeTypeFont, width: int) -> list[tuple[str, bool]]:
    """A line parted into as few as fit, and these about as wide as each other, so that no word is left alone."""
    lines, low, high = _wrapped(text, using, width), width // 2, width
    if len(lines) < 2 or any(breaks for _, breaks in lines):
        return lines
    while high - low > max(2, width // 100):
        middle = (low + high) // 2
        narrower = _wrapped(text, using, middle)
        if len(narrower) > len(lines) or any(breaks for _, breaks in narrower):
            low = middle
        else:
            lines, high = narrower, middle
    return lines


def _wrapped(text: str, using: FreeTypeFont, width: int) -> list[tuple[str, bool]]:
    """A line parted where words end; a word wider than the room, wherever it must be, and then True beside it."""
    lines: list[tuple[str, bool]] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if using.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append((line, False))
        line = word
        while using.getlength(line) > width and len(line) > 1:
            fits = next(at for at in range(len(line) - 1, 0, -1) if at == 1 or using.getlength(line[:at]) <= width)
            lines.append((line[:fits], True))
            line = line[fits:]
    return [*lines, (line, False)]


def _cut_off(lines: list[_Line], height: int) -> list[_Line]:
    kept: list[_Line] = []
    for line in lines:
        if kept and sum(one.height for one in kept) + line.height > height:
            last = kept[-1]
            text = last.text[:-1] + _CUT_OFF
            return [*kept[:-1], replace(last, text=text, width=last.font.getlength(text))]
        kept.append(line)
    return kept

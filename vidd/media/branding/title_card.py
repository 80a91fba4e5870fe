"""Draws a title or closing card: an image with the talk's title and speakers."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from PIL import Image, ImageColor, ImageDraw, ImageOps
from pydantic import AfterValidator, Field

from vidd.errors import FaultCode, Refused
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
_SMALLEST_SIZE = 6
_SHRINK_FACTOR = 0.93
# Letters shrink down to this share of their size before a word is broken.
_UNBROKEN_SCALE = 0.5
_LEADING = 1.3
_ELLIPSIS = "..."


class Card(Options):
    """The settings of a card. Templates may name what those of `describe` may."""

    seconds: Duration = Field(4.0, ge=0.2, le=60, description="How long it is shown.")
    heading: _Template = Field("{{ talk.title or name }}", description="The text in large letters.")
    text: _Template = Field("{{ speakers }}\n{{ talk.stage }}", description="The text below, line by line.")
    background: Colour = Field("#101820", description="The colour behind the text, as #rrggbb.")
    image: str = Field("", description="An image file that fills the card behind the text; none if empty.")
    colour: Colour = Field("#ffffff", description="The colour of the heading.")
    text_colour: Colour = Field("#b8c4ce", description="The colour of the text below.")
    heading_height: Length = Field("9%", description="The heading's letters, in pixels or percent of the shorter side.")
    text_height: Length = Field("5%", description="The text's letters; both shrink until all of it fits.")
    margin: Length = Field("10%", description="The free space at the edges.")
    align: Literal["left", "centre"] = Field("centre", description="Where lines begin.")
    fonts: tuple[str, ...] = Field(
        (), description="Font files, tried in this order for each line; last DejaVu Sans, which comes with vidd."
    )
    misfits: Literal["refuse", "drop"] = Field(
        "refuse", description="What happens with a character that no font shows: refuse the job, or leave it out."
    )
    fade: Duration = Field(0.5, ge=0, le=10, description="Length of the card's own fade in and out; 0s for none.")


@dataclass(frozen=True, slots=True)
class CardText:
    """The text on a card, and the characters of it that no font could show and that were left out."""

    heading: str
    text: str
    dropped: str = ""


def normalize_text(text: str) -> str:
    """A text in Unicode NFC, its spaces collapsed, without empty lines at its ends."""
    lines = [" ".join(line.split()) for line in unicodedata.normalize("NFC", text).splitlines()]
    return "\n".join(lines).strip("\n")


def font_files(card: Card, path: Callable[[str], Path]) -> list[Path]:
    """The fonts that a card may use, in order; `path` resolves a path of the settings."""
    return [*map(path, card.fonts), fonts.default_font()]


def displayable_text(card: Card, heading: str, text: str, paths: Sequence[Path], what: str) -> CardText:
    """The text as the fonts can show it; Refused where they cannot, or where no text is left; blocking."""
    texts, dropped = [], ""
    for part in (normalize_text(heading), normalize_text(text)):
        lines = []
        for line in part.split("\n"):
            fonts.check_direction(line, what)
            font, missing = fonts.choose_font(paths, line)
            if missing and card.misfits == "refuse":
                named = ", ".join(f"{character} (U+{ord(character):04X})" for character in missing[:5])
                raise Refused(
                    f"The font {font.name} cannot show {named} of the {what}: name one that can under fonts,"
                    ' or set misfits = "drop".',
                    code=FaultCode.BAD_SETTINGS,
                )
            dropped += missing
            lines.append(" ".join("".join(character for character in line if character not in missing).split()))
        texts.append("\n".join(lines).strip("\n"))
    if not any(texts) and not card.image:
        raise Refused(
            f"The templates of the {what} give no text: correct heading or text, or set an image.",
            code=FaultCode.BAD_SETTINGS,
        )
    return CardText(texts[0], texts[1], "".join(dict.fromkeys(dropped)))


def draw(
    card: Card, card_text: CardText, frame: tuple[int, int], paths: Sequence[Path], image: Image.Image | None = None
) -> Image.Image:
    """The card as an image of size `frame`; `image` (RGBA) fills it behind the text. Blocking."""
    canvas = Image.new("RGB", frame, card.background)
    if image is not None:
        behind = ImageOps.fit(image, frame, Image.Resampling.LANCZOS)
        canvas.paste(behind, (0, 0), behind)
    margin = round(min(pixels(card.margin, min(frame)), min(frame) / 4))
    room = (frame[0] - 2 * margin, frame[1] - 2 * margin)
    lines = _fit_lines(card, card_text, paths, room, min(frame))
    pen = ImageDraw.Draw(canvas)
    top = margin + (room[1] - sum(line.height for line in lines)) / 2
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


def _fit_lines(card: Card, card_text: CardText, paths: Sequence[Path], room: tuple[int, int], side: int) -> list[_Line]:
    """The lines at the largest size at which they fit into `room` (pixels); at the smallest size the last ones are cut off."""
    parts = (
        (card_text.heading, pixels(card.heading_height, side), card.colour),
        (card_text.text, pixels(card.text_height, side), card.text_colour),
    )
    scale = 1.0
    while True:
        lines: list[_Line] = []
        for text, size, colour in parts:
            if lines and text:
                lines.append(replace(lines[-1], text="", width=0, height=lines[-1].height / 2))
            lines += _layout_lines(
                text, max(_SMALLEST_SIZE, round(size * scale)), ImageColor.getrgb(colour), paths, room[0]
            )
        unbroken = scale < _UNBROKEN_SCALE or not any(line.breaks for line in lines)
        if unbroken and sum(line.height for line in lines) <= room[1]:
            return lines
        if all(size * scale <= _SMALLEST_SIZE for _, size, _ in parts):
            return _truncate_lines(lines, room[1])
        scale *= _SHRINK_FACTOR


def _layout_lines(text: str, size: int, colour: tuple[int, ...], paths: Sequence[Path], width: int) -> list[_Line]:
    lines = []
    for line in text.split("\n") if text else ():
        font = fonts.load_font(fonts.choose_font(paths, line)[0], size)
        lines += [
            _Line(part, font, colour, font.getlength(part), size * _LEADING, breaks)
            for part, breaks in _balance_lines(line, font, width)
        ]
    return lines


def _balance_lines(text: str, font: FreeTypeFont, width: int) -> list[tuple[str, bool]]:
    """A line wrapped into as few lines as fit, of about equal widths, so that no word is left alone."""
    lines, low, high = _wrap_line(text, font, width), width // 2, width
    if len(lines) < 2 or any(breaks for _, breaks in lines):
        return lines
    while high - low > max(2, width // 100):
        middle = (low + high) // 2
        narrower = _wrap_line(text, font, middle)
        if len(narrower) > len(lines) or any(breaks for _, breaks in narrower):
            low = middle
        else:
            lines, high = narrower, middle
    return lines


def _wrap_line(text: str, font: FreeTypeFont, width: int) -> list[tuple[str, bool]]:
    """A line wrapped between words; True marks a line that ends within a word, which is wider than `width`."""
    lines: list[tuple[str, bool]] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append((line, False))
        line = word
        while font.getlength(line) > width and len(line) > 1:
            fits = next(at for at in range(len(line) - 1, 0, -1) if at == 1 or font.getlength(line[:at]) <= width)
            lines.append((line[:fits], True))
            line = line[fits:]
    return [*lines, (line, False)]


def _truncate_lines(lines: list[_Line], height: int) -> list[_Line]:
    fitting: list[_Line] = []
    for line in lines:
        if fitting and sum(fitted.height for fitted in fitting) + line.height > height:
            last = fitting[-1]
            text = last.text[:-1] + _ELLIPSIS
            return [*fitting[:-1], replace(last, text=text, width=last.font.getlength(text))]
        fitting.append(line)
    return fitting

"""Fonts for cards: loads them, and finds the characters that a font cannot show."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import ImageFont, features

from vidd.errors import FaultCode, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEST_SIZE = 48
# A noncharacter (Unicode, chapter 23.7), for which every font shows its box.
_NONCHARACTER = "\uffff"
# Characters without a glyph of their own: controls, direction marks, joiners, variation selectors.
_INVISIBLE = ("Cc", "Cf", "Zs", "Zl", "Zp")
_VARIANTS = range(0xFE00, 0xFE10)


def default_font() -> Path:
    """The font that comes with vidd: DejaVu Sans (Latin, Greek, Cyrillic, Hebrew, Arabic and more)."""
    return Path(__file__).with_name("DejaVuSans.ttf")


@lru_cache(maxsize=256)
def load_font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font at a size in pixels; Refused, with a sentence, where it cannot be read."""
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise Refused(
            f"The font {path} cannot be used ({error}): name a TrueType or OpenType file under fonts.",
            code=FaultCode.BAD_SETTINGS,
        ) from None


@lru_cache(maxsize=4096)
def _can_show(path: Path, character: str) -> bool:
    if unicodedata.category(character) in _INVISIBLE or ord(character) in _VARIANTS:
        return True
    font = load_font(path, _TEST_SIZE)
    glyph, box = font.getmask(character), font.getmask(_NONCHARACTER)
    return glyph.size != box.size or bytes(glyph) != bytes(box)


def missing_characters(path: Path, text: str) -> str:
    """The characters of a text that a font cannot show, without repetitions."""
    return "".join(character for character in dict.fromkeys(text) if not _can_show(path, character))


def choose_font(paths: Sequence[Path], text: str) -> tuple[Path, str]:
    """The first font that can show all of a text, or else the one that lacks the fewest characters; and those characters."""
    found = [(path, missing_characters(path, text)) for path in paths]
    return min(found, key=lambda choice: len(choice[1]))


def check_direction(text: str, what: str) -> None:
    """Refused where a text is written from right to left and Pillow has no libraqm to lay it out."""
    if features.check_feature("raqm") or not any(
        unicodedata.bidirectional(character) in {"R", "AL"} for character in text
    ):
        return
    raise Refused(
        f"The {what} is written from right to left, which needs FriBidi: install it (Debian: libfribidi0).",
        code=FaultCode.NOT_INSTALLED,
    )

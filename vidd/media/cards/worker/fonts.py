"""The fonts of the cards, and which of them shows what.

`coverage.json` beside the fonts has the code points that each one has glyphs for. The first font in `_ORDER` that has them
all shows a grapheme; an emoji is shown in colour where Noto Sans has no letter for it.
"""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

FONTS = Path(__file__).parents[1] / "fonts"
EMOJI = "NotoColorEmoji.ttf"
_SANS, _BOLD, _CJK = "NotoSans-Regular.ttf", "NotoSans-Bold.ttf", "NotoSansCJK-Regular.ttc"
_LATER = ("NotoSansMath-Regular.ttf", "NotoSansSymbols-Regular.ttf", "NotoSansSymbols2-Regular.ttf")
# The faces of the collection, by the language whose forms of the ideographs they show first.
_CJK_FACES = {"ja": 0, "ko": 1, "zh": 2}
# A bold letter of a font that has none is drawn with a stroke of this width, in ems.
_STROKE = 0.018

_TEXT_STYLE, _EMOJI_STYLE, _KEYCAP = "\ufe0e", "\ufe0f", "\u20e3"


@dataclass(frozen=True, slots=True)
class Face:
    """A font of the set. `index` is its place in a collection; `stroke` (ems) makes its letters bold."""

    file: str
    index: int = 0
    stroke: float = 0.0

    @property
    def is_emoji(self) -> bool:
        """Whether its glyphs are pictures in colour."""
        return self.file == EMOJI


SANS = Face(_SANS)


@cache
def _starts_and_ends() -> dict[str, tuple[list[int], list[int]]]:
    document = json.loads((FONTS / "coverage.json").read_text())
    return {file: ([first for first, _ in ranges], [last for _, last in ranges]) for file, ranges in document.items()}


@cache
def _order() -> tuple[str, ...]:
    others = sorted(set(_starts_and_ends()) - {_SANS, _BOLD, _CJK, EMOJI, *_LATER})
    # Fonts of single scripts have punctuation of others, too, in forms of their own.
    return (_SANS, _CJK, *others, *_LATER)


def _has(file: str, character: str) -> bool:
    starts, ends = _starts_and_ends()[file]
    at = bisect_right(starts, ord(character)) - 1
    return at >= 0 and ord(character) <= ends[at]


@lru_cache(maxsize=65536)
def choose_face(grapheme: str, *, bold: bool, language: str) -> Face | None:
    """The face that shows a grapheme; None where no font has it. `language` is that of ideographs: ja, ko or zh."""
    if _is_emoji(grapheme):
        return Face(EMOJI)
    visible = [character for character in grapheme if not _is_ignorable(character)]
    file = next((file for file in _order() if all(_has(file, character) for character in visible)), None)
    if file is None:
        # An unusual mark is drawn as a box over its letter.
        file = next((file for file in _order() if _has(file, visible[0])), None)
    if file is None:
        return None
    if bold and file == _SANS:
        return Face(_BOLD)
    return Face(file, _CJK_FACES[language] if file == _CJK else 0, _STROKE if bold else 0.0)


def _is_emoji(grapheme: str) -> bool:
    first = grapheme[0]
    if not _has(EMOJI, first) or _TEXT_STYLE in grapheme or first.isspace():
        return False
    # Digits are letters unless they are on a key, © and ™ unless a selector follows.
    selector = _KEYCAP if first in "0123456789#*" else _EMOJI_STYLE
    return not _has(_SANS, first) or selector in grapheme


def _is_ignorable(character: str) -> bool:
    """Whether a character has no glyph of its own: joiners, direction marks, variation selectors, tags."""
    return unicodedata.category(character) == "Cf" or 0xFE00 <= ord(character) <= 0xFE0F or ord(character) >= 0xE0000


@lru_cache(maxsize=512)
def load_font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    """A face at a size in pixels."""
    return ImageFont.truetype(str(FONTS / face.file), size, index=face.index, layout_engine=ImageFont.Layout.RAQM)

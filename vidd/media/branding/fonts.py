"""Fonts for cards, and which of them can show a text: a box in the place of a letter is worse than a question."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from PIL import ImageFont, features

from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TRIED_AT = 48
# Unicode says of it that it will never be a character (chapter 23.7), so every font shows its box for it.
_NOTHING = "\uffff"
# Characters that show nothing of themselves: controls, direction marks, joiners, and the choice of a variant.
_INVISIBLE = ("Cc", "Cf", "Zs", "Zl", "Zp")
_VARIANTS = range(0xFE00, 0xFE10)


def shipped() -> Path:
    """The font that is always there: DejaVu Sans (Latin, Greek, Cyrillic, Hebrew, Arabic and more), from ziafont."""
    with as_file(files("ziafont") / "fonts" / "DejaVuSans.ttf") as path:
        return path


@lru_cache(maxsize=256)
def font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font at a size in pixels; Refused, with a sentence, where it cannot be read."""
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise Refused(
            f"The font {path} cannot be used ({error}): name a TrueType or OpenType file under fonts."
        ) from None


@lru_cache(maxsize=4096)
def _shows(path: Path, character: str) -> bool:
    if unicodedata.category(character) in _INVISIBLE or ord(character) in _VARIANTS:
        return True
    tried = font(path, _TRIED_AT)
    seen, box = tried.getmask(character), tried.getmask(_NOTHING)
    return seen.size != box.size or bytes(seen) != bytes(box)


def lacking(path: Path, text: str) -> str:
    """The characters of a text that a font cannot show, each once."""
    return "".join(one for one in dict.fromkeys(text) if not _shows(path, one))


def choose(paths: Sequence[Path], text: str) -> tuple[Path, str]:
    """The first font that can show all of a text, or else the one that lacks least; and what it lacks."""
    found = [(path, lacking(path, text)) for path in paths]
    return min(found, key=lambda one: len(one[1]))


def check_direction(text: str, what: str) -> None:
    """Refused where a text needs to be set from right to left, or its letters joined, and nothing here can do that."""
    if features.check_feature("raqm") or not any(unicodedata.bidirectional(one) in {"R", "AL"} for one in text):
        return
    raise Refused(
        f"The {what} is written from right to left, which cannot be set without FriBidi: install it (Debian: libfribidi0)."
    )

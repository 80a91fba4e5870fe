"""Prepares a text for layout: cleans it, and finds its graphemes, their fonts, the direction, and where lines may end."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icu4py.breakers import CharacterBreaker, LineBreaker

from vidd.media.cards.worker.bidi import embedding_levels
from vidd.media.cards.worker.fonts import SANS, Face, choose_face

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vidd.model.post import Span

# Graphemes beyond these do not fit on a card at the smallest size.
_MOST_GRAPHEMES = 2600
# Of a stack of marks over a letter these are shown; no language writes more, but people bury texts under hundreds.
_MOST_MARKS = 4
# The longest sequences are flags of regions: 7 code points, and families with skin tones: 11.
_LONGEST_GRAPHEME = 24
_PARAGRAPH_ENDS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"
# Embeddings and overrides turn what follows around; isolates end where their paragraph ends, and real texts need them.
_OVERRIDES = "\u202a\u202b\u202c\u202d\u202e"
_OBJECT = "\ufffc"
_NEW_LINE = re.compile(r"\r\n|[" + _PARAGRAPH_ENDS + "]")
_SHORTCODE = re.compile(r":([^\s:]{1,100}):")


@dataclass(frozen=True, slots=True)
class Atom:
    """A grapheme, which is never parted.

    accent: whether it has the colour of links.
    level: its embedding level; odd is right to left.
    may_end: whether a line may end after it.
    picture: the file of a custom emoji, which takes the place of the text.
    """

    text: str
    face: Face
    level: int
    may_end: bool = True
    accent: bool = False
    picture: str | None = None

    @property
    def is_space(self) -> bool:
        """Whether a line does not show it at its end."""
        return self.picture is None and self.text.isspace()


@dataclass(frozen=True, slots=True)
class Paragraph:
    """What stands between two line breaks of the author's. `level` 1 is right to left."""

    atoms: tuple[Atom, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text that can be laid out. `boxes` are the graphemes that no font has; `cut`: more was there."""

    paragraphs: tuple[Paragraph, ...]
    boxes: tuple[str, ...] = ()
    cut: bool = False

    @property
    def length(self) -> int:
        """How many graphemes it has."""
        return sum(len(paragraph.atoms) for paragraph in self.paragraphs)


@dataclass(frozen=True, slots=True)
class _Character:
    text: str
    accent: bool = False
    picture: str | None = None


def prepare(
    text: str,
    *,
    spans: Sequence[Span] = (),
    emoji: Mapping[str, str] | None = None,
    bold: bool = False,
    single: bool = False,
    accent: bool = False,
) -> Prepared:
    """Prepare a text. `emoji` are the files of custom emoji by shortcode; `single` makes one paragraph of it."""
    characters = _clean(list(_characters(text, spans, emoji or {}, accent=accent)), single=single)
    language = _language(text)
    paragraphs, left, boxes = list[Paragraph](), _MOST_GRAPHEMES, dict[str, None]()
    cut = False
    for line in _lines(characters):
        if left <= 0:
            cut = True
            break
        taken = left * _LONGEST_GRAPHEME
        paragraph = _paragraph(line[:taken], bold=bold, language=language, boxes=boxes)
        paragraphs.append(Paragraph(paragraph.atoms[:left], paragraph.level))
        left -= len(paragraph.atoms) + 1
        cut = cut or left < -1 or taken < len(line)
    return Prepared(tuple(paragraphs), tuple(boxes), cut)


def _characters(text: str, spans: Sequence[Span], emoji: Mapping[str, str], *, accent: bool) -> Iterator[_Character]:
    accents = [accent] * len(text)
    for span in spans:
        start, end = max(0, span.start), min(len(text), span.end)
        accents[start:end] = [True] * max(0, end - start)
    at = 0
    while at < len(text):
        found = _SHORTCODE.match(text, at) if emoji and text[at] == ":" else None
        if found and found[1] in emoji:
            yield _Character(_OBJECT, accents[at], emoji[found[1]])
            at = found.end()
            continue
        if text[at] == "\r" and text[at + 1 : at + 2] == "\n":
            at += 1
        yield _Character(text[at], accents[at])
        at += 1


def _clean(characters: list[_Character], *, single: bool) -> list[_Character]:
    """Without what is not to be seen or disturbs what stands beside it; at most one empty line; no white space at the ends."""
    cleaned: list[_Character] = []
    for character in characters:
        shown = character.text if character.picture else _visible(character.text, single=single)
        if shown == "\n":
            while cleaned and cleaned[-1].text == " ":
                cleaned.pop()
            if not cleaned or [last.text for last in cleaned[-2:]] == ["\n", "\n"]:
                continue
        if shown:
            cleaned.append(_Character(shown, character.accent, character.picture))
    while cleaned and cleaned[-1].text.isspace():
        cleaned.pop()
    first = next((at for at, character in enumerate(cleaned) if not character.text.isspace()), 0)
    return cleaned[first:]


def _visible(character: str, *, single: bool) -> str:
    if character in _PARAGRAPH_ENDS:
        return " " if single else "\n"
    if character == "\t":
        return " "
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    # Cn covers noncharacters, and code points newer than Python's tables, which fonts may have.
    is_noncharacter = ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF
    is_hidden = category == "Cc" or is_noncharacter or character in _OVERRIDES or character in {_OBJECT, "\ufeff"}
    return "" if is_hidden else character


def _lines(characters: list[_Character]) -> list[list[_Character]]:
    lines: list[list[_Character]] = [[]]
    for character in characters:
        if character.text == "\n":
            lines.append([])
        else:
            lines[-1].append(character)
    return lines


def _paragraph(line: list[_Character], *, bold: bool, language: str, boxes: dict[str, None]) -> Paragraph:
    text = "".join(character.text for character in line)
    if not text:
        return Paragraph((), 0)
    base, levels = embedding_levels(text)
    ends, end = set[int](), 0
    for part in LineBreaker(text, "en"):
        end += len(part)
        if not part.endswith("://"):
            ends.add(end)
    atoms, at = [], 0
    for grapheme in CharacterBreaker(text, "en"):
        first, after = line[at], at + len(grapheme)
        face = choose_face(grapheme, bold=bold, language=language)
        if face is None and first.picture is None:
            boxes[grapheme] = None
        shown = _OBJECT if first.picture else _limit(grapheme)
        atoms.append(Atom(shown, face or SANS, levels[at], after in ends, first.accent, first.picture))
        at = after
    return Paragraph(tuple(atoms), base)


def _limit(grapheme: str) -> str:
    """A grapheme with at most `_MOST_MARKS` marks."""
    if len(grapheme) <= _MOST_MARKS:
        return grapheme
    marks, kept = 0, []
    for character in grapheme[:_LONGEST_GRAPHEME]:
        marks += unicodedata.category(character) in {"Mn", "Me"} and not 0xFE00 <= ord(character) <= 0xFE0F
        if marks <= _MOST_MARKS or unicodedata.combining(character) == 0:
            kept.append(character)
    return "".join(kept)


def _language(text: str) -> str:
    """Whose forms of the ideographs a text wants: Japanese has kana, Korean has hangul."""
    names = {name.split(" ", 1)[0] for name in (unicodedata.name(character, "") for character in set(text))}
    return "ja" if names & {"HIRAGANA", "KATAKANA"} else "ko" if "HANGUL" in names else "zh"

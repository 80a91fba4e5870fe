"""Breaks a prepared text into lines, at the largest size at which it fits, and draws them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from vidd.media.cards.worker.bidi import visual_order
from vidd.media.cards.worker.fonts import SANS, Face, load_font
from vidd.media.cards.worker.pictures import emoji_picture, emoji_width
from vidd.media.cards.worker.text import Atom, Paragraph, Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vidd.media.cards.worker.pictures import PictureFiles

_LEADING = 1.36
# Noto Sans, in ems.
_ASCENT, _DESCENT = 1.069, 0.293
_BLANK_LINE = 0.55
_ELLIPSIS = "…"
_JOINER = "\u200d"
_EMOJI_WIDTH = 1.2
_CUSTOM_HEIGHT, _WIDEST_CUSTOM = 1.2, 3.6


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a paragraph, in logical order, without the white space at its end. `level` is the paragraph's."""

    atoms: tuple[Atom, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Block:
    """Lines at a size, in pixels. A line that is None is an empty one. `cut`: not all of the text is here."""

    lines: tuple[Line | None, ...]
    size: int
    width: int
    height: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Ink:
    """The colours (R, G, B) of a text."""

    text: tuple[int, int, int]
    accent: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Run:
    """Atoms that are drawn at once."""

    text: str
    face: Face
    level: int
    accent: bool
    picture: str | None


class Typesetter:
    """Lays out texts and draws them. `files` has the custom emoji."""

    def __init__(self, files: PictureFiles) -> None:
        self._files = files

    def fit(self, text: Prepared, width: int, height: int, sizes: Sequence[int]) -> Block:
        """The text at the largest of the sizes (falling) at which it fits; at the last one, as much of it as fits."""
        for size in sizes[:-1]:
            block = self.set(text, width, height, size)
            if not block.cut:
                return block
        return self.set(text, width, height, sizes[-1])

    def set(self, text: Prepared, width: int, height: int, size: int) -> Block:
        """The text at a size, as much of it as fits; one line at least."""
        leading, blank = round(_LEADING * size), round(_BLANK_LINE * size)
        lines: list[Line | None] = []
        used, cut = 0, text.cut
        for paragraph in text.paragraphs:
            if not paragraph.atoms:
                lines.append(None)
                used += blank
                continue
            for atoms in self._break(paragraph, width, size):
                if lines and used + leading > height:
                    cut = True
                    break
                lines.append(Line(atoms, paragraph.level))
                used += leading
            else:
                continue
            break
        if cut:
            while lines and lines[-1] is None:
                lines.pop()
                used -= blank
            if lines and (last := lines[-1]) is not None:
                lines[-1] = self._shorten(last, width, size)
        wide = max((self.width(line.atoms, size) for line in lines if line is not None), default=0)
        return Block(tuple(lines), size, round(wide), used, cut)

    def single(self, text: Prepared, width: int, size: int) -> Block:
        """The text as one line, cut where it is longer than `width`."""
        return self.set(text, width, 0, size)

    def width(self, atoms: Sequence[Atom], size: int) -> float:
        """The width of these atoms in pixels."""
        return sum(self._run_width(run, size) for run in _runs(atoms))

    def _break(self, paragraph: Paragraph, width: int, size: int) -> Iterator[tuple[Atom, ...]]:
        line: list[Atom] = []
        filled = 0.0
        for word in _words(paragraph.atoms):
            bare = _trim(word)
            bare_width, full_width = self.width(bare, size), self.width(word, size)
            if line and filled + bare_width > width:
                yield _trim(line)
                line, filled = [], 0.0
            if bare_width <= width:
                line += word
                filled += full_width
                continue
            for atom in word:
                step = self.width((atom,), size)
                if line and not atom.is_space and filled + step > width:
                    yield _trim(line)
                    line, filled = [], 0.0
                line.append(atom)
                filled += step
        if line:
            yield _trim(line)

    def _shorten(self, line: Line, width: int, size: int) -> Line:
        """The line with an ellipsis at its end, in place of as many graphemes as are needed for that."""
        ellipsis = Atom(_ELLIPSIS, SANS, line.level)
        kept = list(line.atoms)
        while kept and (kept[-1].is_space or self.width([*kept, ellipsis], size) > width):
            kept.pop()
        return Line((*kept, ellipsis), line.level)

    def draw(self, canvas: Image.Image, block: Block, at: tuple[int, int], width: int, ink: Ink) -> None:
        """Draw a block into a column that begins at `at` and is `width` wide: on its left, or on its right if right to left."""
        x, top = at
        leading = round(_LEADING * block.size)
        rise = (leading - round((_ASCENT + _DESCENT) * block.size)) // 2 + round(_ASCENT * block.size)
        for line in block.lines:
            if line is None:
                top += round(_BLANK_LINE * block.size)
                continue
            left = x if line.level == 0 else x + width - round(self.width(line.atoms, block.size))
            self._draw_line(canvas, line, (left, top + rise), block.size, ink)
            top += leading

    def _draw_line(self, canvas: Image.Image, line: Line, origin: tuple[float, int], size: int, ink: Ink) -> None:
        pencil, (x, baseline) = ImageDraw.Draw(canvas), origin
        runs = _runs(line.atoms)
        for number in visual_order([run.level for run in runs]):
            run = runs[number]
            wide = self._run_width(run, size)
            picture = self._picture(run, size)
            if picture is not None:
                top = baseline - round(0.36 * size + picture.height / 2)
                left = round(x + (wide - picture.width) / 2)
                canvas.paste(picture, (left, top), picture)
            else:
                pencil.text(
                    (x, baseline),
                    run.text,
                    fill=ink.accent if run.accent else ink.text,
                    font=load_font(run.face, size),
                    anchor="ls",
                    direction=_direction(run),
                    stroke_width=run.face.stroke * size,
                )
            x += wide

    def _picture(self, run: _Run, size: int) -> Image.Image | None:
        if run.picture is not None:
            return self._files.custom_emoji(run.picture, (round(_WIDEST_CUSTOM * size), round(_CUSTOM_HEIGHT * size)))
        return emoji_picture(run.text, round(_EMOJI_WIDTH * size)) if run.face.is_emoji else None

    def _run_width(self, run: _Run, size: int) -> float:
        if run.picture is not None:
            picture = self._picture(run, size)
            return picture.width + 0.1 * size if picture else 0.0
        if run.face.is_emoji:
            return emoji_width(run.text, round(_EMOJI_WIDTH * size))
        return _text_width(run.face, size, run.text, _direction(run))


@lru_cache(maxsize=32768)
def _text_width(face: Face, size: int, text: str, direction: str) -> float:
    return load_font(face, size).getlength(text, direction=direction)


def _direction(run: _Run) -> str:
    return "rtl" if run.level % 2 else "ltr"


def _words(atoms: Sequence[Atom]) -> Iterator[tuple[Atom, ...]]:
    """The parts between the places where a line may end."""
    ends = [0, *(at for at, atom in enumerate(atoms, 1) if atom.may_end)]
    if ends[-1] != len(atoms):
        ends.append(len(atoms))
    yield from (tuple(atoms[start:end]) for start, end in pairwise(ends))


def _trim(atoms: Sequence[Atom]) -> tuple[Atom, ...]:
    end = len(atoms)
    while end and atoms[end - 1].is_space:
        end -= 1
    return tuple(atoms[:end])


def _runs(atoms: Sequence[Atom]) -> list[_Run]:
    """Atoms of one face, level and colour together; each emoji by itself, so that its order can be turned around."""
    runs: list[_Run] = []
    for _, members in groupby(enumerate(atoms), key=_run_key):
        group = [atom for _, atom in members]
        first, text = group[0], "".join([atom.text for atom in group])
        if first.level % 2 and runs and _is_one_word(runs[-1], first):
            # Its letters stay joined where the colour changes.
            runs[-1] = replace(runs[-1], text=runs[-1].text + _JOINER)
            text = _JOINER + text
        runs.append(_Run(text, first.face, first.level, first.accent, first.picture))
    return runs


def _is_one_word(run: _Run, atom: Atom) -> bool:
    return (run.face, run.level) == (atom.face, atom.level) and all(
        unicodedata.category(character)[0] in "LM" for character in (run.text[-1], atom.text[0])
    )


def _run_key(numbered: tuple[int, Atom]) -> tuple[Face, int, bool, int]:
    number, atom = numbered
    alone = number if atom.picture is not None or atom.face.is_emoji else -1
    return atom.face, atom.level, atom.accent, alone

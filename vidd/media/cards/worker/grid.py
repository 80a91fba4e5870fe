"""The pictures of a post: one as it is, up to four as a grid, and what stands in for those that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from vidd.media.cards.worker.canvas import Box
from vidd.media.cards.worker.lines import Ink
from vidd.media.cards.worker.pictures import Unusable
from vidd.media.cards.worker.text import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.media.cards.worker.canvas import Canvas
    from vidd.model.post import Picture

_MOST = 4
_GAP = 8
_RADIUS = 30
# A single picture is shown whole, unless it is a strip.
_NARROWEST, _WIDEST = 0.4, 3.0
# It is as wide as the text, if so much of its height is left.
_CROPPED = 0.78
# The shape of what stands in for a single picture that is missing.
_STAND_IN = 16 / 10
_TEXT, _REASON = (38, 34, 30, 28, 26), 26
_WHITE, _SHADE = (255, 255, 255), (12, 14, 18)


class PictureGrid:
    """The pictures of a post. `of` is whose they are in a sentence: "its", "the quoted post's"."""

    def __init__(self, canvas: Canvas, pictures: Sequence[Picture], of: str = "its") -> None:
        self._canvas, self._pictures, self._of = canvas, pictures, of

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The room that the pictures take of so much."""
        if len(self._pictures) > 1:
            return width, height
        shape = min(max(self._shape(self._pictures[0]), _NARROWEST), _WIDEST)
        if width / shape * _CROPPED <= height:
            return width, min(height, round(width / shape))
        return round(height * shape), height

    def _shape(self, picture: Picture) -> float:
        try:
            return self._canvas.files.shape(picture.path) if picture.path else _STAND_IN
        except Unusable:
            return _STAND_IN

    def draw(self, box: Box) -> None:
        """Draw them into a box."""
        canvas = self._canvas
        # The corners of the whole are round, not those of each picture.
        before = canvas.image.crop((box.x, box.y, box.x + box.width, box.bottom))
        shown = self._pictures[:_MOST]
        tiles = _tiles(box, len(shown))
        for number, (picture, tile) in enumerate(zip(shown, tiles, strict=True), 1):
            self._draw_tile(picture, tile, number)
        if self._hidden:
            self._draw_more(self._hidden, tiles[-1])
        drawn = canvas.image.crop((box.x, box.y, box.x + box.width, box.bottom))
        canvas.image.paste(before, (box.x, box.y))
        canvas.paste(drawn, box, _RADIUS)

    @property
    def _hidden(self) -> int:
        """How many pictures are not shown."""
        return max(0, len(self._pictures) - _MOST)

    def _draw_tile(self, picture: Picture, tile: Box, number: int) -> None:
        canvas = self._canvas
        try:
            if picture.path is None:
                reason = picture.why_missing or "The network does not say why."
                self._draw_stand_in(picture, tile, reason)
                self._note(picture, number, f"is missing ({within_brackets(reason)})")
                return
            canvas.image.paste(canvas.files.cover(picture.path, (tile.width, tile.height)), (tile.x, tile.y))
        except Unusable as why:
            self._draw_stand_in(picture, tile, f"The picture {why}.")
            self._note(picture, number, str(why))
            return
        if picture.video:
            self._draw_play(tile)

    def _note(self, picture: Picture, number: int, why: str) -> None:
        which = f"{self._of} picture" + (f" {number}" if len(self._pictures) > 1 else "")
        shown = "its description" if picture.alt.strip() else "the reason"
        if self._is_covered(picture):
            shown = "how many more there are"
        self._canvas.note(f"{which} {why}; the card shows {shown}")

    def _is_covered(self, picture: Picture) -> bool:
        """Whether the number of the pictures that are not shown is written over it."""
        return bool(self._hidden) and picture is self._pictures[_MOST - 1]

    def _draw_stand_in(self, picture: Picture, tile: Box, reason: str) -> None:
        """The description of a picture that is missing, and the reason."""
        canvas, setter = self._canvas, self._canvas.typesetter
        canvas.image.paste(canvas.palette.fill, (tile.x, tile.y, tile.x + tile.width, tile.bottom))
        if self._is_covered(picture):
            return
        pad = max(16, min(48, tile.width // 12))
        room = tile.inset(pad)
        mark = max(24, min(76, tile.height // 5))
        why = setter.set(prepare(reason, single=True), room.width, room.height // 3, _REASON)
        rest = room.height - mark - why.height - 2 * 18
        words = prepare(picture.alt)
        alt = setter.fit(words, room.width, rest, _TEXT) if words.length and rest > _TEXT[-1] * 1.5 else None
        used = mark + 18 + (alt.height + 18 if alt else 0) + why.height
        top = room.y + max(0, (room.height - used) // 2)
        canvas.sign("picture", Box(room.x, top, mark, mark), canvas.palette.muted)
        top += mark + 18
        if alt:
            canvas.write(alt, Box(room.x, top, room.width, alt.height))
            top += alt.height + 18
        canvas.write(why, Box(room.x, top, room.width, why.height), canvas.muted)

    def _draw_play(self, tile: Box) -> None:
        side = max(36, min(120, min(tile.width, tile.height) // 3))
        disc = tile.middle(side, side)
        self._shade(disc, side // 2, 0.62)
        self._canvas.sign("play", disc.inset(side // 5), _WHITE)

    def _draw_more(self, more: int, tile: Box) -> None:
        self._shade(tile, 0, 0.55)
        size = max(28, min(84, tile.height // 3))
        block = self._canvas.typesetter.single(prepare(f"+{more}", bold=True), tile.width, size)
        self._canvas.write(block, tile.middle(block.width, block.height), Ink(_WHITE, _WHITE))

    def _shade(self, box: Box, radius: int, strength: float) -> None:
        area = (box.x, box.y, box.x + box.width, box.bottom)
        below = self._canvas.image.crop(area)
        self._canvas.paste(Image.blend(below, Image.new("RGB", below.size, _SHADE), strength), box, radius)


def within_brackets(reason: str) -> str:
    """A sentence as it stands in brackets."""
    bare = reason.strip().rstrip(".")
    return bare[:1].lower() + bare[1:] if bare[1:2].islower() else bare


def _tiles(box: Box, count: int) -> list[Box]:
    x, y, width, height = box
    left, upper = (width - _GAP) // 2, (height - _GAP) // 2
    right, lower = width - _GAP - left, height - _GAP - upper
    x2, y2 = x + left + _GAP, y + upper + _GAP
    wide = width >= height
    if count == 1:
        return [box]
    if count == 2:
        return (
            [Box(x, y, left, height), Box(x2, y, right, height)]
            if wide
            else [Box(x, y, width, upper), Box(x, y2, width, lower)]
        )
    corners = [Box(x, y, left, upper), Box(x2, y, right, upper), Box(x, y2, left, lower), Box(x2, y2, right, lower)]
    if count == 3:
        return [Box(x, y, left, height), *corners[1::2]] if wide else [Box(x, y, width, upper), *corners[2:]]
    return corners

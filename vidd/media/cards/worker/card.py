"""Composes a card: header, text, pictures, quoted post, footer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from PIL import Image

from vidd.media.cards.settings import SIZES
from vidd.media.cards.worker.canvas import Box, Canvas, ground
from vidd.media.cards.worker.grid import PictureGrid, within_brackets
from vidd.media.cards.worker.lines import Block, Ink, Typesetter
from vidd.media.cards.worker.look import PALETTES, hue_of, measures, sizes_for, tint
from vidd.media.cards.worker.pictures import PictureFiles, Unusable
from vidd.media.cards.worker.text import prepare
from vidd.model.post import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.media.cards.settings import Look
    from vidd.media.cards.worker.text import Prepared
    from vidd.model.post import Post, PostAuthor

_WHITE = (255, 255, 255)
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
# Shares of the body's height that texts and quoted posts have at most beside pictures, and quoted posts beside texts.
_TEXT_SHARE, _TEXT_SHARE_BESIDE_QUOTE, _QUOTE_SHARE, _QUOTE_BESIDE_TEXT = 0.44, 0.28, 0.30, 0.55


class CardPainter:
    """Draws cards of one look. `root` is the directory of the posts."""

    def __init__(self, look: Look, root: Path) -> None:
        self._look, self._files = look, PictureFiles(root)
        # Making a picture of this size anew takes as long as drawing a line of text.
        self._image = Image.new("RGB", SIZES[look.size])
        self._typesetter, self._zone = Typesetter(self._files), ZoneInfo(look.time_zone)

    def paint(self, post: Post, number: int) -> tuple[Image.Image, list[str]]:
        """The card of a post, good until the next one is painted; and sentences about what is missing on it."""
        look, lengths = self._look, measures(self._look.size)
        palette = PALETTES[look.theme]
        self._image.paste(ground(lengths, palette, hue_of(post.author.handle)))
        canvas = Canvas(self._image, palette, self._files, self._typesetter, number)
        created = post.created.astimezone(self._zone) if post.created else None
        date = (
            f"{created.day} {_MONTHS[created.month - 1]} {created.year} · {created:%H:%M} {created.tzname()}"
            if created
            else ""
        )
        _Card(canvas, post, look.mark, date, self._look).draw()
        return self._image, list(dict.fromkeys(canvas.notes))


@dataclass(frozen=True, slots=True)
class _Quote:
    """A quoted post that was measured."""

    post: Post
    text: Block
    height: int
    thumbnail: int


class _Card:
    """The card of one post."""

    def __init__(self, canvas: Canvas, post: Post, mark: str, date: str, look: Look) -> None:
        self._canvas, self._post, self._mark, self._date = canvas, post, mark, date
        self._lengths = measures(look.size)
        self._pictures = () if post.warning else post.pictures
        self._quoted = None if post.warning else post.quoted

    def draw(self) -> None:
        lengths, post = self._lengths, self._post
        outer = Box(0, 0, lengths.width, lengths.height).inset(lengths.margin)
        inner = outer.inset(lengths.padding)
        text = self._text()
        column = inner
        if lengths.beside and self._pictures:
            share = 0.5 if text.length or self._quoted else 0.62
            panel_width = round(inner.width * share)
            column = inner._replace(width=inner.width - panel_width - lengths.gap - 16)
            # The pictures reach farther out than the text, as the card's frame does.
            panel = Box(inner.x + inner.width - panel_width, inner.y - 28, panel_width + 28, inner.height + 56)
            self._draw_panel(panel)
        top = self._draw_header(column)
        bottom = self._draw_footer(column)
        body = Box(column.x, top + lengths.gap, column.width, bottom - top - 2 * lengths.gap)
        if post.warning:
            self._draw_warning(body)
        else:
            self._draw_body(body, text)

    def _text(self) -> Prepared:
        post, canvas = self._post, self._canvas
        text = prepare(post.text, spans=post.spans, emoji=canvas.known_emoji(post.emoji))
        if post.warning:
            return prepare("")
        canvas.tell_boxes(text)
        if not (text.length or post.pictures or post.quoted):
            canvas.note("it has no text and no picture; the card shows who wrote it and when")
        return text

    def _draw_panel(self, panel: Box) -> None:
        grid = PictureGrid(self._canvas, self._pictures)
        width, height = grid.size(panel.width, panel.height)
        x, y = panel.x + (panel.width - width), panel.y + (panel.height - height) // 2
        grid.draw(Box(x, y, width, height))

    def _draw_header(self, box: Box) -> int:
        """Who wrote it, and who passed it on; returns where the header ends."""
        lengths, canvas, post = self._lengths, self._canvas, self._post
        if post.reposted_by is not None:
            side = lengths.small + 10
            canvas.sign("repost", Box(box.x, box.y, side, side), canvas.palette.muted)
            room = Box(box.x + side + 14, box.y - 1, box.width - side - 14, side)
            canvas.label(f"Reposted by {post.reposted_by}", lengths.small, room, canvas.muted)
            box = box.below(side + 26)
        side = lengths.avatar
        self._draw_avatar(post.author, Box(box.x, box.y, side, side))
        room = Box(box.x + side + 28, box.y, box.width - side - 28, side)
        name, handle = self._names(post.author, room.width, lengths.name, lengths.handle)
        height = name.height + (handle.height if handle else 0)
        top = box.y + (side - height) // 2
        canvas.write(name, Box(room.x, top, name.width, name.height))
        if handle:
            canvas.write(handle, Box(room.x, top + name.height, handle.width, handle.height), canvas.muted)
        return box.y + side

    def _names(self, author: PostAuthor, width: int, name_size: int, handle_size: int) -> tuple[Block, Block | None]:
        canvas, setter = self._canvas, self._canvas.typesetter
        name = prepare(author.name, emoji=canvas.known_emoji(author.emoji), bold=True, single=True)
        canvas.tell_boxes(name)
        if not name.length:
            return setter.single(prepare(author.handle, bold=True, single=True), width, name_size), None
        handle = prepare(author.handle, single=True)
        return (
            setter.single(name, width, name_size),
            setter.single(handle, width, handle_size) if handle.length else None,
        )

    def _draw_avatar(self, author: PostAuthor, box: Box) -> None:
        canvas = self._canvas
        why = None
        if author.avatar is not None:
            try:
                if author.avatar.path is not None:
                    canvas.paste(canvas.files.square(author.avatar.path, box.width), box, box.width // 2)
                    return
                if reason := author.avatar.why_missing:
                    why = f"is missing ({within_brackets(reason)})"
            except Unusable as unusable:
                why = str(unusable)
        if why:
            canvas.notes.append(f"The avatar of {author.handle} {why}; cards show initials.")
        canvas.fill(box, box.width // 2, tint(hue_of(author.handle), 0.42, 0.5))
        block = canvas.typesetter.single(
            prepare(_initials(author), bold=True, single=True), box.width, box.width * 2 // 5
        )
        canvas.write(block, box.middle(block.width, block.height), Ink(_WHITE, _WHITE))

    def _draw_footer(self, box: Box) -> int:
        """When it was written, and where; returns where the footer begins."""
        lengths, canvas = self._lengths, self._canvas
        height = round(lengths.small * 1.36) + 16
        top = box.bottom - height
        mark = canvas.typesetter.single(prepare(self._mark, bold=True, single=True), box.width // 2, lengths.small - 2)
        pill = Box(box.x + box.width - mark.width - 44, top, mark.width + 44, height)
        canvas.fill(pill, height // 2, canvas.palette.fill)
        canvas.write(mark, Box(pill.x + 22, top + (height - mark.height) // 2, mark.width, mark.height), canvas.muted)
        room = Box(box.x, top + 8, box.width - pill.width - 24, height)
        canvas.label(self._date, lengths.small, room, canvas.muted)
        return top

    def _draw_warning(self, body: Box) -> None:
        """The author's warning, in place of what it is about."""
        canvas, lengths = self._canvas, self._lengths
        canvas.frame(body, 32, canvas.palette.fill)
        room = body.inset(56)
        side = 72
        words = prepare(self._post.warning, emoji=canvas.known_emoji(self._post.emoji))
        canvas.tell_boxes(words)
        sizes = tuple(size for size in sizes_for(words.length, lengths) if size <= 74)
        text = canvas.typesetter.fit(words, room.width, room.height - side - 80, sizes)
        top = room.y + (room.height - side - 80 - text.height) // 2
        canvas.sign("warning", Box(room.x, top, side, side), canvas.palette.muted)
        canvas.label("Content warning", lengths.handle, Box(room.x, top + side + 8, room.width, 60), canvas.muted)
        canvas.write(text, Box(room.x, top + side + 72, room.width, text.height))
        self._tell_cut(text)

    def _draw_body(self, body: Box, text: Prepared) -> None:
        canvas, lengths, post = self._canvas, self._lengths, self._post
        if post.replies_to:
            words = f"Replying to {post.replies_to}"
            line = canvas.typesetter.single(
                prepare(words, spans=(Span(12, len(words), "mention"),), single=True), body.width, lengths.small
            )
            canvas.write(line, Box(body.x, body.y, line.width, line.height), canvas.muted)
            body = body.below(line.height + 8)
        below = () if lengths.beside else self._pictures
        gap = lengths.gap
        quote = self._measure_quote(body, text, beside_pictures=bool(below))
        left = body.height - (quote.height + gap if quote else 0)
        block = None
        if text.length:
            share = _TEXT_SHARE_BESIDE_QUOTE if quote else _TEXT_SHARE
            room = round(body.height * share) if below else left
            block = canvas.typesetter.fit(text, body.width, room, sizes_for(text.length, lengths))
            self._tell_cut(block)
            left -= block.height + gap
        grid = PictureGrid(canvas, below) if below else None
        grid_size = grid.size(body.width, left) if grid else (0, 0)
        parts = [block.height if block else 0, grid_size[1], quote.height if quote else 0]
        used = sum(parts) + gap * (sum(part > 0 for part in parts) - 1)
        top = body.y + max(0, (body.height - used) // 2)
        if block:
            canvas.write(block, Box(body.x, top, body.width, block.height))
            top += block.height + gap
        if grid:
            grid.draw(Box(body.x + (body.width - grid_size[0]) // 2, top, *grid_size))
            top += grid_size[1] + gap
        if quote:
            self._draw_quote(quote, Box(body.x, top, body.width, quote.height))
        if not (used > 0 or self._pictures):
            empty = canvas.typesetter.single(prepare("This post has no text."), body.width, lengths.name)
            canvas.write(empty, Box(body.x, body.y + (body.height - empty.height) // 2, *body[2:]), canvas.muted)

    def _tell_cut(self, block: Block) -> None:
        if block.cut:
            self._canvas.note("its text is longer than a card holds; the card shows its beginning")

    def _measure_quote(self, body: Box, text: Prepared, *, beside_pictures: bool) -> _Quote | None:
        quoted, canvas = self._quoted, self._canvas
        if quoted is None:
            return None
        share = _QUOTE_SHARE if beside_pictures else _QUOTE_BESIDE_TEXT if text.length else 1.0
        words = (
            prepare(f"Content warning: {quoted.warning}")
            if quoted.warning
            else prepare(quoted.text, spans=quoted.spans, emoji=canvas.known_emoji(quoted.emoji))
        )
        canvas.tell_boxes(words)
        highest = round(body.height * share) - _QUOTE_HEAD - 2 * _QUOTE_PAD
        has_pictures = bool(quoted.pictures) and not quoted.warning
        thumbnail = min(220, body.width // 4, highest) if has_pictures else 0
        width = body.width - 2 * _QUOTE_PAD - (thumbnail + 28 if thumbnail else 0)
        block = canvas.typesetter.fit(words, width, highest, self._lengths.inner)
        if block.cut:
            canvas.note("the quoted post's text is longer than a card holds; the card shows its beginning")
        height = max(block.height, thumbnail)
        return _Quote(quoted, block, height + _QUOTE_HEAD + 2 * _QUOTE_PAD, thumbnail)

    def _draw_quote(self, quote: _Quote, box: Box) -> None:
        canvas, post = self._canvas, quote.post
        canvas.frame(box, 28, canvas.palette.card)
        room = box.inset(_QUOTE_PAD)
        side = 48
        self._draw_avatar(post.author, Box(room.x, room.y, side, side))
        left = room.x + side + 16
        name, handle = self._names(post.author, (room.width - side - 16) * 3 // 5, 32, 28)
        canvas.write(name, Box(left, room.y + (side - name.height) // 2, name.width, name.height))
        if handle:
            left += name.width + 16
            shown = prepare(post.author.handle, single=True)
            line = canvas.typesetter.single(shown, room.x + room.width - left, 28)
            canvas.write(line, Box(left, room.y + (side - line.height) // 2 + 2, line.width, line.height), canvas.muted)
        under = room.below(_QUOTE_HEAD)
        if quote.thumbnail:
            x = under.x + under.width - quote.thumbnail
            grid = PictureGrid(canvas, post.pictures, "the quoted post's")
            grid.draw(Box(x, under.y, quote.thumbnail, quote.thumbnail))
            under = under._replace(width=under.width - quote.thumbnail - 28)
        canvas.write(quote.text, under)


_QUOTE_HEAD, _QUOTE_PAD = 64, 32


def _initials(author: PostAuthor) -> str:
    """The first letters of the first and the last word of the name, else of the handle; one where a script has no capitals."""
    for text in (author.name, author.handle):
        words = [letters for word in text.split() if (letters := [sign for sign in word if sign.isalpha()])]
        if words:
            letters = [words[0][0], words[-1][0]] if len(words) > 1 else [words[0][0]]
            return "".join(letter.upper()[:1] for letter in letters if letter.upper() != letter.lower()) or letters[0]
    return "?"

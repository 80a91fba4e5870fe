"""The worker that draws cards: `python -m vidd.media.cards.worker.main`.

It answers `draw`, with the fields of a `CardOrder`, by the protocol of `vidd.processes.worker`; and `check`, with nothing, where
everything is there that it needs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import features

from vidd.errors import FaultCode, Refused
from vidd.media.cards.client import CardOrder
from vidd.media.cards.settings import Look
from vidd.media.cards.worker.bidi import embedding_levels
from vidd.media.cards.worker.card import CardPainter
from vidd.model.post import Post
from vidd.processes.worker import serve

if TYPE_CHECKING:
    from vidd.processes.worker import Progress


@lru_cache(maxsize=1)
def _painter(look: Look, root: str) -> CardPainter:
    return CardPainter(look, Path(root))


def draw_card(order: CardOrder) -> list[str]:
    """Draw a card; sentences about what is missing on it."""
    try:
        post = Post.from_json(order.post)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"Post {order.number} of posts.json cannot be read ({error!r}): have the posts read again.",
            code=FaultCode.BAD_INPUT,
        ) from None
    if not order.with_pictures:
        post = _without_files(post)
    image, notes = _painter(order.look, order.root).paint(post, order.number)
    part = f"{order.path}.part"
    # 1: a little larger, and several times as quick.
    image.save(part, "PNG", compress_level=1)
    Path(part).replace(order.path)
    return notes


def _without_files(post: Post) -> Post:
    why = "The pictures of this post brought a decoder down."
    pictures = tuple(replace(picture, path=None, why_missing=picture.why_missing or why) for picture in post.pictures)
    author = replace(
        post.author,
        avatar=post.author.avatar and replace(post.author.avatar, path=None, why_missing=why),
        emoji=tuple(replace(emoji, path=None) for emoji in post.author.emoji),
    )
    emoji = tuple(replace(emoji, path=None) for emoji in post.emoji)
    quoted = post.quoted and _without_files(post.quoted)
    return replace(post, pictures=pictures, author=author, emoji=emoji, quoted=quoted)


def _draw(question: dict[str, Any], _: Progress) -> dict[str, Any]:
    order = question["order"]
    return {"notes": draw_card(CardOrder(**{**order, "look": Look(**order["look"])}))}


def _check(_question: dict[str, Any], _: Progress) -> dict[str, Any]:
    embedding_levels("a")
    if not features.check_feature("raqm"):
        raise Refused(
            "Cards need a Pillow with libraqm, and this one has none: install Pillow's wheel.",
            code=FaultCode.NOT_INSTALLED,
        )
    return {}


if __name__ == "__main__":
    serve({"draw": _draw, "check": _check})

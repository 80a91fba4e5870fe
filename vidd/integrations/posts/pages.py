"""Reads the pages of a timeline until there are enough posts, or no more; whatever a server answers, the reading ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from vidd.model.post import Post, PostPages, PostQuery

_MOST_PAGES = 200
_MOST_IN_VAIN = 20
"""How many pages with nothing new are read one after the other."""
_ASTRAY = "The server goes on naming pages without posts that are wanted, so vidd stopped reading there."


@dataclass(frozen=True, slots=True)
class Page:
    """What a network gives at once.

    cursor: what it names the next page; None at the end. notes: sentences for the job's notes.
    skipped: how many posts it gave that nobody wants.
    """

    posts: tuple[Post, ...]
    cursor: str | None = None
    notes: tuple[str, ...] = ()
    skipped: int = 0


async def read_pages(
    query: PostQuery,
    pages: PostPages,
    ask: Callable[[str | None, int], Awaitable[Page]],
    save: Callable[[PostPages], Awaitable[None]],
) -> PostPages:
    """Read on from `pages`, page by page; `ask` is given the cursor and how many posts are still wanted.

    A cursor that was there before ends the reading, and so do many pages with nothing new, or very many pages.
    """
    seen, in_vain = {pages.cursor}, 0
    for _ in range(_MOST_PAGES):
        if pages.complete or len(pages.posts) >= query.count:
            break
        page = await ask(pages.cursor, query.count - len(pages.posts))
        known = {post.id for post in pages.posts}
        fresh = tuple({post.id: post for post in page.posts if post.id not in known}.values())
        in_vain = 0 if fresh or page.skipped else in_vain + 1
        astray = page.cursor is not None and (page.cursor in seen or in_vain >= _MOST_IN_VAIN)
        ended = page.cursor is None or astray
        seen.add(page.cursor)
        pages = replace(
            with_notes(pages, *page.notes, *([_ASTRAY] if astray else [])),
            posts=(pages.posts + fresh)[: query.count],
            cursor=None if ended else page.cursor,
            complete=ended,
        )
        await save(pages)
    else:
        pages = replace(with_notes(pages, _ASTRAY), cursor=None, complete=True)
        await save(pages)
    return pages


def with_notes(pages: PostPages, *notes: str) -> PostPages:
    """The pages with further sentences in their fact `notes`, each of them once."""
    known = list(pages.facts.get("notes", ()))
    new = [note for note in dict.fromkeys(notes) if note not in known]
    return replace(pages, facts={**pages.facts, "notes": [*known, *new]}) if new else pages

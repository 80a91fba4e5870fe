"""Reads the newest posts of a person at X.

X bills every post and user that it answers with, so vidd asks for no post twice and for none beyond those wanted; only a
page of fewer than five does not exist, of which vidd drops what is too many.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.x.account import Account
from vidd.integrations.x.api import X, x
from vidd.integrations.x.errors import CursorRejected, dicts, fault_of_problems, protected
from vidd.integrations.x.posts import Page
from vidd.model.post import PostPages

if TYPE_CHECKING:
    from vidd.model.post import PostQuery
    from vidd.ports import Tools

_LEAST, _MOST = 5, 100
_SHOWN = 3200
_MOST_EMPTY = 10
"""Pages in a row without a new post after which the timeline counts as read."""
_NAME = re.compile(r"(?:(?:https?://)?(?:www\.|mobile\.)?(?:x|twitter)\.com/)?@?([A-Za-z0-9_]{1,15})/?")


def own_user(text: str, _account: Any, /) -> str:
    """The user name, without @; from @name, or the address of the profile. Raises Refused if no user can have it."""
    found = _NAME.fullmatch(text.strip())
    if found is None:
        raise Refused(
            f"{quoted(text, 80)} is no user name at X: give 1 to 15 letters, digits or underscores.",
            code=FaultCode.BAD_INPUT,
        )
    return found[1]


async def read_posts(
    query: PostQuery,
    account_name: str,
    tools: Tools,
    *,
    pages: PostPages,
    save: Callable[[PostPages], Awaitable[None]],
) -> PostPages:
    """As `vidd.ports.posts.PostNetwork`; the facts hold the user, the cursors, and the empty pages in a row."""
    account = tools.account(account_name, Account)
    async with x(account, tools) as api:
        if "owner" not in pages.facts:
            owner = _owner(await api.user(query.user), query.user)
            notes = [f"X shows the newest {_SHOWN:,} posts only."] if query.count > _SHOWN else []
            pages = replace(pages, facts={"owner": owner, "notes": notes})
            await save(pages)
        while not pages.complete and len(pages.posts) < query.count:
            try:
                pages = await _read_page(api, query, pages)
            except CursorRejected:
                await save(PostPages(facts={"owner": pages.facts["owner"]}))
                raise RetryLater(
                    f"X does not know the page any more that vidd would read next of @{query.user}; vidd will read the "
                    "posts from the newest on."
                ) from None
            await save(pages)
    return pages


async def _read_page(api: X, query: PostQuery, pages: PostPages) -> PostPages:
    owner = pages.facts["owner"]
    exclude = (() if query.replies else ("replies",)) + (() if query.reposts else ("retweets",))
    wanted = query.count - len(pages.posts)
    body = await api.posts(owner["id"], query.user, most=_page_size(wanted), exclude=exclude, cursor=pages.cursor)
    problems = dicts(body.get("errors"))
    if problems and not body.get("data"):
        raise fault_of_problems(problems, f"@{query.user}")
    known = {post.id for post in pages.posts}
    new = {post.id: post for post in Page(body, owner).posts() if post.id not in known}
    meta = body.get("meta")
    cursor = meta.get("next_token") if isinstance(meta, dict) else None
    before = pages.facts.get("cursors", [])
    empty = 0 if new else pages.facts.get("empty", 0) + 1
    is_last = not isinstance(cursor, str) or not cursor or cursor in before or empty >= _MOST_EMPTY
    return PostPages(
        posts=(*pages.posts, *list(new.values())[:wanted]),
        cursor=None if is_last else cursor,
        complete=is_last,
        facts={**pages.facts, "cursors": [*before, cursor], "empty": empty},
    )


def _page_size(wanted: int) -> int:
    """How many posts to ask for, so that the page after has as many as X gives at least."""
    return max(_LEAST, wanted - _LEAST if _MOST < wanted < _MOST + _LEAST else min(wanted, _MOST))


def _owner(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Who the timeline belongs to. Raises Refused for nobody, and for somebody whose posts are protected."""
    user = body.get("data")
    if not isinstance(user, dict) or not user.get("id"):
        problems = dicts(body.get("errors")) or [{"type": "resource-not-found"}]
        raise fault_of_problems(problems, f"@{name}")
    if user.get("protected") is True:
        raise protected(f"@{name}")
    return {field: user.get(field) for field in ("id", "name", "username", "profile_image_url")}

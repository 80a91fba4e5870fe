"""Reads the posts of a user of Bluesky that are for everybody, newest first."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import FaultCode, Refused
from vidd.integrations.bluesky.account import Account
from vidd.integrations.bluesky.api import MOST_AT_ONCE, Bluesky, bluesky
from vidd.integrations.bluesky.feed_post import (
    SIGNED_IN_ONLY,
    NotForEverybody,
    is_pin,
    is_reply,
    is_repost,
    labels_of,
    post_of,
)
from vidd.integrations.posts.pages import Page, read_pages

if TYPE_CHECKING:
    from vidd.model.post import PostPages, PostQuery
    from vidd.ports import Tools

_LONGEST = 253
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HANDLE = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
_PROFILE = re.compile(r"https?://bsky\.app/profile/([^/?#]+)/?", re.IGNORECASE)
_DID = re.compile(r"did:(?:plc:[a-z2-7]{24}|web:[A-Za-z0-9.%-]{1,253})")


async def read_posts(
    query: PostQuery,
    account_name: str,
    tools: Tools,
    *,
    pages: PostPages,
    save: Callable[[PostPages], Awaitable[None]],
) -> PostPages:
    """Read on from `pages`; as `vidd.ports.posts` says."""
    account = tools.account(account_name, Account)
    user = own_user(query.user, account)
    async with bluesky(account, user, tools) as server:
        if "did" not in pages.facts:
            profile = await server.profile(user)
            _refuse_signed_in_only(profile, server.user)
            pages = replace(pages, facts={**pages.facts, "did": profile["did"]})
        return await read_pages(query, pages, partial(_ask, server, query, str(pages.facts["did"])), save)


def own_user(text: str, account: Any, /) -> str:
    """The handle in small letters, without the @ before it, or the DID; from either, or the address of the profile."""
    if not isinstance(account, Account):
        raise Refused(
            "There is no account of kind bluesky to read posts with: add one to the settings.",
            code=FaultCode.BAD_SETTINGS,
        )
    profile = _PROFILE.fullmatch(text.strip())
    user = profile[1] if profile else text.strip()
    if _DID.fullmatch(user):
        return user
    handle = user.removeprefix("@").lower()
    if len(handle) > _LONGEST or not _HANDLE.fullmatch(handle):
        raise Refused(
            f"{quoted(text, 80)} is no handle of Bluesky: write it whole, such as ada.bsky.social.",
            code=FaultCode.BAD_INPUT,
        )
    return handle


def _refuse_signed_in_only(profile: dict[str, Any], user: str) -> None:
    if SIGNED_IN_ONLY in labels_of(profile):
        raise Refused(
            f"{user} shows posts only to people who are signed in to Bluesky, so vidd makes no video of them: ask for"
            " somebody else.",
            code=FaultCode.FORBIDDEN,
        )


async def _ask(server: Bluesky, query: PostQuery, did: str, cursor: str | None, wanted: int) -> Page:
    # Where vidd itself drops the reposts, a page as small as what is wanted may have nothing else.
    limit = wanted if query.reposts else MOST_AT_ONCE
    items, following = await server.author_feed(did, limit, cursor, replies=query.replies)
    kept = [item for item in items if _is_wanted(item, query)]
    posts, notes = [], []
    for item in kept:
        try:
            posts.append(post_of(item))
        except NotForEverybody as hidden:
            notes.append(hidden.sentence)
    return Page(tuple(posts), following, tuple(notes), skipped=len(items) - len(posts))


def _is_wanted(item: dict[str, Any], query: PostQuery) -> bool:
    if is_repost(item):
        return query.reposts
    return not is_pin(item) and (query.replies or not is_reply(item))

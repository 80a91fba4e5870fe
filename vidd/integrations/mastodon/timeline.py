"""Reads the public posts of a user of a Mastodon server, newest first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vidd.display_text import printable
from vidd.errors import FaultCode, Refused
from vidd.integrations.mastodon.account import Account
from vidd.integrations.mastodon.api import Mastodon, mastodon
from vidd.integrations.mastodon.status import Origin, answers_other, post_of
from vidd.integrations.posts.pages import Page, read_pages, with_notes

if TYPE_CHECKING:
    from vidd.model.post import PostPages, PostQuery
    from vidd.ports import Tools


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
    place = account.place(query.user)
    async with mastodon(account, place, tools) as server:
        if "account" not in pages.facts:
            pages = _begin(pages, await server.lookup(), server)
        ask = partial(_ask, server, query, str(pages.facts["account"]))
        pages = await read_pages(query, pages, ask, save)
    moved = pages.facts.get("moved")
    if moved and not pages.posts:
        raise Refused(
            f"{server.user} has moved to {moved} and left no posts behind: ask for {moved}.", code=FaultCode.NOT_FOUND
        )
    return pages


def own_user(text: str, account: Any, /) -> str:
    """The user in small letters; with its server where that is not the account's own."""
    if not isinstance(account, Account):
        raise Refused(
            "There is no account of kind mastodon to read posts with: add one to the settings.",
            code=FaultCode.BAD_SETTINGS,
        )
    place = account.place(text)
    return place.user if place.domain == account.own_domain else f"{place.user}@{place.domain}"


def _begin(pages: PostPages, person: dict[str, Any], server: Mastodon) -> PostPages:
    """What is known of the account itself. Raises Refused where its server suspended it."""
    if person.get("suspended"):
        raise Refused(
            f"{server.name} has suspended {server.user}, and shows no posts of it: ask for somebody else.",
            code=FaultCode.FORBIDDEN,
        )
    facts, notes = {"account": person["id"]}, []
    if isinstance(person.get("moved"), dict):
        origin = Origin(server.place.url, server.place.domain)
        facts["moved"] = printable(origin.handle(person["moved"]), 120)
        notes.append(f"{server.user} has moved to {facts['moved']}: newer posts are there.")
    if person.get("limited"):
        notes.append(
            f"The moderators of {server.name} hide the profile of {server.user} from people who do not follow it."
        )
    return with_notes(replace(pages, facts={**pages.facts, **facts}), *notes)


async def _ask(server: Mastodon, query: PostQuery, number: str, cursor: str | None, wanted: int) -> Page:
    page = await server.statuses(number, wanted, cursor, replies=query.replies, reposts=query.reposts)
    origin = Origin(server.place.url, server.place.domain)
    # Other software than Mastodon may not know the parameters that leave these out.
    kept = [
        status
        for status in page.statuses
        if (query.replies or not answers_other(status)) and (query.reposts or not status.get("reblog"))
    ]
    posts = [post for status in kept if (post := post_of(status, origin)) is not None]
    notes = []
    if len(posts) < len(kept):
        notes.append(f"Posts of {server.user} that are not for everybody are left out.")
    if page.astray:
        notes.append(f"{server.name} names a next page elsewhere, so vidd read no further.")
    return Page(tuple(posts), page.before, tuple(notes), skipped=len(page.statuses) - len(posts))

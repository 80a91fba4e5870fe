"""The two questions to an AppView: a profile, and the pages of its author feed (app.bsky.feed.getAuthorFeed)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vidd.display_text import printable
from vidd.integrations.bluesky.errors import fault_of_answer, not_an_appview
from vidd.integrations.posts.json_answer import ask_json, dicts
from vidd.transfer.http import session, ssl_context

if TYPE_CHECKING:
    import aiohttp

    from vidd.integrations.bluesky.account import Account
    from vidd.ports import Clock, Tools

MOST_AT_ONCE = 100


class Bluesky:
    """An AppView, asked for one user."""

    def __init__(self, account: Account, user: str, clock: Clock, web: aiohttp.ClientSession) -> None:
        self._base, self._clock, self._web = account.url.rstrip("/"), clock, web
        self.name = urlsplit(self._base).netloc
        self.user = printable(user if user.startswith("did:") else f"@{user}", 120)

    async def profile(self, actor: str) -> dict[str, Any]:
        """The profile of a handle or DID. Raises Refused where there is none, or it is not to be seen."""
        profile = await self._ask("app.bsky.actor.getProfile", {"actor": actor})
        if not isinstance(profile.get("did"), str) or not profile["did"]:
            raise not_an_appview(self.name)
        return profile

    async def author_feed(
        self, actor: str, limit: int, cursor: str | None, *, replies: bool
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of the posts and reposts of a DID, newest first, and the cursor of the next; None where there is none.

        A page may have fewer posts than asked for, or none, and not be the last.
        """
        query = {
            "actor": actor,
            "limit": str(min(limit, MOST_AT_ONCE)),
            "filter": "posts_with_replies" if replies else "posts_no_replies",
        }
        query |= {} if cursor is None else {"cursor": cursor}
        page = await self._ask("app.bsky.feed.getAuthorFeed", query)
        if not isinstance(page.get("feed"), list):
            raise not_an_appview(self.name)
        following = page.get("cursor")
        return dicts(page["feed"]), following if isinstance(following, str) and following else None

    async def _ask(self, method: str, query: Mapping[str, str]) -> dict[str, Any]:
        headers = {"Accept": "application/json", "User-Agent": "vidd"}
        doing = f"reading {self.user} at {self.name}"
        answer = await ask_json(self._web, f"{self._base}/xrpc/{method}", query, headers, doing)
        if answer.status != 200:
            raise fault_of_answer(answer, self.name, self.user, self._clock.now())
        if not isinstance(answer.data, dict):
            raise not_an_appview(self.name)
        return answer.data


@asynccontextmanager
async def bluesky(account: Account, user: str, tools: Tools) -> AsyncIterator[Bluesky]:
    """A connection to the account's AppView. Raises Refused where the file of certificates cannot be read."""
    ca = None if account.ca is None else tools.path(account.ca)
    trust = True if ca is None else await asyncio.to_thread(ssl_context, ca)
    async with session(account.proxy, connect=account.connect_timeout, idle=account.timeout, trust=trust) as web:
        yield Bluesky(account, user, tools.clock, web)

"""Mastodon's client API: an account by its name, and the pages of its statuses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from vidd.integrations.mastodon.errors import fault_of_answer, not_mastodon
from vidd.integrations.posts.json_answer import JsonAnswer, ask_json, dicts
from vidd.transfer.http import session, ssl_context

if TYPE_CHECKING:
    import aiohttp

    from vidd.integrations.mastodon.account import Account, Place
    from vidd.ports import Clock, Tools

MOST_AT_ONCE = 40
_NEXT = re.compile(r"""<([^<>]*)>[^,<]*;\s*rel="?next\b""")


@dataclass(frozen=True, slots=True)
class StatusPage:
    """Statuses, and the id that the next page ends before; None where there is none.

    astray: the server names a next page that is not one of this list.
    """

    statuses: list[dict[str, Any]]
    before: str | None
    astray: bool = False


class Mastodon:
    """A server, asked for one of its users."""

    def __init__(self, place: Place, clock: Clock, web: aiohttp.ClientSession) -> None:
        self.place, self._clock, self._web = place, clock, web
        self.name = urlsplit(place.url).netloc
        self.user = f"@{place.user}@{place.domain}"

    async def lookup(self) -> dict[str, Any]:
        """The account of the user. Raises Refused where there is none, or the server gives it to nobody."""
        answer = await self._ask("/api/v1/accounts/lookup", {"acct": self.place.user})
        if not isinstance(answer.data, dict) or not isinstance(answer.data.get("id"), str) or not answer.data["id"]:
            raise not_mastodon(self.name)
        return answer.data

    async def statuses(
        self, account: str, limit: int, before: str | None, *, replies: bool, reposts: bool
    ) -> StatusPage:
        """A page of statuses, newest first, that ends before the id `before`."""
        query = {"limit": str(min(limit, MOST_AT_ONCE))}
        query |= {} if before is None else {"max_id": before}
        query |= {} if replies else {"exclude_replies": "true"}
        query |= {} if reposts else {"exclude_reblogs": "true"}
        path = f"/api/v1/accounts/{quote(account, safe='')}/statuses"
        answer = await self._ask(path, query)
        if not isinstance(answer.data, list):
            raise not_mastodon(self.name)
        link = _NEXT.search(answer.headers.get("Link", ""))
        if link is None:
            return StatusPage(dicts(answer.data), None)
        before = _before(link[1], self.place.url + path)
        return StatusPage(dicts(answer.data), before, astray=before is None)

    async def _ask(self, path: str, query: Mapping[str, str]) -> JsonAnswer:
        token = self.place.token
        headers = {"Accept": "application/json", "User-Agent": "vidd"}
        headers |= {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        doing = f"reading {self.user} at {self.name}"
        answer = await ask_json(self._web, self.place.url + path, query, headers, doing)
        if answer.status != 200:
            now, has_token = self._clock.now(), token is not None
            raise fault_of_answer(answer, self.name, self.user, has_token=has_token, now=now)
        return answer


def _before(link: str, own: str) -> str | None:
    """The `max_id` of an address; None where it is not of the list at the address `own`."""
    try:
        parts, listed = urlsplit(link), urlsplit(own)
        if (parts.hostname, parts.path) != (listed.hostname, listed.path):
            return None
    except ValueError:
        return None
    return next(iter(parse_qs(parts.query).get("max_id", ())), None)


@asynccontextmanager
async def mastodon(account: Account, place: Place, tools: Tools) -> AsyncIterator[Mastodon]:
    """A connection to the server of a place. Raises Refused where the file of certificates cannot be read."""
    ca = None if account.ca is None else tools.path(account.ca)
    trust = True if ca is None else await asyncio.to_thread(ssl_context, ca)
    async with session(account.proxy, connect=account.connect_timeout, idle=account.timeout, trust=trust) as web:
        yield Mastodon(place, tools.clock, web)

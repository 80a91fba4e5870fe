"""X's API v2: one method per request. Every post and user that it answers with costs of the account's plan."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vidd.aio.retry import retry
from vidd.errors import RetryLater
from vidd.integrations.x.errors import CursorRejected, connection_faults, cursor_is_rejected, fault_of_answer
from vidd.transfer.http import session

if TYPE_CHECKING:
    import aiohttp

    from vidd.integrations.x.account import Account
    from vidd.ports import Tools

_ATTEMPTS = 3
_LARGEST = 64 * 2**20
_USER = "name,profile_image_url,protected,username"
_MEDIA = "alt_text,height,media_key,preview_image_url,type,url,width"
_QUERIES = {
    "tweet": {
        "tweet.fields": "attachments,author_id,created_at,entities,in_reply_to_user_id,note_tweet,referenced_tweets",
        "expansions": "attachments.media_keys,author_id,in_reply_to_user_id,referenced_tweets.id,"
        "referenced_tweets.id.attachments.media_keys,referenced_tweets.id.author_id",
    },
    "post": {
        "post.fields": "attachments,created_at,entities,note_post",
        "expansions": "attachments.media_keys,author_id,in_reply_to_user_id,referenced_posts",
    },
}
"""By the naming: what the API description knows (2.159 and 2.167); in the latter, expansions bring the ids along."""


class X:
    """The API, as an account sees it."""

    def __init__(self, account: Account, tools: Tools, web: aiohttp.ClientSession) -> None:
        self._account, self._clock, self._web = account, tools.clock, web

    async def user(self, name: str) -> dict[str, Any]:
        """The answer to who has this name: `data`, or `errors`."""
        return await self._ask(
            f"/2/users/by/username/{quote(name, safe='')}", {"user.fields": _USER}, f"looking up @{name}"
        )

    async def posts(
        self, user: str, name: str, *, most: int, exclude: tuple[str, ...], cursor: str | None
    ) -> dict[str, Any]:
        """A page of the posts of a user (its id, and its name for sentences), newest first: `data`, `includes`, `meta`.

        most: 5 to 100. exclude: of `replies` and `retweets`. Raises CursorRejected where X does not know the cursor.
        """
        query = {
            **_QUERIES[self._account.fields],
            "user.fields": _USER,
            "media.fields": _MEDIA,
            "max_results": str(most),
            **({"exclude": ",".join(exclude)} if exclude else {}),
            **({"pagination_token": cursor} if cursor else {}),
        }
        return await self._ask(f"/2/users/{quote(user, safe='')}/tweets", query, f"reading the posts of @{name}")

    async def _ask(self, path: str, query: Mapping[str, str], doing: str) -> dict[str, Any]:
        return await retry(lambda: self._ask_once(path, query, doing), sleep=self._clock.sleep, attempts=_ATTEMPTS)

    async def _ask_once(self, path: str, query: Mapping[str, str], doing: str) -> dict[str, Any]:
        with connection_faults(doing):
            async with self._web.get(
                self._account.base + path, params=query, headers=self._account.headers, allow_redirects=False
            ) as answer:
                body = _parsed(await _read(answer, doing))
        if answer.status != 200:
            if "pagination_token" in query and cursor_is_rejected(answer.status, body or {}):
                raise CursorRejected
            raise fault_of_answer(answer.status, body or {}, answer.headers, doing, self._clock.now())
        if body is None:
            raise RetryLater(f"X sent no whole JSON at {doing}; vidd will retry.")
        return body


async def _read(answer: aiohttp.ClientResponse, doing: str) -> bytes:
    content = bytearray()
    async for block in answer.content.iter_chunked(2**16):
        content += block
        if len(content) > _LARGEST:
            raise RetryLater(f"X sent more than {_LARGEST // 2**20} MiB at {doing}; vidd will retry.")
    return bytes(content)


def _parsed(content: bytes) -> dict[str, Any] | None:
    """The object that an answer holds; None where it holds none."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


@asynccontextmanager
async def x(account: Account, tools: Tools) -> AsyncIterator[X]:
    """A connection to the API."""
    async with session(account.proxy, connect=account.connect_timeout, idle=account.timeout) as web:
        yield X(account, tools, web)

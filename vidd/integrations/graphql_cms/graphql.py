"""Queries and mutations of GraphQL over HTTP, each answer turned into data or one of the three fates.

A query may be asked again, so an answer that was lost is `RetryLater`. Subscriptions are in `graphql_socket`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from vidd.aio.shield import in_thread
from vidd.display_text import printable
from vidd.errors import Refused, RetryLater
from vidd.integrations.graphql_cms.account import Account, has_cookie, session
from vidd.integrations.graphql_cms.errors import (
    NotAllowed,
    fault_of_connection,
    fault_of_errors,
    fault_of_status,
    without,
    words_of,
)
from vidd.ports import Tools
from vidd.transfer.http import retry_after

_LONGEST = 256 * 2**20
_LONG = 2**20
_ACCEPT = "application/graphql-response+json, application/json;q=0.9"


@dataclass(frozen=True, slots=True)
class Answer:
    """The data of an answer; `faults` are words about the fields that failed in it, None where none did."""

    data: Mapping[str, Any]
    faults: str | None = None


class Cms:
    """A CMS in one session of aiohttp, logged in where that is needed. Made by `connected`."""

    def __init__(self, account: Account, tools: Tools, web: aiohttp.ClientSession) -> None:
        self.account, self.web = account, web
        self._clock = tools.clock
        self._entered: datetime | None = None

    async def ask(self, document: str, variables: Mapping[str, Any] | None = None, *, doing: str) -> Answer:
        """The answer to a query. `doing` is for sentences: "asking the CMS for its objects"."""
        await self.log_in()
        return await self._ask(document, variables, doing)

    async def log_in(self) -> None:
        """Log in where the account has a password, and again once the login has lasted.

        A session that has run out is not always said: a CMS may simply list what a stranger may see.
        """
        account = self.account
        if account.email is None or account.password is None:
            return
        now = self._clock.now()
        if self._entered and (now - self._entered).total_seconds() < account.login_lasts:
            return
        doing = f"logging in as {printable(account.email, 80)}"
        given = {"email": account.email, "password": account.password.get_secret_value()}
        self.web.cookie_jar.clear()
        answer = await self._ask(account.login, given, doing)
        result = next(iter(answer.data.values()), None)
        token = result.get("sessionToken") if isinstance(result, Mapping) else None
        if answer.faults or not result or (isinstance(result, Mapping) and "message" in result and not token):
            said = answer.faults or (
                words_of([result], account.secrets) if isinstance(result, Mapping) else "no session"
            )
            raise NotAllowed(f"The CMS refuses {doing} ({said}): correct the e-mail and the password of its account.")
        if isinstance(token, str) and token.isascii() and token.isprintable() and not has_cookie(self.web, account.url):
            self.web.headers.update(account.bearing(token))
        self._entered = now

    async def _ask(self, document: str, variables: Mapping[str, Any] | None, doing: str) -> Answer:
        hide = self.account.secrets
        body: dict[str, Any] = {"query": document} | ({"variables": dict(variables)} if variables else {})
        try:
            async with self.web.post(
                self.account.url, json=body, headers={"Accept": _ACCEPT}, allow_redirects=False
            ) as reply:
                status, after = reply.status, retry_after(reply.headers.get("Retry-After"), self._clock.now())
                raw = await _read(reply, doing)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise fault_of_connection(error, doing) from error
        said = await _parsed(raw)
        errors = said.get("errors") if isinstance(said, Mapping) else None
        errors = errors if isinstance(errors, list) and errors else []
        data = said.get("data") if isinstance(said, Mapping) else None
        if status in {401, 403, 408, 425, 429} or status >= 500 or not (errors or isinstance(data, Mapping)):
            if 200 <= status < 300:
                shown = printable(" ".join(without(raw[:400].decode(errors="replace"), hide).split()), 120)
                raise RetryLater(
                    f"The CMS answered {shown!r} at {doing}, which is no answer of GraphQL; it is asked again."
                )
            raise fault_of_status(status, doing, words_of(errors, hide), after=after)
        if not isinstance(data, Mapping):
            raise fault_of_errors(errors, doing, hide=hide)
        return Answer(data, words_of(errors, hide) if errors else None)


@asynccontextmanager
async def connected(account: Account, tools: Tools, **more: Any) -> AsyncIterator[Cms]:
    """A CMS to ask, with a session of its own that ends with the block."""
    async with session(account, tools, **more) as web:
        yield Cms(account, tools, web)


async def _read(reply: aiohttp.ClientResponse, doing: str) -> bytes:
    body = bytearray()
    while piece := await reply.content.read(_LONG):
        body += piece
        if len(body) > _LONGEST:
            raise Refused(f"The CMS answered more than {_LONGEST // 2**20} MiB at {doing}: ask it by pages.")
    return bytes(body)


async def _parsed(raw: bytes) -> Any:
    try:
        # A list of many thousand objects takes its time, and jobs run meanwhile.
        return await in_thread(json.loads, raw) if len(raw) > _LONG else json.loads(raw)
    except (ValueError, RecursionError):
        return None

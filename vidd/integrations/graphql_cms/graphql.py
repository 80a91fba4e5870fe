"""GraphQL queries and mutations over HTTP; subscriptions are in `websocket`.

A query may be sent again, so a lost answer is RetryLater.
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
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.graphql_cms.account import Account, has_cookie, session
from vidd.integrations.graphql_cms.errors import (
    NotAllowed,
    fault_of_connection,
    fault_of_errors,
    fault_of_status,
    hide_secrets,
    join_messages,
)
from vidd.ports import Tools
from vidd.transfer.http import retry_after

_MAX_ANSWER = 256 * 2**20
_READ_SIZE = 2**20
_ACCEPT = "application/graphql-response+json, application/json;q=0.9"


@dataclass(frozen=True, slots=True)
class Answer:
    """The data of an answer, and as a text the errors of the fields that failed; None if none did."""

    data: Mapping[str, Any]
    errors: str | None = None


class Cms:
    """A CMS in one session of aiohttp, logged in if the account has a password. Made by `connect`."""

    def __init__(self, account: Account, tools: Tools, web: aiohttp.ClientSession) -> None:
        self.account, self.web = account, web
        self._clock = tools.clock
        self._logged_in_at: datetime | None = None

    async def ask(self, document: str, variables: Mapping[str, Any] | None = None, *, doing: str) -> Answer:
        """The answer to a query. `doing` is for sentences: "asking for the objects"."""
        await self.log_in()
        return await self._ask(document, variables, doing)

    async def log_in(self) -> None:
        """Log in if the account has a password and the last login is older than `login_lasts`.

        A CMS need not say that a session has expired: it may simply list what a stranger may see.
        """
        account = self.account
        if account.email is None or account.password is None:
            return
        now = self._clock.now()
        if self._logged_in_at and (now - self._logged_in_at).total_seconds() < account.login_lasts:
            return
        doing = f"logging in as {printable(account.email, 80)}"
        variables = {"email": account.email, "password": account.password.get_secret_value()}
        self.web.cookie_jar.clear()
        answer = await self._ask(account.login, variables, doing)
        result = next(iter(answer.data.values()), None)
        token = result.get("sessionToken") if isinstance(result, Mapping) else None
        if answer.errors or not result or (isinstance(result, Mapping) and "message" in result and not token):
            said = answer.errors or (
                join_messages([result], account.secrets) if isinstance(result, Mapping) else "no session"
            )
            raise NotAllowed(f"The CMS refuses {doing} ({said}): correct the e-mail and the password of its account.")
        if isinstance(token, str) and token.isascii() and token.isprintable() and not has_cookie(self.web, account.url):
            self.web.headers.update(account.auth_header(token))
        self._logged_in_at = now

    async def _ask(self, document: str, variables: Mapping[str, Any] | None, doing: str) -> Answer:
        secrets = self.account.secrets
        body: dict[str, Any] = {"query": document} | ({"variables": dict(variables)} if variables else {})
        try:
            async with self.web.post(
                self.account.url, json=body, headers={"Accept": _ACCEPT}, allow_redirects=False
            ) as reply:
                status, after = reply.status, retry_after(reply.headers.get("Retry-After"), self._clock.now())
                raw = await _read(reply, doing)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise fault_of_connection(error, doing) from error
        answer = await _parse(raw)
        errors = answer.get("errors") if isinstance(answer, Mapping) else None
        errors = errors if isinstance(errors, list) and errors else []
        data = answer.get("data") if isinstance(answer, Mapping) else None
        if status in {401, 403, 408, 425, 429} or status >= 500 or not (errors or isinstance(data, Mapping)):
            if 200 <= status < 300:
                shown = printable(" ".join(hide_secrets(raw[:400].decode(errors="replace"), secrets).split()), 120)
                raise RetryLater(
                    f"The CMS answered {shown!r} at {doing}, which is not a GraphQL answer; vidd will ask again."
                )
            raise fault_of_status(status, doing, join_messages(errors, secrets), after=after)
        if not isinstance(data, Mapping):
            raise fault_of_errors(errors, doing, secrets=secrets)
        return Answer(data, join_messages(errors, secrets) if errors else None)


@asynccontextmanager
async def connect(account: Account, tools: Tools) -> AsyncIterator[Cms]:
    """A CMS to ask, in a session of its own that ends with the block."""
    async with session(account, tools) as web:
        yield Cms(account, tools, web)


async def _read(reply: aiohttp.ClientResponse, doing: str) -> bytes:
    body = bytearray()
    while piece := await reply.content.read(_READ_SIZE):
        body += piece
        if len(body) > _MAX_ANSWER:
            raise Refused(
                f"The CMS answered more than {_MAX_ANSWER // 2**20} MiB at {doing}: ask for it by pages (`paging`).",
                code=FaultCode.BAD_SETTINGS,
            )
    return bytes(body)


async def _parse(raw: bytes) -> Any:
    try:
        # Parsing a list of many thousand objects would block the loop of all jobs.
        return await in_thread(json.loads, raw) if len(raw) > _READ_SIZE else json.loads(raw)
    except (ValueError, RecursionError):
        return None

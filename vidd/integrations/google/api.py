"""Calls of Google's JSON services, with retries and a fault for each answer that is no success."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import aiohttp

from vidd.aio.retry import retry
from vidd.errors import Fault, OutcomeUnknown, RetryLater
from vidd.integrations.google.auth import TokenCache, Tokens, parse_object
from vidd.integrations.google.errors import answer_fault
from vidd.transfer.http import map_errors, never_sent, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from vidd.integrations.google.account import GoogleAccount
    from vidd.ports import Clock, Tools


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `doing` is for sentences: "listing the playlists". A call that is not `repeatable` is sent once."""

    method: str
    url: str
    doing: str
    params: Mapping[str, str] | None = None
    body: Any = None
    data: bytes | AsyncIterator[bytes | bytearray] | None = None
    headers: Mapping[str, str] | None = None
    repeatable: bool = True

    def encoded(self) -> Call:
        """The same call with `body`, if there is one, as JSON in `data`."""
        if self.body is None:
            return self
        headers = {**(self.headers or {}), "Content-Type": "application/json; charset=UTF-8"}
        return replace(self, body=None, data=json.dumps(self.body, ensure_ascii=False).encode(), headers=headers)

    @property
    def is_stream(self) -> bool:
        """Whether the data can be read only once."""
        return not isinstance(self.data, bytes | None)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its whole body; `body` is the parsed JSON object, empty where there was none."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Api:
    """The client of one account. Made by `google`; each request has a connection of its own unless `connected`."""

    tokens: Tokens
    clock: Clock
    reused: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Api]:
        """The same client, which reuses connections for repeatable requests.

        Other requests get a new connection: a server may close an idle connection at the moment it is reused, and then
        vidd would not know whether the request was carried out.
        """
        async with self.tokens.account.session() as session:
            yield replace(self, reused=session)

    async def call(self, call: Call) -> Answer:
        """Send a call; a repeatable one is retried a few times.

        Raises OutcomeUnknown where a call that is not repeatable got no answer, or a 5xx.
        """
        call = call.encoded()

        async def attempt() -> Answer:
            answer = await self.exchange(call)
            if answer.status >= 300:
                raise self.fault(answer, call.doing, repeatable=call.repeatable)
            return answer

        return await retry(attempt, sleep=self.clock.sleep) if call.repeatable else await attempt()

    async def exchange(self, call: Call) -> Answer:
        """Send one request and return its answer, whatever the status. A rejected access token is renewed once."""
        token = await self.tokens.token()
        answer = await self._send(call, token)
        if answer.status != 401:
            return answer
        renewed = await self.tokens.token(instead_of=token)
        # A stream that has been read cannot be sent again; its sender asks the server how far it came.
        return answer if call.is_stream else await self._send(call, renewed)

    async def _send(self, call: Call, token: str) -> Answer:
        headers = {**(call.headers or {}), "Authorization": f"Bearer {token}"}
        try:
            with map_errors(call.doing):
                async with (
                    self._session(reuse=call.repeatable and not call.is_stream) as session,
                    session.request(
                        call.method,
                        call.url,
                        allow_redirects=False,
                        params=call.params,
                        data=call.data,
                        headers=headers,
                    ) as answer,
                ):
                    return Answer(answer.status, answer.headers.copy(), parse_object(await answer.read()))
        except RetryLater as fault:
            if call.repeatable or never_sent(fault):
                raise
            raise OutcomeUnknown(
                f"The connection was lost at {call.doing}; vidd does not know yet whether it was done."
            ) from fault

    def _session(self, *, reuse: bool) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
        if reuse and self.reused is not None:
            return nullcontext(self.reused)
        return self.tokens.account.session()

    def fault(self, answer: Answer, doing: str, *, repeatable: bool = True) -> Fault:
        """The fault for an answer that is no success."""
        return answer_fault(
            answer.status,
            answer.body,
            doing,
            account=self.tokens.name,
            after=retry_after(answer.headers.get("Retry-After"), self.clock.now()),
            repeatable=repeatable,
        )


def google(name: str, account: GoogleAccount, scopes: Sequence[str], tools: Tools) -> Api:
    """A client for the account of this name, with these scopes."""
    tokens = Tokens(name, account, tuple(scopes), tools.clock, tools.shared.get(TokenCache))
    return Api(tokens, tools.clock)

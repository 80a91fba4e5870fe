"""Calls of Google's JSON services, each of their answers turned into one of the three fates.

Errors look like {"error": {"code", "message", "errors": [{"reason"}], "status"}} (cloud.google.com/apis/design/errors,
developers.google.com/youtube/v3/docs/errors).
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import aiohttp

from vidd.aio.retry import retry
from vidd.display_text import printable
from vidd.errors import Fault, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.google.auth import GoogleAccount, Tokens
from vidd.transfer.http import map_errors, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from vidd.ports import Clock

_SLOWER = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RESOURCE_EXHAUSTED", "backendError"})
_USED_UP = frozenset({"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"})


class QuotaUsedUp(RetryLater):
    """The day's quota is used up; who knows when it is given anew says so."""

    def __init__(self, sentence: str, *, after: float | None = None) -> None:
        super().__init__(sentence, after=after, counts=False)


class NotTaken(Refused):
    """An answer of 4xx, with Google's reason (such as `playlistNotFound`) for who knows a way on."""

    def __init__(self, sentence: str, status: int, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read whole; `body` is the parsed JSON object, empty where there was none."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Api:
    """An account, and what it may do. Made by `google`; each request has a connection of its own unless `connected`."""

    tokens: Tokens
    clock: Clock
    kept: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Api]:
        """The same, with connections that are kept from one request to the next.

        Only for requests that may be repeated: a server may hang up at the very moment a kept connection is used again,
        and then nobody would know what became of the request.
        """
        async with self.tokens.account.session() as session:
            yield replace(self, kept=session)

    async def call(
        self,
        method: str,
        url: str,
        *,
        doing: str,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """Send `body` as JSON, or `data`, and read the answer. `doing` is for sentences: "listing the playlists".

        What is repeatable is repeated a few times. What is not and got no answer, or a 5xx, becomes OutcomeUnknown.
        """
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "application/json; charset=UTF-8"
            data = json.dumps(body, ensure_ascii=False).encode()

        async def once() -> Answer:
            answer = await self.exchange(
                method, url, doing=doing, params=params, data=data, headers=sent, repeatable=repeatable
            )
            if answer.status >= 300:
                raise self.fault(answer, doing, repeatable=repeatable)
            return answer

        return await retry(once, sleep=self.clock.sleep) if repeatable else await once()

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        doing: str,
        params: Mapping[str, str] | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """One request as it is, whatever the answer's status; a token that was turned down is renewed once."""

        async def with_token(token: str) -> Answer:
            sent = {**(headers or {}), "Authorization": f"Bearer {token}"}
            return await self._once(method, url, doing, repeatable=repeatable, params=params, data=data, headers=sent)

        token = await self.tokens.token()
        answer = await with_token(token)
        if answer.status != 401:
            return answer
        renewed = await self.tokens.token(instead_of=token)
        # A stream that has been read cannot be sent again; its sender asks how far it came.
        return await with_token(renewed) if data is None or isinstance(data, bytes) else answer

    async def _once(self, method: str, url: str, doing: str, *, repeatable: bool, **request: Any) -> Answer:
        whole = isinstance(request["data"], bytes | None)
        try:
            with map_errors(doing):
                async with (
                    self._session(keep=repeatable and whole) as session,
                    session.request(method, url, allow_redirects=False, **request) as answer,
                ):
                    return Answer(answer.status, answer.headers.copy(), _parsed(await answer.read()))
        except RetryLater as fault:
            if repeatable or isinstance(fault.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
                raise
            raise OutcomeUnknown(
                f"The connection was lost at {doing}; nobody knows yet whether it was done."
            ) from fault

    def _session(self, *, keep: bool) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
        if keep and self.kept is not None:
            return nullcontext(self.kept)
        return self.tokens.account.session()

    def fault(self, answer: Answer, doing: str, *, repeatable: bool = True) -> Fault:
        """The fate of an answer that is no success."""
        status = answer.status
        said = answer.body.get("error")
        said = said if isinstance(said, dict) else {}
        reasons = _reasons(said)
        words = ", ".join(reasons) or printable(str(said.get("message", "")), 120)
        heard = f"Google answered {status}{f' ({words})' if words else ''} at {doing}"
        after = retry_after(answer.headers.get("Retry-After"), self.clock.now())
        if _USED_UP.intersection(reasons):
            return QuotaUsedUp(f"{heard}: the quota of the day is used up.")
        if status == 429 or (status == 403 and _SLOWER.intersection(reasons)):
            return RetryLater(f"{heard}; it is tried again more slowly.", after=after)
        if status == 408 or status >= 500:
            if not repeatable:
                return OutcomeUnknown(f"{heard}; nobody knows yet whether it was done.")
            return RetryLater(f"{heard}; it is tried again.", after=after)
        return NotTaken(f"{heard}: {self._advice(status)}.", status, reasons[0] if reasons else "")

    def _advice(self, status: int) -> str:
        name = self.tokens.name
        if status == 401:
            return f"sign in again and put the new refresh token into [accounts.{name}]"
        if status == 403:
            return f"give the account {name} the right to do this, or sign it in with all scopes that docs/how-to/youtube.md names"
        if status == 404:
            return "it was deleted, or the setting that names it is wrong"
        return "correct what it names"


def google(name: str, account: GoogleAccount, scopes: Sequence[str], clock: Clock) -> Api:
    """The account of this name, ready for calls with these scopes."""
    return Api(Tokens(name, account, tuple(scopes), clock), clock)


def _reasons(said: Mapping[str, Any]) -> list[str]:
    listed = said.get("errors")
    found = [error.get("reason") for error in listed if isinstance(error, dict)] if isinstance(listed, list) else []
    return [printable(one, 60) for one in [*found, said.get("status")] if isinstance(one, str)]


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body) if body else {}
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}

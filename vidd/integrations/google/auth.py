"""Access tokens for a refresh token (RFC 6749, 6) or for a service account's key (RFC 7523)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.auth import crypt, jwt
from pydantic import SecretStr

from vidd.aio.retry import retry
from vidd.errors import RetryLater
from vidd.integrations.google.account import TOKEN_URL
from vidd.integrations.google.errors import bad_key, sign_in_refusal
from vidd.transfer.http import map_errors, retry_after

if TYPE_CHECKING:
    from vidd.integrations.google.account import GoogleAccount
    from vidd.ports import Clock

# Google expects this audience whatever address it is asked at (Using OAuth 2.0 for Server to Server Applications).
_AUDIENCE = TOKEN_URL
_RENEW_BEFORE = timedelta(seconds=60)
_ASSERTION_LIFETIME = 3600


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and when it expires."""

    token: SecretStr
    until: datetime


class TokenCache:
    """The access tokens of one daemon, by account and scopes; callers who ask at the same time share one request."""

    def __init__(self) -> None:
        self._requests: dict[tuple[object, ...], asyncio.Task[AccessToken]] = {}

    async def token(self, tokens: Tokens, *, instead_of: str | None = None) -> str:
        """A token for these accounts and scopes, renewed a minute before it expires."""
        key = (*tokens.account.identity, *tokens.scopes)
        request = self._requests.get(key)
        if request is None or (request.done() and not _is_valid(request, tokens.clock.now(), instead_of)):
            request = asyncio.create_task(tokens.request(), name=f"token of {tokens.name}")
            self._requests[key] = request
        # A cancelled caller must not take the token from the others who wait for it.
        return (await asyncio.shield(request)).token.get_secret_value()

    async def close(self) -> None:
        """Cancel the requests that are under way."""
        requests, self._requests = list(self._requests.values()), {}
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)


def _is_valid(request: asyncio.Task[AccessToken], now: datetime, rejected: str | None) -> bool:
    if request.cancelled() or request.exception() is not None:
        return False
    given = request.result()
    return given.until > now + _RENEW_BEFORE and given.token.get_secret_value() != rejected


@dataclass(frozen=True)
class Tokens:
    """The access tokens of one account for some scopes. `name` is the account's, for sentences."""

    name: str
    account: GoogleAccount
    scopes: tuple[str, ...]
    clock: Clock
    cache: TokenCache

    async def token(self, *, instead_of: str | None = None) -> str:
        """A token that is valid for another minute at least; a different one than `instead_of`, which was rejected."""
        return await self.cache.token(self, instead_of=instead_of)

    async def request(self) -> AccessToken:
        """Ask Google for a new token."""
        return await retry(self._request_once, sleep=self.clock.sleep)

    async def _request_once(self) -> AccessToken:
        now = self.clock.now()
        url, form = self._form(now)
        doing = f"the sign-in of the account {self.name} at Google"
        with map_errors(doing):
            async with self.account.session() as session, session.post(url, data=form) as answer:
                body = parse_object(await answer.read())
                after = retry_after(answer.headers.get("Retry-After"), now)
                status = answer.status
        if status == 429 or status >= 500:
            raise RetryLater(f"Google answered {status} while {doing}; vidd will retry.", after=after)
        if status != 200:
            raise sign_in_refusal(
                str(body.get("error", status)), self.name, person=self.account.service_account is None
            )
        token, lifetime = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not isinstance(lifetime, int):
            raise RetryLater(f"Google's answer to {doing} holds no token; vidd will retry.")
        return AccessToken(SecretStr(token), now + timedelta(seconds=lifetime))

    def _form(self, now: datetime) -> tuple[str, dict[str, str]]:
        account = self.account
        if account.service_account is None:
            return account.token_url or TOKEN_URL, {
                "grant_type": "refresh_token",
                "client_id": account.client_id or "",
                "client_secret": account.client_secret.get_secret_value() if account.client_secret else "",
                "refresh_token": account.refresh_token.get_secret_value() if account.refresh_token else "",
            }
        key = self._key(account.service_account)
        url = account.token_url or str(key.get("token_uri", TOKEN_URL))
        at = int(now.timestamp())
        claims = {"iss": key["client_email"], "scope": " ".join(self.scopes), "aud": _AUDIENCE, "iat": at}
        try:
            signer = crypt.RSASigner.from_service_account_info(key)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise bad_key(self.name, "its private_key cannot be read") from error
        signed: bytes = jwt.encode(signer, {**claims, "exp": at + _ASSERTION_LIFETIME})  # type: ignore[no-untyped-call]
        return url, {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed.decode()}

    def _key(self, secret: SecretStr) -> dict[str, Any]:
        key = parse_object(secret.get_secret_value().encode())
        missing = [name for name in ("client_email", "private_key") if not isinstance(key.get(name), str)]
        if missing:
            raise bad_key(self.name, f"it has no {missing[0]}")
        return key


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in an answer's body; an empty one where there is none."""
    try:
        parsed = json.loads(body) if body else {}
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}

"""Signing in at Google: short tokens for a refresh token (RFC 6749, 6) or for a service account's key (RFC 7523).

One token per account and scopes is kept and renewed a minute before its end; who asks meanwhile shares the request.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import aiohttp
from google.auth import crypt, jwt
from pydantic import Field, SecretStr, field_validator, model_validator

from vidd.aio.retry import retry
from vidd.errors import Refused, RetryLater
from vidd.settings.types import Duration, Options
from vidd.transfer.http import idle_timeout, map_errors, retry_after, ssl_context

if TYPE_CHECKING:
    from vidd.ports import Clock

_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
# Google wants this audience whatever the address it is asked at (Using OAuth 2.0 for Server to Server Applications).
_AUDIENCE = _TOKEN_URL
# Before 3.12.8 Python waits half a minute for the farewell of TLS where the other side has stopped reading.
_LINGERS = sys.version_info < (3, 12, 8)
_EARLY = timedelta(seconds=60)
_ASSERTION = 3600


# Most requests have a session of their own, and reading the system's authorities takes tens of milliseconds.
_trust = lru_cache(maxsize=8)(ssl_context)


class GoogleAccount(Options):
    """Who we are at Google: a person who signed in once, or a service account. Kinds add their own settings."""

    client_id: str | None = Field(None, description="The OAuth client's id.")
    client_secret: SecretStr | None = Field(None, description="The OAuth client's secret.")
    refresh_token: SecretStr | None = Field(None, description="What signing in once gave, for all times after.")
    service_account: SecretStr | None = Field(
        None, description="A service account's key, the whole JSON; service_account_file names the file instead."
    )
    token_url: str | None = Field(
        None, pattern=r"^https?://[^\s@]+$", description="Where tokens are given; Google's own by default."
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    read_timeout: Duration = Field(60.0, gt=0, description="Longest silence in the middle of an answer.")

    @field_validator("client_secret", "refresh_token")
    @classmethod
    def _one_line(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(value.get_secret_value().strip())

    @model_validator(mode="after")
    def _one_way_in(self) -> GoogleAccount:
        person = (self.client_id, self.client_secret, self.refresh_token)
        if self.service_account is None and None in person:
            raise ValueError("give client_id, client_secret and refresh_token, or service_account")
        if self.service_account is not None and person != (None, None, None):
            raise ValueError("give either client_id, client_secret and refresh_token, or service_account, not both")
        return self

    @property
    def who(self) -> tuple[object, ...]:
        """What tells accounts apart whose tokens must not be mixed."""
        return (self.client_id, self.client_secret, self.refresh_token, self.service_account, self.token_url)

    def session(self) -> aiohttp.ClientSession:
        """A session with the account's timeouts and authorities.

        One who makes it for a single request loses none to a server that hangs up on a connection left idle. aiohttp
        repeats GET, PUT and DELETE once by itself, whatever the connection, but no stream it has begun to read.
        """
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=_trust(self.ca), enable_cleanup_closed=_LINGERS),
            timeout=idle_timeout(self.connect_timeout, self.read_timeout),
        )


@dataclass(frozen=True, slots=True)
class _Given:
    token: SecretStr
    until: datetime


_Key = tuple[object, ...]
_kept: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, asyncio.Task[_Given]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Tokens:
    """The tokens of one account for some scopes. `name` is the account's, for sentences."""

    name: str
    account: GoogleAccount
    scopes: tuple[str, ...]
    clock: Clock

    async def token(self, *, instead_of: str | None = None) -> str:
        """A token that holds for a minute at least, and is another than `instead_of`, which was turned down."""
        asked = _kept.setdefault(asyncio.get_running_loop(), {})
        key = (*self.account.who, *self.scopes)
        running = asked.get(key)
        if running is None or (running.done() and not self._holds(running, instead_of)):
            running = asked[key] = asyncio.create_task(self._ask(), name=f"token of {self.name}")
        # One who is cancelled must not take the token from the others who wait for it.
        return (await asyncio.shield(running)).token.get_secret_value()

    def _holds(self, asked: asyncio.Task[_Given], turned_down: str | None) -> bool:
        if asked.cancelled() or asked.exception() is not None:
            return False
        given = asked.result()
        return given.until > self.clock.now() + _EARLY and given.token.get_secret_value() != turned_down

    async def _ask(self) -> _Given:
        return await retry(self._ask_once, sleep=self.clock.sleep)

    async def _ask_once(self) -> _Given:
        now = self.clock.now()
        url, form = self._form(now)
        doing = f"the sign-in of the account {self.name} at Google"
        with map_errors(doing):
            async with self.account.session() as session, session.post(url, data=form) as answer:
                body = _parsed(await answer.read())
                after = retry_after(answer.headers.get("Retry-After"), now)
                status = answer.status
        if status == 429 or status >= 500:
            raise RetryLater(f"Google answered {status} at {doing}; it is tried again.", after=after)
        if status != 200:
            raise self._refused(str(body.get("error", status)))
        token, lives = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not isinstance(lives, int):
            raise RetryLater(f"Google's answer to {doing} holds no token; it is tried again.")
        return _Given(SecretStr(token), now + timedelta(seconds=lives))

    def _form(self, now: datetime) -> tuple[str, dict[str, str]]:
        account = self.account
        if account.service_account is None:
            return account.token_url or _TOKEN_URL, {
                "grant_type": "refresh_token",
                "client_id": account.client_id or "",
                "client_secret": account.client_secret.get_secret_value() if account.client_secret else "",
                "refresh_token": account.refresh_token.get_secret_value() if account.refresh_token else "",
            }
        key = self._key(account.service_account)
        url = account.token_url or str(key.get("token_uri", _TOKEN_URL))
        at = int(now.timestamp())
        claims = {"iss": key["client_email"], "scope": " ".join(self.scopes), "aud": _AUDIENCE, "iat": at}
        try:
            signer = crypt.RSASigner.from_service_account_info(key)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise self._bad_key("its private_key cannot be read") from error
        signed: bytes = jwt.encode(signer, {**claims, "exp": at + _ASSERTION})  # type: ignore[no-untyped-call]
        return url, {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed.decode()}

    def _key(self, secret: SecretStr) -> dict[str, Any]:
        key = _parsed(secret.get_secret_value().encode())
        missing = [name for name in ("client_email", "private_key") if not isinstance(key.get(name), str)]
        if missing:
            raise self._bad_key(f"it has no {missing[0]}")
        return key

    def _bad_key(self, why: str) -> Refused:
        return Refused(
            f"The service account of the account {self.name} is no key as Google gives it ({why}): "
            f"put the whole JSON file into [accounts.{self.name}] service_account_file."
        )

    def _refused(self, error: str) -> Refused:
        name = self.name
        if error == "invalid_grant" and self.account.service_account is None:
            return Refused(
                f"The refresh token of the account {name} was revoked or expired: "
                f"sign in again and put the new one into [accounts.{name}]."
            )
        if error == "invalid_grant":
            return Refused(
                f"Google does not take the key of the service account in [accounts.{name}] (invalid_grant): "
                "it was deleted, or this machine's clock is wrong."
            )
        if error in {"invalid_client", "unauthorized_client"}:
            return Refused(
                f"Google does not know the client of the account {name} ({error}): "
                f"correct client_id and client_secret in [accounts.{name}]."
            )
        return Refused(f"Google refuses the account {name} to sign in ({error[:80]!a}): correct [accounts.{name}].")


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}

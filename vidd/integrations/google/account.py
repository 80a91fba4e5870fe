"""An account at Google: a person who signed in once, or a service account."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import aiohttp
from pydantic import Field, SecretStr, field_validator, model_validator

from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration
from vidd.transfer.http import session, ssl_context

# Before 3.12.8 Python waits half a minute for the TLS close_notify of a peer that has stopped reading.
_TLS_CLOSE_HANGS = sys.version_info < (3, 12, 8)

# Most requests have a session of their own, and reading the system's authorities takes tens of milliseconds.
_trust = lru_cache(maxsize=8)(ssl_context)


TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


class GoogleAccount(ProxiedAccount):
    """The credentials, addresses and timeouts that all kinds of Google accounts share; each kind adds its own settings."""

    client_id: str | None = Field(None, description="The OAuth client's id.")
    client_secret: SecretStr | None = Field(None, description="The OAuth client's secret.")
    refresh_token: SecretStr | None = Field(None, description="The refresh token that signing in once gave.")
    service_account: SecretStr | None = Field(
        None, description="A service account's key, the whole JSON; service_account_file names the file instead."
    )
    token_url: str | None = Field(
        None, pattern=r"^https?://[^\s@]+$", description="Address that gives access tokens; Google's own by default."
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    read_timeout: Duration = Field(60.0, gt=0, description="Longest silence in the middle of an answer.")

    @field_validator("client_secret", "refresh_token")
    @classmethod
    def _strip(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(value.get_secret_value().strip())

    @model_validator(mode="after")
    def _check_credentials(self) -> GoogleAccount:
        person = (self.client_id, self.client_secret, self.refresh_token)
        if self.service_account is None and None in person:
            raise ValueError("give client_id, client_secret and refresh_token, or service_account")
        if self.service_account is not None and person != (None, None, None):
            raise ValueError("give either client_id, client_secret and refresh_token, or service_account, not both")
        return self

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells apart accounts whose tokens must not be mixed."""
        return (self.client_id, self.client_secret, self.refresh_token, self.service_account, self.token_url)

    @property
    def targets(self) -> tuple[str, ...]:
        """The address of the sign-in; each kind adds that of its service."""
        return (self.token_url or TOKEN_URL,)

    def session(self) -> aiohttp.ClientSession:
        """A session with the account's timeouts and authorities.

        A session that serves a single request never meets a server that closes an idle connection just as it is reused.
        aiohttp itself repeats GET, PUT and DELETE once after such a loss, but no stream it has begun to read.
        """
        return session(
            self.proxy,
            connect=self.connect_timeout,
            idle=self.read_timeout,
            trust=_trust(self.ca),
            connector={"enable_cleanup_closed": _TLS_CLOSE_HANGS},
        )

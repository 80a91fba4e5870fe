"""An account at a CMS with a GraphQL API: its addresses and credentials.

Each connection has an aiohttp session of its own. The session carries a token as a header, or the cookie of a login
such as Keystone's `authenticateUserWithPassword` (keystonejs.com, "Authentication").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
from pydantic import Field, SecretStr, field_validator, model_validator
from yarl import URL

from vidd.ports import Tools
from vidd.settings.proxied import ProxiedAccount
from vidd.settings.types import Duration
from vidd.transfer import http
from vidd.transfer.http import public_url, ssl_context

_LOGIN = (
    "mutation ($email: String!, $password: String!) {"
    " authenticateUserWithPassword(email: $email, password: $password) {"
    " ... on UserAuthenticationWithPasswordSuccess { sessionToken }"
    " ... on UserAuthenticationWithPasswordFailure { message } } }"
)


class Account(ProxiedAccount):
    """A CMS, and the credentials for it: none, a token, or an e-mail address and a password."""

    kind: Literal["cms"] = Field("cms", description="The kind of account.")
    url: str = Field(pattern=r"^https?://[^\s@]+$", description="Address of its GraphQL queries.")
    ws_url: str | None = Field(
        None, pattern=r"^wss?://[^\s@]+$", description="Address of its subscriptions; default: `url` as ws or wss."
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    token: SecretStr | None = Field(None, description="A token, sent with every request.")
    header: str = Field("Authorization", pattern=r"^[A-Za-z0-9-]+$", description="The header that carries the token.")
    scheme: str = Field("Bearer", description="The word before the token; empty: none.")
    init_token: str | None = Field(
        None,
        description="Name of a field in the payload of connection_init that carries the token, too.",
    )
    email: str | None = Field(None, description="E-mail address to log in with, in place of a token.")
    password: SecretStr | None = Field(None, description="The password.")
    login: str = Field(_LOGIN, description="The mutation that logs in; its variables are $email and $password.")
    login_lasts: Duration = Field(
        1800.0, gt=0, description="Age of a login after which vidd logs in again before a query."
    )
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    timeout: Duration = Field(60.0, gt=0, description="Longest wait for the next bytes of an answer.")

    @field_validator("login")
    @classmethod
    def _is_graphql(cls, text: str) -> str:
        # Only settings that name a CMS pay for the library.
        from vidd.integrations.graphql_cms.queries import check_document  # noqa: PLC0415

        check_document(text, "mutation", selects=(), variables=("email", "password"))
        return text

    @field_validator("token")
    @classmethod
    def _one_line(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token else "-"
        if not (text and text.isascii() and text.isprintable()):
            raise ValueError("a token is one line of ASCII")
        return token

    @model_validator(mode="after")
    def _one_credential(self) -> Account:
        if (self.email is None) is not (self.password is None):
            raise ValueError("email and password go together: give both or neither")
        if self.email is not None and self.token is not None:
            raise ValueError("give a token, or an email and a password, not both")
        return self

    @property
    def socket_url(self) -> str:
        """The address of subscriptions."""
        return self.ws_url or "ws" + self.url.removeprefix("http")

    @property
    def targets(self) -> tuple[str, ...]:
        return self.url, self.socket_url

    @property
    def display_url(self) -> str:
        """The address for sentences, without secrets."""
        return public_url(self.url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that no sentence may contain."""
        return tuple(secret.get_secret_value() for secret in (self.token, self.password) if secret is not None)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return self.auth_header(self.token.get_secret_value()) if self.token else {}

    def auth_header(self, token: str) -> dict[str, str]:
        """The header that carries a token."""
        return {self.header: f"{self.scheme} {token}".strip()}

    @property
    def greeting(self) -> dict[str, Any]:
        """The payload of `connection_init`."""
        if self.token is None or self.init_token is None:
            return {}
        token = self.token.get_secret_value()
        return {self.init_token: self.auth_header(token)[self.header] if self.init_token == self.header else token}


@asynccontextmanager
async def session(account: Account, tools: Tools) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that is closed at the end. Refused if the certificates cannot be read."""
    context = await asyncio.to_thread(ssl_context, tools.path(account.ca) if account.ca else None)
    # `unsafe` keeps cookies of a host that is named by its IP address, as in a laboratory's network.
    jar = aiohttp.CookieJar(unsafe=True)
    headers: Mapping[str, str] = {"User-Agent": "vidd", **account.headers}
    async with http.session(
        account.proxy,
        connect=account.connect_timeout,
        idle=account.timeout,
        trust=context,
        cookie_jar=jar,
        headers=headers,
    ) as opened:
        yield opened


def has_cookie(web: aiohttp.ClientSession, url: str) -> bool:
    """Whether the session would send a cookie to this address."""
    http_url = urlsplit(url)._replace(scheme="https" if url.startswith(("https", "wss")) else "http")
    return bool(web.cookie_jar.filter_cookies(URL(http_url.geturl())))

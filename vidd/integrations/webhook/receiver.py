"""Receivers of webhooks: one request each, and what becomes of it.

By RFC 9110, and Standard Webhooks 1.0, "Operational considerations".
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
from pydantic import Field, SecretStr, field_validator
from yarl import URL

from vidd.display_text import printable
from vidd.errors import Fault, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.webhook.signature import key_of
from vidd.settings.types import Duration, Options
from vidd.transfer.http import retry_after, session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from vidd.ports import Tools

_ANSWER = 4096
_LONGEST_WAIT = 86400.0


class Account(Options):
    """Who gets webhooks, and how they know that it is us. Addresses are secrets too: Slack's need no other."""

    kind: Literal["webhook"] = Field("webhook", description="A receiver of webhooks.")
    url: SecretStr = Field(description="Its address; for Matrix, the home server's.")
    secret: SecretStr | None = Field(None, description="What it is signed with: whsec_ and base64, or a plain text.")
    old_secret: SecretStr | None = Field(
        None, description="A secret on its way out; both sign for as long as it is set."
    )
    token: SecretStr | None = Field(None, description="An access token, sent as Authorization: Bearer.")
    token_header: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]+$", description="Another header that takes the token as it is."
    )
    ca: Path | None = Field(None, description="PEM file of authorities to trust besides the system's.")
    connect_timeout: Duration = Field(10.0, gt=0, description="Longest time to wait for a connection.")
    timeout: Duration = Field(30.0, gt=0, description="Longest time to wait for an answer.")

    @field_validator("url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        try:
            url = URL(value.get_secret_value())
            fits = url.scheme in {"http", "https"} and bool(url.host) and url.user is None and not url.fragment
        except ValueError:
            fits = False
        if not fits or not value.get_secret_value().isprintable():
            raise ValueError("this is no http or https address without a user in it")
        return value

    @field_validator("secret", "old_secret")
    @classmethod
    def _usable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            key_of(value.get_secret_value())
        return value

    @field_validator("token")
    @classmethod
    def _one_line(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not (value.get_secret_value().isascii() and value.get_secret_value().isprintable()):
            raise ValueError("a token is one line of ASCII")
        return value

    @property
    def place(self) -> str:
        """The receiver as sentences name it: its host, since its path may be all that keeps strangers out."""
        return printable(_host(URL(self.url.get_secret_value())), 120)

    @property
    def secrets(self) -> list[str]:
        """What signs, the present one first."""
        return [secret.get_secret_value() for secret in (self.secret, self.old_secret) if secret is not None]

    @property
    def authorization(self) -> dict[str, str]:
        """The header with the token, where there is one."""
        if self.token is None:
            return {}
        token = self.token.get_secret_value()
        return {self.token_header: token} if self.token_header else {"Authorization": f"Bearer {token}"}

    def hidden(self, text: str) -> str:
        """A receiver's words without what it may have echoed of ours."""
        url = URL(self.url.get_secret_value())
        own = [self.url.get_secret_value(), str(url), url.raw_path_qs, url.raw_path, *url.parts, *self.secrets]
        if self.token is not None:
            own.append(self.token.get_secret_value())
        for one in sorted(own, key=len, reverse=True):
            if len(one) >= 6:
                text = text.replace(one, "[hidden]")
        return text


@dataclass(frozen=True)
class Delivery:
    """A request that is ready to go. `path` follows the account's address, already encoded.

    `repeatable` says that the receiver can tell a second one by its id. `look` names where a person finds out whether
    one arrived that is not.
    """

    method: str
    body: bytes
    headers: Mapping[str, str]
    repeatable: bool
    look: str
    path: str = ""


@dataclass(frozen=True)
class Answer:
    """A receiver's answer; `said` is at most 4 KiB of its body."""

    status: int
    headers: Mapping[str, str]
    said: str

    @property
    def data(self) -> dict[str, Any]:
        """Its JSON object, or an empty one where it has none."""
        try:
            found = json.loads(self.said)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


async def trust(account: Account, tools: Tools) -> ssl.SSLContext:
    """The authorities of an account; Refused where its file cannot be read."""
    return await asyncio.to_thread(_context, account, tools)


def _context(account: Account, tools: Tools) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if account.ca is not None:
        path = tools.path(account.ca)
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError):
            raise Refused(f"The file {path} holds no certificates that can be read: correct `ca`.") from None
    return context


async def deliver(account: Account, tools: Tools, delivery: Delivery) -> Answer:
    """Send it once, and return what a 2xx answered. Redirects are not followed.

    Refused or RetryLater by the answer; OutcomeUnknown where it went out without one, unless it is repeatable.
    """
    answer = await _ask(account, await trust(account, tools), delivery)
    if 200 <= answer.status < 300:
        return answer
    raise _fault(account, delivery, answer, tools.clock.now())


async def _ask(account: Account, context: ssl.SSLContext, delivery: Delivery) -> Answer:
    place = account.place
    base = account.url.get_secret_value()
    url = URL(base.rstrip("/") + delivery.path, encoded=True) if delivery.path else URL(base)
    # Reaching the host has a time of its own, so that a time that runs out later means that something went out.
    time = aiohttp.ClientTimeout(
        total=account.connect_timeout + account.timeout,
        connect=account.connect_timeout,
        sock_connect=account.connect_timeout,
        sock_read=account.timeout,
    )
    headers = {"Accept-Encoding": "identity", "User-Agent": "vidd", **delivery.headers, **account.authorization}
    # No error is chained to its cause here: aiohttp's words may hold the address.
    try:
        async with (
            session() as web,
            web.request(
                delivery.method,
                url,
                data=delivery.body,
                headers=headers,
                allow_redirects=False,
                ssl=context,
                timeout=time,
            ) as reply,
        ):
            return Answer(reply.status, dict(reply.headers), await _said(reply))
    except aiohttp.ClientConnectorCertificateError:
        raise Refused(
            f"The certificate of {place} is not trusted: correct the address, or name its authority with `ca`."
        ) from None
    except aiohttp.ClientSSLError:
        raise RetryLater(f"{place} does not speak TLS as asked; the notice is sent again.") from None
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise RetryLater(f"{place} cannot be reached; the notice is sent again.") from None
    except (aiohttp.ClientError, TimeoutError):
        raise lost(account, delivery) from None


async def _said(reply: aiohttp.ClientResponse) -> str:
    """The beginning of the answer's body. What breaks here breaks after the status, which is what counts."""
    said = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError):
        while len(said) < _ANSWER and (piece := await reply.content.read(_ANSWER - len(said))):
            said += piece
    return said.decode(errors="replace")


def lost(account: Account, delivery: Delivery) -> Fault:
    """The fate of a request that went out without an answer."""
    if delivery.repeatable:
        return RetryLater(f"{account.place} gave no answer; the notice is sent again, under the same id.")
    return unknown(account.place, delivery.look)


def unknown(place: str, look: str) -> OutcomeUnknown:
    """What a person must look at."""
    return OutcomeUnknown(
        f"Nobody knows whether {place} got the notice: look {look}, and say what you found with `vidd resolve`."
    )


def _fault(account: Account, delivery: Delivery, answer: Answer, now: datetime) -> Fault:
    place, status = account.place, answer.status
    if 300 <= status < 400:
        try:
            to = _host(URL(answer.headers.get("Location", ""))) or "another path"
        except ValueError:
            to = "an address that is none"
        to = printable(account.hidden(to), 120)
        return Refused(f"{place} redirects ({status}) to {to}, which is not followed: correct the account's address.")
    if status in {408, 425, 429, 503} or (status >= 500 and delivery.repeatable):
        after = retry_after(answer.headers.get("Retry-After"), now)
        if after is None and isinstance(millis := answer.data.get("retry_after_ms"), int | float):
            after = millis / 1000  # Matrix before 1.10 (client-server API, "Rate limiting")
        after = None if after is None else min(max(0.0, after), _LONGEST_WAIT)
        return RetryLater(f"{place} answered {status}; the notice is sent again.", after=after)
    if status >= 500:
        # A server that fails may have done its work before.
        return unknown(f"{place}, which answered {status},", delivery.look)
    if status == 410:
        return Refused(f"{place} does not want notices any more (410): take this one out of the pipeline.")
    # Hidden first, then cut: half a secret is no longer found.
    said = printable(" ".join(account.hidden(answer.said).split()), 200)
    words = f" and said {said!r}" if said else ""
    return Refused(f"{place} answered {status} to the notice{words}: correct the account or the notice, then retry.")


def _host(url: URL) -> str:
    if not url.host:
        return ""
    return url.host if url.is_default_port() or url.explicit_port is None else f"{url.host}:{url.explicit_port}"

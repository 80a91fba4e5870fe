"""Sends one webhook to its receiver and reads the answer."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from vidd.errors import FaultCode, Refused
from vidd.integrations.webhook.errors import answer_fault, connection_fault
from vidd.transfer.http import session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vidd.integrations.webhook.account import Account
    from vidd.ports import Tools

_LONGEST_ANSWER = 4096


@dataclass(frozen=True)
class Delivery:
    """A request that is ready to be sent. `path` is appended to the account's address, already encoded.

    `repeatable` says that the receiver recognizes a second request by its id. `where` tells a person where to look
    whether a request that is not repeatable arrived.
    """

    method: str
    body: bytes
    headers: Mapping[str, str]
    repeatable: bool
    where: str
    path: str = ""


@dataclass(frozen=True)
class Answer:
    """A receiver's answer; `text` is at most 4 KiB of its body."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object in it; an empty one where there is none."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


async def tls_context(account: Account, tools: Tools) -> ssl.SSLContext:
    """The TLS context with the account's authorities. Raises Refused where their file cannot be read."""
    return await asyncio.to_thread(_context, account, tools)


def _context(account: Account, tools: Tools) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if account.ca is not None:
        path = tools.path(account.ca)
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError):
            raise Refused(
                f"The file {path} holds no certificates that can be read: correct `ca`.", code=FaultCode.BAD_SETTINGS
            ) from None
    return context


async def deliver(account: Account, tools: Tools, delivery: Delivery) -> Answer:
    """Send it once and return the answer if it is 2xx. vidd does not follow redirects.

    Raises Refused or RetryLater by the answer, OutcomeUnknown where a request that is not repeatable got none.
    """
    answer = await _send(account, await tls_context(account, tools), delivery)
    if 200 <= answer.status < 300:
        return answer
    raise answer_fault(answer, account, tools.clock.now(), repeatable=delivery.repeatable, where=delivery.where)


async def _send(account: Account, context: ssl.SSLContext, delivery: Delivery) -> Answer:
    base = account.url.get_secret_value()
    url = URL(base.rstrip("/") + delivery.path, encoded=True) if delivery.path else URL(base)
    # Connecting has a timeout of its own in the session, so that this one means that something was sent.
    time = aiohttp.ClientTimeout(total=account.connect_timeout + account.timeout, sock_read=account.timeout)
    headers = {"Accept-Encoding": "identity", "User-Agent": "vidd", **delivery.headers, **account.authorization}
    # No fault is chained to its cause here: aiohttp's message may hold the address.
    try:
        async with (
            session(account.proxy, connect=account.connect_timeout, trust=context) as web,
            web.request(
                delivery.method,
                url,
                data=delivery.body,
                headers=headers,
                allow_redirects=False,
                timeout=time,
            ) as reply,
        ):
            return Answer(reply.status, dict(reply.headers), await _read_text(reply))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise connection_fault(error, account, repeatable=delivery.repeatable, where=delivery.where) from None


async def _read_text(reply: aiohttp.ClientResponse) -> str:
    """The beginning of the answer's body. An error while reading is ignored: the status is what counts."""
    body = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError):
        while len(body) < _LONGEST_ANSWER and (piece := await reply.content.read(_LONGEST_ANSWER - len(body))):
            body += piece
    return body.decode(errors="replace")

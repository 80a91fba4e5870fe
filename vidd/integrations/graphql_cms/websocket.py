"""A GraphQL subscription over a WebSocket: `graphql-transport-ws`, or the older `graphql-ws`.

gql speaks both protocols. Each subscription has a connection, a transport and a session of its own, which end together:
gql's reconnecting client can wait for ever if a connection breaks between subscribing and the acknowledgement.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from gql import GraphQLRequest
from gql.transport.common.adapters import AdapterConnection
from gql.transport.exceptions import TransportConnectionFailed, TransportError, TransportProtocolError
from gql.transport.websockets_protocol import WebsocketsProtocolTransportBase

from vidd.errors import Fault, RetryLater
from vidd.integrations.graphql_cms.account import Account
from vidd.integrations.graphql_cms.errors import ConnectionEnd, fault_of_close, fault_of_subscription, join_messages
from vidd.integrations.graphql_cms.graphql import Cms, connect
from vidd.ports import Tools

Protocol = Literal["auto", "graphql-transport-ws", "graphql-ws"]
_PROTOCOLS = ("graphql-transport-ws", "graphql-ws")
_CLOSE_TIMEOUT = 2.0
"""Seconds for the other side to answer the close; one that is gone never does."""
_OPENING, _LISTENING = "opening the subscription", "listening to the subscription"
_CLOSED = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR}
_NO_CONTENT = {aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG}


@dataclass(frozen=True, slots=True)
class SubscriptionEvent:
    """One event: its data (None if it has none), and as a text the errors of the fields that failed."""

    data: Mapping[str, Any] | None
    errors: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How a subscription is kept. Times are seconds; `ping` 0 sends none."""

    protocol: Protocol = "auto"
    ping: float = 20.0
    pong: float = 10.0
    greeting: float = 15.0


class _Adapter(AdapterConnection):
    """The WebSocket below gql's transport, in a session of aiohttp. `ping` is seconds; None sends no pings.

    gql's own adapter drops close code and reason, and passes on messages that its parser does not expect and that end its
    reading task; this one keeps the former in `end` and rejects the latter.

    `subscribed` is set once the subscription was sent.
    """

    def __init__(self, web: aiohttp.ClientSession, url: str, *, ping: float | None) -> None:
        super().__init__(url, None)
        self._web, self._ping = web, ping
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.subscribed = asyncio.Event()
        self.end = ConnectionEnd()

    async def connect(self) -> None:
        try:
            self._socket = await self._web.ws_connect(
                self.url,
                protocols=self.subprotocols or (),
                heartbeat=self._ping,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportConnectionFailed("Connect failed") from error

    async def send(self, message: str) -> None:
        if self._socket is None:
            raise TransportConnectionFailed("The connection is closed")
        try:
            await self._socket.send_str(message)
        except (aiohttp.ClientError, OSError) as error:
            raise TransportConnectionFailed(f"Sending failed: {type(error).__name__}") from error
        if json.loads(message)["type"] in {"subscribe", "start"}:
            self.subscribed.set()

    async def receive(self) -> str:
        """The next text message. TransportProtocolError if it is not of the protocol."""
        if self._socket is None:
            raise TransportConnectionFailed("The connection is closed")
        message: Any = await self._socket.receive()
        while message.type in _NO_CONTENT:
            message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.CLOSE:
            self.end.code, self.end.reason = message.data, message.extra or ""
        if message.type in _CLOSED:
            raise TransportConnectionFailed("The connection was closed")
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise TransportProtocolError("Binary data received")
        self._check(message.data)
        text: str = message.data
        return text

    def _check(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TransportProtocolError(f"Server did not return a GraphQL result: {text}") from error
        self.end.refusal = _login_refusal(message)
        if self.end.refusal is not None or not _is_readable(message):
            raise TransportProtocolError(f"Server did not return a GraphQL result: {text}")

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            with suppress(aiohttp.ClientError, OSError):
                await socket.close()

    @property
    def response_headers(self) -> dict[str, str]:
        """The one header of the handshake that gql reads: the protocol that was agreed on."""
        protocol = self._socket.protocol if self._socket is not None else None
        return {"Sec-WebSocket-Protocol": protocol} if protocol else {}


def _login_refusal(message: Any) -> str | None:
    """What Directus says if it refuses the greeting, instead of closing the connection (directus.io, "Real-time")."""
    if not isinstance(message, dict) or message.get("type") != "auth" or message.get("status") != "error":
        return None
    error = message.get("error")
    return str(error.get("message") if isinstance(error, dict) else error)


def _is_readable(message: Any) -> bool:
    """Whether gql's parser can read a message: it indexes the errors of an `error` without a look at them."""
    if not isinstance(message, dict):
        return False
    payload = message.get("payload")
    if message.get("type") == "error":
        return bool(payload)
    errors = payload.get("errors") if isinstance(payload, dict) else None
    return errors is None or isinstance(errors, list)


class _Transport(WebsocketsProtocolTransportBase):
    """gql's two protocols over an adapter of ours."""

    def __init__(self, adapter: _Adapter, **options: Any) -> None:
        # The base class uses the adapter before it sets it: gql's own transports do the same.
        self.adapter = adapter
        super().__init__(adapter=adapter, **options)


class Subscription:
    """A subscription that stands: `batch` waits for events. Made by `subscribe`."""

    def __init__(self, cms: Cms, options: ConnectionOptions) -> None:
        self.cms = cms
        self._secrets = cms.account.secrets
        self._events: asyncio.Queue[SubscriptionEvent | Fault] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        account = cms.account
        self._adapter = _Adapter(cms.web, account.socket_url, ping=options.ping or None)
        self._transport = _Transport(
            self._adapter,
            subprotocols=list(_PROTOCOLS) if options.protocol == "auto" else [options.protocol],
            ping_interval=options.ping or None,
            pong_timeout=options.pong,
            # The session limits the connection itself; a fault of its proxy must be told from a silent CMS.
            connect_timeout=account.connect_timeout + account.timeout,
            ack_timeout=options.greeting,
            close_timeout=_CLOSE_TIMEOUT,
            init_payload=account.greeting,
        )

    @property
    def protocol(self) -> str:
        """The protocol that was agreed on."""
        return str(self._transport.subprotocol)

    async def open(self, document: str) -> None:
        """Connect, greet, and send the subscription."""
        try:
            await self._transport.connect()
        except (TransportError, TimeoutError) as error:
            raise self._fault(error, _OPENING) from None
        receiving = self._transport.receive_data_task
        self._reader = asyncio.create_task(self._read(document), name="subscription")
        if receiving is not None:
            receiving.add_done_callback(lambda _: self._end_soon())
        sent = asyncio.create_task(self._adapter.subscribed.wait())
        await asyncio.wait({sent, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        sent.cancel()

    async def batch(self) -> list[SubscriptionEvent]:
        """The events there are, at least one. Raises the fault that ended the subscription, once all are taken."""
        received = [await self._events.get()]
        while not self._events.empty():
            received.append(self._events.get_nowait())
        events = [event for event in received if isinstance(event, SubscriptionEvent)]
        last = received[-1]
        if isinstance(last, Fault):
            if not events:
                raise last
            self._events.put_nowait(last)
        return events

    async def close(self) -> None:
        """Close the connection; wait for the other side only for a moment."""
        tasks = [task for task in (self._reader, self._transport.receive_data_task) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_TIMEOUT)
        with suppress(TransportError, TimeoutError):
            await asyncio.wait_for(self._transport.close(), 2 * _CLOSE_TIMEOUT)

    async def _read(self, document: str) -> None:
        try:
            async for result in self._transport.subscribe(GraphQLRequest(document)):
                errors = join_messages(result.errors, self._secrets) if result.errors else None
                self._events.put_nowait(SubscriptionEvent(result.data, errors))
        except (TransportError, TimeoutError) as error:
            self._events.put_nowait(self._fault(error, _LISTENING))
        else:
            self._events.put_nowait(RetryLater("The CMS ended the subscription; vidd will subscribe again."))

    def _end_soon(self) -> None:
        """The transport receives no more. It tells the reader why; a reader that is not told is cancelled."""
        if self._reader is not None and not self._reader.done():
            asyncio.get_running_loop().call_later(3 * _CLOSE_TIMEOUT, self._reader.cancel)
            self._reader.add_done_callback(self._report_close)

    def _report_close(self, reader: asyncio.Task[None]) -> None:
        if reader.cancelled():
            end = self._adapter.end
            self._events.put_nowait(fault_of_close(end.code, end.reason, _LISTENING, secrets=self._secrets))

    def _fault(self, error: Exception, doing: str) -> Fault:
        return fault_of_subscription(error, self._adapter.end, doing, opening=doing is _OPENING, secrets=self._secrets)


@asynccontextmanager
async def subscribe(
    account: Account, tools: Tools, document: str, options: ConnectionOptions
) -> AsyncIterator[Subscription]:
    """A subscription that stands; its `cms` can be asked in the same session. All of it ends with the block."""
    async with connect(account, tools) as cms:
        await cms.log_in()
        subscription = Subscription(cms, options)
        try:
            await subscription.open(document)
            yield subscription
        finally:
            await subscription.close()

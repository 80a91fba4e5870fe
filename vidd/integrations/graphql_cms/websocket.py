"""A GraphQL subscription over a WebSocket: `graphql-transport-ws`, or the older `graphql-ws`.

gql speaks both protocols. Each subscription has a connection, a transport and a session of its own, which end together:
gql's reconnecting client can wait for ever if a connection breaks between subscribing and the acknowledgement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from gql import GraphQLRequest
from gql.transport.exceptions import TransportError
from gql.transport.websockets_protocol import WebsocketsProtocolTransportBase

from vidd.errors import Fault, RetryLater
from vidd.integrations.graphql_cms.account import Account
from vidd.integrations.graphql_cms.adapter import WebSocketAdapter
from vidd.integrations.graphql_cms.errors import fault_of_close, fault_of_subscription, join_messages
from vidd.integrations.graphql_cms.graphql import Cms, connected
from vidd.ports import Tools

Protocol = Literal["auto", "graphql-transport-ws", "graphql-ws"]
_PROTOCOLS = ("graphql-transport-ws", "graphql-ws")
_CLOSE_TIMEOUT = 2.0
"""Seconds for the other side to answer the close; one that is gone never does."""
_OPENING, _LISTENING = "opening the subscription", "listening to the subscription"


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


class _Transport(WebsocketsProtocolTransportBase):
    """gql's two protocols over an adapter of ours."""

    def __init__(self, adapter: WebSocketAdapter, **options: Any) -> None:
        # The base class uses the adapter before it sets it: gql's own transports do the same.
        self.adapter = adapter
        super().__init__(adapter=adapter, **options)


class Subscription:
    """A subscription that stands: `batch` waits for events. Made by `subscribed`."""

    def __init__(self, cms: Cms, options: ConnectionOptions) -> None:
        self.cms = cms
        self._secrets = cms.account.secrets
        self._events: asyncio.Queue[SubscriptionEvent | Fault] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        account = cms.account
        self._adapter = WebSocketAdapter(
            cms.web, account.socket_url, ping=options.ping or None, close_timeout=_CLOSE_TIMEOUT
        )
        self._transport = _Transport(
            self._adapter,
            subprotocols=list(_PROTOCOLS) if options.protocol == "auto" else [options.protocol],
            ping_interval=options.ping or None,
            pong_timeout=options.pong,
            connect_timeout=account.connect_timeout,
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
async def subscribed(
    account: Account, tools: Tools, document: str, options: ConnectionOptions
) -> AsyncIterator[Subscription]:
    """A subscription that stands; its `cms` can be asked in the same session. All of it ends with the block."""
    async with connected(account, tools) as cms:
        await cms.log_in()
        subscription = Subscription(cms, options)
        try:
            await subscription.open(document)
            yield subscription
        finally:
            await subscription.close()

"""A GraphQL subscription over a WebSocket: `graphql-transport-ws`, or the older `graphql-ws`.

gql speaks both. Each subscription is a connection, a transport and a session of its own, which are thrown away
together: gql's reconnecting client can wait for ever after it has subscribed before the acknowledgement.
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
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportError,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)
from graphql import ExecutionResult

from vidd.display_text import printable
from vidd.errors import Fault, RetryLater
from vidd.integrations.graphql_cms.account import Account
from vidd.integrations.graphql_cms.errors import (
    NotAllowed,
    fault_of_close,
    fault_of_connection,
    fault_of_errors,
    without,
    words_of,
)
from vidd.integrations.graphql_cms.graphql import Cms, connected
from vidd.ports import Tools

Protocol = Literal["auto", "graphql-transport-ws", "graphql-ws"]
_PROTOCOLS = ("graphql-transport-ws", "graphql-ws")
_FAREWELL = 2.0
"""Seconds for the other side to say goodbye; one that is gone never does."""
_OPENING, _LISTENING = "opening the subscription", "listening to the subscription"


@dataclass(frozen=True, slots=True)
class Told:
    """One event: its data (None where there is none), and words about what failed in it."""

    data: Mapping[str, Any] | None
    faults: str | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """How a subscription is kept. Times are seconds; `ping` 0 sends none."""

    protocol: Protocol = "auto"
    ping: float = 20.0
    pong: float = 10.0
    greeting: float = 15.0


@dataclass
class _Closing:
    """What the server said when it closed the connection; gql drops it."""

    code: int | None = None
    reason: str = ""

    def listener(self) -> type[aiohttp.ClientWebSocketResponse]:
        """The class of WebSockets that note it here."""
        closing = self

        class Noting(aiohttp.ClientWebSocketResponse):
            async def receive(self, timeout: float | None = None) -> Any:
                message: Any = await super().receive(timeout)
                if message.type is aiohttp.WSMsgType.CLOSE:
                    closing.code, closing.reason = message.data, message.extra or ""
                return message

        return Noting


class _Transport(AIOHTTPWebsocketsTransport):
    """gql's, which also takes messages that are JSON but none of the protocol, and says when it has subscribed."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.subscribed = asyncio.Event()

    async def _send_query(self, request: GraphQLRequest) -> int:
        number = await super()._send_query(request)
        self.subscribed.set()
        return number

    def _parse_answer(self, answer: str) -> tuple[str, int | None, ExecutionResult | None]:
        if (refusal := _refusal_of(answer)) is not None:
            raise TransportServerError(refusal)
        try:
            return super()._parse_answer(answer)
        except (AttributeError, IndexError, TypeError, RecursionError) as error:
            # Else the task that reads would fall, and whoever listens would wait for ever.
            raise TransportProtocolError(f"Server did not return a GraphQL result: {answer}") from error


def _refusal_of(answer: str) -> str | None:
    """What Directus says in place of a close code where it refuses the greeting (directus.io, "Real-time")."""
    if not answer.startswith('{"type":"auth"'):
        return None
    with suppress(ValueError, RecursionError):
        said = json.loads(answer)
        if said.get("status") == "error":
            error = said.get("error")
            return str(error.get("message") if isinstance(error, dict) else error)
    return None


class Subscription:
    """A subscription that stands: `batch` waits for events. Made by `subscribed`."""

    def __init__(self, cms: Cms, manner: Manner, closing: _Closing) -> None:
        self.cms = cms
        self._closing, self._hide = closing, cms.account.secrets
        self._heard: asyncio.Queue[Told | Fault] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        account = cms.account
        self._transport = _Transport(
            account.socket_url,
            session=cms.web,
            subprotocols=list(_PROTOCOLS) if manner.protocol == "auto" else [manner.protocol],
            heartbeat=manner.ping or None,
            ping_interval=manner.ping or None,
            pong_timeout=manner.pong,
            connect_timeout=account.connect_timeout,
            ack_timeout=manner.greeting,
            close_timeout=_FAREWELL,
            websocket_close_timeout=_FAREWELL,
            init_payload=account.greeting,
        )

    @property
    def protocol(self) -> str:
        """The one that was agreed on."""
        return str(self._transport.subprotocol)

    async def open(self, document: str) -> None:
        """Connect, greet, and send the subscription."""
        try:
            await self._transport.connect()
        except (TransportError, TimeoutError) as error:
            raise self._fault(error, _OPENING) from None
        reading = self._transport.receive_data_task
        self._reader = asyncio.create_task(self._read(document), name="subscription")
        if reading is not None:
            reading.add_done_callback(lambda _: self._end_soon())
        sent = asyncio.create_task(self._transport.subscribed.wait())
        await asyncio.wait({sent, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        sent.cancel()

    async def batch(self) -> list[Told]:
        """The events there are, at least one. Raises the fault that ended the subscription, once all are taken."""
        heard = [await self._heard.get()]
        while not self._heard.empty():
            heard.append(self._heard.get_nowait())
        told = [one for one in heard if isinstance(one, Told)]
        last = heard[-1]
        if isinstance(last, Fault):
            if not told:
                raise last
            self._heard.put_nowait(last)
        return told

    async def close(self) -> None:
        """Say goodbye, for a moment, and let go."""
        for task in (self._reader, self._transport.receive_data_task):
            if task is not None:
                task.cancel()
        tasks = [task for task in (self._reader, self._transport.receive_data_task) if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_FAREWELL)
        with suppress(TransportError, TimeoutError):
            await asyncio.wait_for(self._transport.close(), 2 * _FAREWELL)

    async def _read(self, document: str) -> None:
        try:
            async for result in self._transport.subscribe(GraphQLRequest(document)):
                self._heard.put_nowait(
                    Told(result.data, words_of(result.errors, self._hide) if result.errors else None)
                )
        except (TransportError, TimeoutError) as error:
            self._heard.put_nowait(self._fault(error, _LISTENING))
        else:
            self._heard.put_nowait(RetryLater("The CMS ended the subscription; it is asked for again."))

    def _end_soon(self) -> None:
        """Nothing is read any more. Why is told to whoever listens; a listener that is told nothing is ended too."""
        if self._reader is not None and not self._reader.done():
            asyncio.get_running_loop().call_later(3 * _FAREWELL, self._reader.cancel)
            self._reader.add_done_callback(self._ended)

    def _ended(self, reader: asyncio.Task[None]) -> None:
        if reader.cancelled():
            self._heard.put_nowait(
                fault_of_close(self._closing.code, self._closing.reason, _LISTENING, hide=self._hide)
            )

    def _fault(self, error: Exception, doing: str) -> Fault:
        hide, code = self._hide, self._closing.code
        said = printable(" ".join(without(str(error), hide).split()), 160)
        match error:
            case TransportQueryError():
                return fault_of_errors(error.errors or [str(error)], "the subscription", hide=hide)
            case TransportConnectionFailed() if code is None and isinstance(error.__cause__, Exception):
                return fault_of_connection(error.__cause__, doing)
            case TransportConnectionFailed():
                return fault_of_close(code, self._closing.reason, doing, hide=hide)
            case TransportServerError() if doing is _OPENING:
                return NotAllowed(
                    f"The CMS turned the greeting of the subscription down ({said}): correct its account."
                )
            case TransportServerError():
                sentence = "The CMS has fallen silent: it answers no ping. The connection is made again."
            case TimeoutError():
                sentence = f"The CMS did not acknowledge the greeting at {doing} in time; it is tried again."
            case _:
                sentence = f"The CMS said something that is not of the protocol at {doing} ({said}); it is tried again."
        return RetryLater(sentence)


@asynccontextmanager
async def subscribed(account: Account, tools: Tools, document: str, manner: Manner) -> AsyncIterator[Subscription]:
    """A subscription that stands; its `cms` can be asked in the same session. All of it ends with the block."""
    closing = _Closing()
    async with connected(account, tools, ws_response_class=closing.listener()) as cms:
        await cms.log_in()
        line = Subscription(cms, manner, closing)
        try:
            await line.open(document)
            yield line
        finally:
            await line.close()

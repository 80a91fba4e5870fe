"""The WebSocket below gql's subscription transport: what the other side closes with, and which messages gql may see.

gql's transport takes any implementation of its public `AdapterConnection`. This one keeps the close code and reason,
which gql's own drops, and rejects messages that gql's parser does not expect and that would end its reading task.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import aiohttp
from gql.transport.common.adapters import AdapterConnection
from gql.transport.exceptions import TransportConnectionFailed, TransportProtocolError

from vidd.integrations.graphql_cms.errors import ConnectionEnd

_CLOSED = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR}
_NO_CONTENT = {aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG}


class WebSocketAdapter(AdapterConnection):
    """A WebSocket in a session of aiohttp. `ping` and `close_timeout` are seconds; `ping` None sends no pings.

    `end` says how the connection ended. `subscribed` is set once the subscription was sent.
    """

    def __init__(self, web: aiohttp.ClientSession, url: str, *, ping: float | None, close_timeout: float) -> None:
        super().__init__(url, None)
        self._web, self._ping, self._close_timeout = web, ping, close_timeout
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.subscribed = asyncio.Event()
        self.end = ConnectionEnd()

    async def connect(self) -> None:
        try:
            self._socket = await self._web.ws_connect(
                self.url,
                protocols=self.subprotocols or (),
                heartbeat=self._ping,
                timeout=aiohttp.ClientWSTimeout(ws_close=self._close_timeout),
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

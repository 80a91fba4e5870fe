"""A WebSocket on loopback that says what a test has written for it, and a list of objects beside it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

Script = Callable[["Line"], Awaitable[Any]]


class Line:
    """One connection, seen from the server. `heard` are the messages that came, as JSON."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[Any] = []

    async def say(self, message: Any) -> None:
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def hear(self) -> Any:
        message = await self.socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError
        self.heard.append(json.loads(message.data))
        return self.heard[-1]

    async def greet(self) -> Any:
        """Take the greeting, acknowledge it, and return the subscription."""
        assert (await self.hear())["type"] == "connection_init"
        await self.say({"type": "connection_ack"})
        return await self.hear()

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code=code, message=reason.encode())

    async def deaf(self) -> None:
        """Answer nothing any more, no ping either."""
        while True:
            if (await self.socket.receive()).type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING}:
                return


class Bare:
    """The server. Each connection plays the next script, the last one again and again."""

    def __init__(self, *scripts: Script, protocol: str | None = "graphql-transport-ws", status: int = 0) -> None:
        self.scripts, self.protocol, self.status = list(scripts), protocol, status
        self.lines: list[Line] = []
        self.listed: list[Any] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.json_response({"data": {"videoObjects": self.listed}})
        if self.status:
            return web.Response(status=self.status)
        socket = web.WebSocketResponse(
            protocols=[self.protocol] if self.protocol else [], autoping=False, autoclose=True, timeout=0.1
        )
        await socket.prepare(request)
        line = Line(socket)
        self.lines.append(line)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        try:
            await script(line)
        except ConnectionError:
            pass
        finally:
            await socket.close()
        return socket


@asynccontextmanager
async def bare(*scripts: Script, certificate: ssl.SSLContext | None = None, **named: Any):
    """It serves until the end of the block."""
    server = Bare(*scripts, **named)
    app = web.Application()
    app.router.add_route("*", "/graphql", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate).start()
        port = runner.addresses[0][1]
        server.url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}/graphql"
        yield server
    finally:
        for _ in range(3):
            await asyncio.sleep(0)
        await runner.cleanup()

"""A web service on loopback over TLS, in a thread of its own, which misbehaves as a test says.

What a handler did stays done when its answer is dropped, held back or replaced by an error: that is how real
services lose replies. `calls` keeps every request with the status that was meant for it; `hung` is set once an answer
is held back.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from peers.certificates import Certificate

Action = Literal["drop", "hang", "status"]


@dataclass
class Misstep:
    """What goes wrong with the coming requests of this method whose path (with query) the pattern is found in.

    `after` says that the handler does its work first. `skip` requests pass before, `times` are hit.
    """

    method: str
    path: str
    action: Action = "drop"
    status: int = 503
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    skip: int = 0
    times: int = 1

    def hits(self, request: web.Request) -> bool:
        """Whether this request is one of them; counts it."""
        if self.method != request.method or not re.search(self.path, request.path_qs) or self.times <= 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Call:
    """One request as it came; `status` is None where the handler never ran, `line` tells connections apart."""

    method: str
    path: str
    headers: dict[str, str]
    status: int | None
    line: int = 0


class Service:
    """Subclasses add their routes in `add_routes` and keep their state in attributes, under `lock` where it matters."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.missteps: list[Misstep] = []
        self.lock = threading.RLock()
        self.hung = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._lines: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._leave: asyncio.Event

    def add_routes(self, app: web.Application) -> None:
        raise NotImplementedError

    def misstep(self, method: str, path: str, action: Action = "drop", **how: Any) -> Misstep:
        """Have something go wrong."""
        made = Misstep(method, path, action, **how)
        self.missteps.append(made)
        return made

    def called(self, method: str, path: str) -> list[Call]:
        """The calls of a method whose path the pattern is found in."""
        return [one for one in self.calls if one.method == method and re.search(path, one.path)]

    @contextmanager
    def serving(self, certificate: Certificate | None) -> Iterator[None]:
        """Serve on a free port until the end of the block; without a certificate in plain HTTP."""
        up = threading.Event()
        thread = threading.Thread(target=self._serve, args=(certificate, up), name=type(self).__name__)
        thread.start()
        try:
            if not up.wait(60):
                raise TimeoutError("the service did not come up")
            yield
        finally:
            self._loop.call_soon_threadsafe(self._leave.set)
            thread.join(60)

    def _serve(self, certificate: Certificate | None, up: threading.Event) -> None:
        try:
            self._loop.run_until_complete(self._until_left(certificate, up))
        finally:
            self._loop.close()

    async def _until_left(self, certificate: Certificate | None, up: threading.Event) -> None:
        self._leave = asyncio.Event()
        app = web.Application(middlewares=[self._misbehave], client_max_size=2**40)
        self.add_routes(app)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        try:
            await web.SockSite(runner, listener, ssl_context=certificate.server() if certificate else None).start()
            self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
            up.set()
            await self._leave.wait()
        finally:
            # asyncio forgets the socket of a connection that it accepted before its server closed and takes up after.
            self._loop.remove_reader(listener)
            for _ in range(10):
                await asyncio.sleep(0)
            await runner.cleanup()
            # A TLS connection left to close politely would outlive the loop, waiting for its client's farewell.
            for line in list(self._lines):
                line.abort()
            for _ in range(10):
                await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.transport is not None:
            self._lines.add(request.transport)
        found = next((one for one in list(self.missteps) if one.hits(request)), None)
        answer: web.StreamResponse | None = None
        try:
            if found is None or found.after:
                answer = await self._answer(request, handler)
        finally:
            status = answer.status if answer is not None else None
            line = request.transport.get_extra_info("peername")[1] if request.transport else 0
            self.calls.append(Call(request.method, request.path_qs, dict(request.headers), status, line))
        if found is None:
            assert answer is not None
            return answer
        if found.action == "status":
            body = found.body if found.body is not None else {"error": {"code": found.status, "message": "as asked"}}
            return web.json_response(body, status=found.status, headers=found.headers)
        if found.action == "hang":
            self.hung.set()
            await self._leave.wait()
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            made: web.StreamResponse = await handler(request)
        except web.HTTPException as answer:
            return answer
        return made

"""A proxy before a real server, which does to chosen requests what networks and servers do on bad days."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from threading import Thread

from aiohttp import ClientSession, ClientTimeout, web
from yarl import URL

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class Trouble:
    """What happens to the next `times` requests that `matches` (method, raw path with query) says yes to.

    `how`: "drop reply" (forward, then break the connection), "refuse" (break it before), "cut" (send the given share
    of the answer's body, then break it), "late error" (forward, then answer 500), "lost" (forward, then answer nothing),
    "hang" and "hold" (forward only once `released` is set), or a status (answered without forwarding).
    """

    matches: Callable[[str, str], bool]
    how: str | int
    times: int = 1
    share: float = 0.4
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Proxy:
    """`seen` are the requests as "METHOD path?query", `sent` the bytes of the answers; `url` is where it listens.

    `hanging` is set once `many` requests are held.
    """

    upstream: str
    client: ClientSession
    url: str = ""
    troubles: list[Trouble] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    sent: int = 0
    held: int = 0
    many: int = 1
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def next_time(self, matches, how, **more) -> Trouble:
        trouble = Trouble(matches, how, **more)
        self.troubles.append(trouble)
        return trouble

    def of(self, method: str, part: str = "") -> list[str]:
        return [one for one in self.seen if one.startswith(f"{method} ") and part in one]

    def take(self, method: str, path: str) -> Trouble | None:
        for trouble in self.troubles:
            if trouble.times > 0 and trouble.matches(method, path):
                trouble.times -= 1
                return trouble
        return None

    async def hold(self) -> None:
        self.held += 1
        if self.held >= self.many:
            self.hanging.set()
        await self.released.wait()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path
        self.seen.append(f"{request.method} {path}")
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # The interim answer is none of the answer's own bytes.
            request.writer.output_size = 0
        trouble = self.take(request.method, path)
        if trouble is None:
            return await self.forward(request, path)
        if isinstance(trouble.how, int):
            await request.content.read()
            return web.Response(status=trouble.how, headers=trouble.headers)
        match trouble.how:
            case "hang" | "hold":
                await self.hold()
                return await self.forward(request, path)
            case "late error":
                await self.forward(request, path, share=0.0, head=False)
                return web.Response(status=500)
            case "lost":
                await self.forward(request, path, share=0.0, head=False)
                await self.hold()
            case "drop reply":
                await self.forward(request, path, share=0.0, head=False)
            case "cut":
                return await self.forward(request, path, share=trouble.share)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def forward(self, request, path, *, share=1.0, head=True) -> web.StreamResponse | None:
        body = await request.content.read()
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in {"expect", "transfer-encoding"}]
        async with self.client.request(
            request.method,
            URL(self.upstream + path, encoded=True),
            data=io.BytesIO(body) if body else None,
            headers=headers,
            allow_redirects=False,
        ) as got:
            data = await got.read()
        if not head:
            return None
        answer = web.StreamResponse(status=got.status, reason=got.reason)
        for name, value in got.headers.items():
            if name.lower() not in _HOP:
                answer.headers.add(name, value)
        answer.content_length = int(got.headers.get("Content-Length", len(data)))
        await answer.prepare(request)
        if request.method != "HEAD":
            await answer.write(data[: int(len(data) * share)])
            self.sent += int(len(data) * share)
        if share < 1.0:
            if request.transport is not None:
                request.transport.close()
        else:
            await answer.write_eof()
        return answer


@contextmanager
def faulty_proxy_beside(upstream: str):
    """The same in a thread of its own, for tests that wait for a daemon's process."""
    loop, ready, over = asyncio.new_event_loop(), Future(), asyncio.Event()

    async def serve():
        async with faulty_proxy(upstream) as proxy:
            ready.set_result(proxy)
            await over.wait()
            proxy.released.set()

    thread = Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield ready.result(10)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
        loop.close()


@asynccontextmanager
async def faulty_proxy(upstream: str):
    async with ClientSession(auto_decompress=False, timeout=ClientTimeout(total=60)) as client:
        proxy = Proxy(upstream, client)
        runner = web.ServerRunner(web.Server(proxy.answer), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            await runner.cleanup()

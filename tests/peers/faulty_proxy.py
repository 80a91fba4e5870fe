"""A proxy before a real server, which does to chosen requests what networks and servers do on bad days."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, web
from yarl import URL

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class Trouble:
    """What happens to the next `times` requests that `matches` (method, raw path with query) says yes to.

    `how`: "drop reply" (forward, then break the connection), "refuse" (break it before), "cut" (send the given share
    of the answer's body, then break it), "hang", or a status (answered without forwarding).
    """

    matches: Callable[[str, str], bool]
    how: str | int
    times: int = 1
    share: float = 0.4
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Proxy:
    """`seen` are the requests as "METHOD path?query"; `url` is where it listens."""

    url: str = ""
    troubles: list[Trouble] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

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


@asynccontextmanager
async def faulty_proxy(upstream: str):
    proxy = Proxy()
    async with ClientSession(auto_decompress=False, timeout=ClientTimeout(total=60)) as web_client:

        async def answer(request: web.Request) -> web.StreamResponse:
            path = request.raw_path
            proxy.seen.append(f"{request.method} {path}")
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                # The interim answer is none of the answer's own bytes.
                request.writer.output_size = 0
            trouble = proxy.take(request.method, path)
            if trouble is None or trouble.how in {"drop reply", "cut"}:
                return await forward(request, path, trouble)
            if isinstance(trouble.how, int):
                await request.content.read()
                return web.Response(status=trouble.how, headers=trouble.headers)
            if trouble.how == "hang":
                proxy.hanging.set()
                await asyncio.Event().wait()
            return gone(request)

        async def forward(request, path, trouble) -> web.StreamResponse:
            body = await request.content.read()
            headers = [(k, v) for k, v in request.headers.items() if k.lower() not in {"expect", "transfer-encoding"}]
            async with web_client.request(
                request.method,
                URL(upstream + path, encoded=True),
                data=io.BytesIO(body) if body else None,
                headers=headers,
                allow_redirects=False,
            ) as got:
                data = await got.read()
                if trouble is not None and trouble.how == "drop reply":
                    return gone(request)
                answer = web.StreamResponse(status=got.status, reason=got.reason)
                for name, value in got.headers.items():
                    if name.lower() not in _HOP:
                        answer.headers.add(name, value)
                answer.content_length = int(got.headers.get("Content-Length", len(data)))
                await answer.prepare(request)
                if trouble is not None:
                    await answer.write(data[: int(len(data) * trouble.share)])
                    return gone(request, answer)
                if request.method != "HEAD":
                    await answer.write(data)
                await answer.write_eof()
                return answer

        def gone(request, answer=None) -> web.StreamResponse:
            if request.transport is not None:
                request.transport.close() if answer is not None else request.transport.abort()
            return answer or web.Response()

        server = web.Server(answer)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            await runner.cleanup()

"""A web server with one file, which behaves as a test says: ranges or none, early ends, redirects, errors."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class WebFile:
    """`cuts` are the shares of the coming answers' bodies after which the connection ends; `statuses` come
    first; `most` bytes at a time are given of a range."""

    data: bytes
    url: str = ""
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    length: bool = True
    most: int | None = None
    cuts: list[float] = field(default_factory=list)
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(dict(request.headers))
        if self.statuses:
            status, headers = self.statuses.pop(0)
            return web.Response(status=status, headers=headers)
        start, status = 0, 200
        asked = request.headers.get("Range")
        current = request.headers.get("If-Range") in {None, self.etag, self.modified}
        if self.ranges and asked and current:
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
        answer = web.StreamResponse(status=status)
        if self.etag:
            answer.headers["ETag"] = self.etag
        if self.modified:
            answer.headers["Last-Modified"] = self.modified
        body = self.data[start:][: self.most if status == 206 else None]
        if status == 206:
            answer.headers["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{len(self.data)}"
        if self.length:
            answer.content_length = len(body)
        else:
            answer.enable_chunked_encoding()
        await answer.prepare(request)
        if self.cuts:
            await answer.write(body[: int(len(body) * self.cuts.pop(0))])
            if request.transport is not None:
                request.transport.close()
            return answer
        await answer.write(body)
        await answer.write_eof()
        return answer


@asynccontextmanager
async def web_file(data: bytes, **how):
    file = WebFile(data, **how)
    runner = web.ServerRunner(web.Server(file.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        file.url = f"http://127.0.0.1:{runner.addresses[0][1]}/files/talk.mp4"
        yield file
    finally:
        await runner.cleanup()

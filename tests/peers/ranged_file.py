"""A web server with one file that is read in parts. It counts what it sends, is strict about what it is asked, and lies
where a test says so: `tamper` is given the number of the request (from 1) and the answer before it goes out."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

_BLOCK = 2**14


@dataclass
class Answer:
    """What goes out; after `share` of the body the connection ends. Without `length` the body comes chunked."""

    status: int
    headers: dict[str, str]
    body: bytes
    share: float = 1.0
    length: bool = True


@dataclass
class RangedFile:
    """`sent` are the bytes of all bodies, `asked` the ranges asked for, in order."""

    data: bytes
    url: str = ""
    etag: str | None = '"one"'
    modified: str | None = "Tue, 03 Nov 2026 09:00:00 GMT"
    tamper: Callable[[int, Answer], None] = lambda _number, _answer: None
    sent: int = 0
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/files/talk.mp4"})
        made = self._made(request)
        self.tamper(len(self.asked), made)
        answer = web.StreamResponse(status=made.status, headers=made.headers)
        if made.length:
            answer.content_length = int(made.headers.get("Content-Length", len(made.body)))
        else:
            answer.enable_chunked_encoding()
        await answer.prepare(request)
        body = made.body[: int(len(made.body) * made.share)]
        try:
            for at in range(0, len(body), _BLOCK):
                await answer.write(body[at : at + _BLOCK])
                self.sent += len(body[at : at + _BLOCK])
        except ConnectionError:
            return answer
        if made.share < 1.0 or not made.length or len(body) != answer.content_length:
            if made.share == 1.0 and not made.length:
                await answer.write_eof()
            elif request.transport is not None:
                request.transport.close()
            return answer
        await answer.write_eof()
        return answer

    def _made(self, request: web.BaseRequest) -> Answer:
        asked = request.headers.get("Range", "")
        self.asked.append(asked)
        headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes"}
        headers |= {"ETag": self.etag} if self.etag else {}
        headers |= {"Last-Modified": self.modified} if self.modified else {}
        if request.headers.get("Accept-Encoding", "identity") != "identity":
            return Answer(500, headers, b"somebody asked for a compressed video")
        current = {self.etag, self.modified} - {None}
        if_range = request.headers.get("If-Range")
        if if_range is not None and if_range.startswith("W/"):
            return Answer(400, headers, b"a weak tag in If-Range")
        if not asked or (if_range is not None and if_range not in current):
            return Answer(200, headers, self.data)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        if match is None:
            return Answer(400, headers, b"what range?")
        start, size = int(match[1]), len(self.data)
        end = min(size, int(match[2]) + 1) if match[2] else size
        if start >= size or start >= end:
            return Answer(416, headers | {"Content-Range": f"bytes */{size}"}, b"")
        return Answer(206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{size}"}, self.data[start:end])


@asynccontextmanager
async def ranged_file(data: bytes, **how):
    file = RangedFile(data, **how)
    runner = web.ServerRunner(web.Server(file.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        file.url = f"http://127.0.0.1:{runner.addresses[0][1]}/files/talk.mp4"
        yield file
    finally:
        await runner.cleanup()

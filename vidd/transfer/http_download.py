"""Downloads a URL as one stream; a download that was cut off resumes where it ended (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.aio.retry import retry
from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import check_free_space
from vidd.transfer.http import fault_of_status, map_errors, public_url, retry_after, session

if TYPE_CHECKING:
    import aiohttp

    from vidd.ports import Clock
    from vidd.transfer.partial_download import PartialDownload
    from vidd.transfer.progress_meter import ProgressMeter

_BLOCK = 2**20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


async def fetch_url(
    url: str, download: PartialDownload, meter: ProgressMeter, clock: Clock, *, etag: str | None = None
) -> int | None:
    """Fetch `url` into `download`; returns the size in bytes that the server promised, if it did.

    Refused if it is gone, or if `etag` shows that it is no longer what arrived.
    """
    stream = _Stream(url, download, meter, clock, etag)
    stream.resume()
    async with session(auto_decompress=False) as web:
        await retry(lambda: stream.fetch_rest(web), sleep=clock.sleep, reached=lambda: stream.position)
    return stream.size


@dataclass
class _Stream:
    """A download under way: `position` is how many bytes are written, `validator` what If-Range sends."""

    url: str
    download: PartialDownload
    meter: ProgressMeter
    clock: Clock
    etag: str | None
    validator: str | None = None
    size: int | None = None
    position: int = 0

    def resume(self) -> None:
        """Start where an earlier attempt's notes end; the server is asked whether they still hold."""
        pin, done = self.download.load_state()
        if pin.get("url") != self.url or not pin.get("validator"):
            return
        finished = next(index for index in range(len(done) + 1) if index not in done)
        self.download.open({"url": self.url, "validator": pin["validator"]})
        self.validator = pin["validator"]
        self.position = finished * self.download.chunk if self.download.done else 0
        self.meter.done = self.position

    async def fetch_rest(self, web: aiohttp.ClientSession) -> None:
        """Make one request for all that is missing."""
        doing = f"fetching {public_url(self.url)}"
        headers = {"Accept-Encoding": "identity"}
        if self.position and self.validator:
            headers |= {"Range": f"bytes={self.position}-", "If-Range": self.validator}
        with map_errors(doing):
            async with web.get(self.url, headers=headers, max_redirects=10) as answer:
                self._check_answer(answer, doing)
                if self.size is not None:
                    self.meter.total = self.size
                    check_free_space(self.download.directory, self.download.reserve, self.size - self.position)
                await self._write_body(answer)
        if self.size is not None and self.position < self.size:
            raise RetryLater(f"The connection was lost at {doing}; vidd will retry.", code=FaultCode.UNREACHABLE)

    def _check_answer(self, answer: aiohttp.ClientResponse, doing: str) -> None:
        """Find where the answer's bytes belong; an answer with all bytes, or of another state, restarts the download."""
        etag = answer.headers.get("ETag", "")
        if self.etag and etag and etag.strip('"') != self.etag.strip('"'):
            raise Refused(
                f"The file at {public_url(self.url)} was replaced since it arrived: submit its new state.",
                code=FaultCode.CONFLICT,
            )
        if answer.status == 206 and self.position:
            match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            same = not etag or not self.validator or not self.validator.startswith('"') or etag == self.validator
            if match and int(match[1]) == self.position and same:
                self.size = self.size if match[2] == "*" else int(match[2])
                return
        if answer.status in {206, 416}:
            self._restart(None)
            raise RetryLater(f"The server sent other parts than vidd asked for at {doing}; vidd will retry.")
        if answer.status != 200:
            after = retry_after(answer.headers.get("Retry-After"), self.clock.now())
            raise fault_of_status(answer.status, doing, after=after)
        strong = etag if etag.startswith('"') else None
        self._restart(strong or answer.headers.get("Last-Modified"))
        self.size = answer.content_length
        if self.size == 0:
            raise Refused(f"The file at {public_url(self.url)} is empty: put it there again and retry.")

    def _restart(self, validator: str | None) -> None:
        self.meter.back(self.position)
        self.position, self.validator = 0, validator
        self.download.open({"url": self.url, "validator": validator}, restart=True)

    async def _write_body(self, answer: aiohttp.ClientResponse) -> None:
        block = bytearray()
        try:
            async for data in answer.content.iter_any():
                block += data
                if len(block) >= _BLOCK:
                    block = await self._write(block)
        finally:
            # When the connection breaks, the bytes that came need not be fetched again.
            await self._write(block)

    async def _write(self, block: bytearray) -> bytearray:
        if block:
            await self.download.write(self.position, block)
            before = self.position // self.download.chunk
            self.position += len(block)
            self.meter.add(len(block))
            for index in range(before, self.position // self.download.chunk):
                await self.download.finish_chunk(index)
        return bytearray()

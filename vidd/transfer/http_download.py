"""Download from an address, as one stream; what was cut short goes on from where it ended (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.aio.retry import retry
from vidd.errors import Refused, RetryLater
from vidd.files.disk_space import check_free_space
from vidd.transfer.http import asking, fault_of_status, retry_after, session, shown

if TYPE_CHECKING:
    import aiohttp

    from vidd.ports import Clock
    from vidd.transfer.partial_download import PartialDownload
    from vidd.transfer.progress_meter import ProgressMeter

_PIECE = 2**20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


async def download(
    url: str, landing: PartialDownload, meter: ProgressMeter, clock: Clock, *, etag: str | None = None
) -> int | None:
    """Fetch `url` into `landing`; the answer is the size the server promised, where it did.

    Refused where it is gone, or where `etag` says that it is no longer what arrived.
    """
    stream = _Stream(url, landing, meter, clock, etag)
    stream.take_up()
    async with session() as web:
        await retry(lambda: stream.go_on(web), sleep=clock.sleep, reached=lambda: stream.at)
    return stream.size


@dataclass
class _Stream:
    """A download under way: `at` is how many bytes are written, `validator` what If-Range asks for."""

    url: str
    landing: PartialDownload
    meter: ProgressMeter
    clock: Clock
    etag: str | None
    validator: str | None = None
    size: int | None = None
    at: int = 0

    def take_up(self) -> None:
        """Begin where an earlier attempt's notes end; the server is asked whether they still hold."""
        pin, done = self.landing.noted()
        if pin.get("url") != self.url or not pin.get("validator"):
            return
        whole = next(number for number in range(len(done) + 1) if number not in done)
        self.landing.open({"url": self.url, "validator": pin["validator"]})
        self.validator, self.at = pin["validator"], whole * self.landing.chunk if self.landing.done else 0
        self.meter.done = self.at

    async def go_on(self, web: aiohttp.ClientSession) -> None:
        """One request for what is missing."""
        doing = f"fetching {shown(self.url)}"
        headers = {"Accept-Encoding": "identity"}
        if self.at and self.validator:
            headers |= {"Range": f"bytes={self.at}-", "If-Range": self.validator}
        with asking(doing):
            async with web.get(self.url, headers=headers, max_redirects=10) as answer:
                self._place(answer, doing)
                if self.size is not None:
                    self.meter.total = self.size
                    check_free_space(self.landing.directory, self.landing.reserve, self.size - self.at)
                await self._take(answer)
        if self.size is not None and self.at < self.size:
            raise RetryLater(f"The connection was lost at {doing}; it is tried again.")

    def _place(self, answer: aiohttp.ClientResponse, doing: str) -> None:
        """Find where the coming bytes belong; a whole answer, or one of something else, begins anew."""
        etag = answer.headers.get("ETag", "")
        if self.etag and etag and etag.strip('"') != self.etag.strip('"'):
            raise Refused(f"What {shown(self.url)} holds was replaced since it arrived: submit its new state.")
        if answer.status == 206 and self.at:
            match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            same = not etag or not self.validator or not self.validator.startswith('"') or etag == self.validator
            if match and int(match[1]) == self.at and same:
                self.size = self.size if match[2] == "*" else int(match[2])
                return
        if answer.status in {206, 416}:
            self._begin(None)
            raise RetryLater(f"The server gave other parts than it was asked for at {doing}; it is tried again.")
        if answer.status != 200:
            after = retry_after(answer.headers.get("Retry-After"), self.clock.now())
            raise fault_of_status(answer.status, doing, after=after)
        strong = etag if etag.startswith('"') else None
        self._begin(strong or answer.headers.get("Last-Modified"))
        self.size = answer.content_length
        if self.size == 0:
            raise Refused(f"The file at {shown(self.url)} is empty: put it there again and retry.")

    def _begin(self, validator: str | None) -> None:
        self.meter.back(self.at)
        self.at, self.validator = 0, validator
        self.landing.open({"url": self.url, "validator": validator}, anew=True)

    async def _take(self, answer: aiohttp.ClientResponse) -> None:
        held = bytearray()
        try:
            async for piece in answer.content.iter_any():
                held += piece
                if len(held) >= _PIECE:
                    held = await self._put(held)
        finally:
            # What came before the connection broke was paid for; it is kept.
            await self._put(held)

    async def _put(self, held: bytearray) -> bytearray:
        if held:
            await self.landing.write(self.at, held)
            before = self.at // self.landing.chunk
            self.at += len(held)
            self.meter.add(len(held))
            for index in range(before, self.at // self.landing.chunk):
                await self.landing.finished(index)
        return bytearray()

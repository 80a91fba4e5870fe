"""Parts of what an address holds (RFC 9110, 13.1.5 If-Range and 14 Range requests)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.aio.retry import retry
from vidd.errors import Refused
from vidd.model.byte_ranges import NotInParts
from vidd.transfer.http import asking, fault_of_status, retry_after, shown
from vidd.transfer.remote_ranges import Blocks, Replaced, placed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from vidd.ports import Clock
    from vidd.transfer.remote_ranges import Put

_FIRST = 2**16


class WebRanges:
    """A file at an http(s) address. `etag` is the one the arrival had, where it had one."""

    def __init__(self, web: aiohttp.ClientSession, url: str, clock: Clock, *, etag: str | None = None) -> None:
        """Nothing is asked before `begin` or `go_on`."""
        self._web, self._url, self._clock, self._etag = web, url, clock, etag
        self.name = shown(url)
        self.size, self.requests, self._validator = 0, 0, ""

    @property
    def pin(self) -> Mapping[str, Any]:
        """What must not change."""
        return {"url": self._url, "validator": self._validator, "size": self.size}

    def go_on(self, pin: Mapping[str, Any]) -> bool:
        """Whether this is the state an earlier attempt read; the next answer tells whether it still is."""
        if pin.get("url") != self._url or (self._etag and pin["validator"].strip('"') != self._etag.strip('"')):
            return False
        self._validator, self.size = pin["validator"], pin["size"]
        return True

    async def begin(self) -> bytes:
        """Find out the size and the state; the answer is the file's first bytes, which came with it."""
        head = bytearray()

        async def put(data: bytearray) -> None:
            head.extend(data)

        async def ask() -> None:
            head.clear()
            await self.get(0, _FIRST, put)

        await retry(ask, sleep=self._clock.sleep)
        return bytes(head)

    async def get(self, start: int, end: int, put: Put) -> None:
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
        if self._validator:
            headers["If-Range"] = self._validator
        self.requests += 1
        with asking(f"fetching {self.name}"):
            async with self._web.get(self._url, headers=headers, max_redirects=10) as answer:
                blocks = Blocks(put, self._expected(answer, start, end))
                try:
                    async for piece in answer.content.iter_any():
                        await blocks.add(piece)
                finally:
                    await blocks.flush()
                blocks.ended()

    def _expected(self, answer: aiohttp.ClientResponse, start: int, end: int) -> int:
        """How many bytes will come, all of them where they were asked for and of the state that is read."""
        etag = answer.headers.get("ETag", "")
        if self._etag and etag and etag.strip('"') != self._etag.strip('"'):
            raise Refused(f"What {self.name} holds was replaced since it arrived: submit its new state.")
        if answer.status == 412 or (answer.status in {200, 206} and self._changed(answer)):
            raise Replaced
        if answer.status in {200, 416}:
            raise NotInParts("The server does not give parts of it.")
        if answer.status != 206:
            after = retry_after(answer.headers.get("Retry-After"), self._clock.now())
            raise fault_of_status(answer.status, f"fetching {self.name}", after=after)
        place = placed(answer.headers.get("Content-Range"))
        coded = answer.headers.get("Content-Encoding", "identity") != "identity"
        if place is None or coded or place[0] != start or not start < place[1] <= min(end, place[2]):
            raise NotInParts("The server gave other parts than it was asked for.")
        if answer.content_length not in {None, place[1] - start}:
            raise NotInParts("The server contradicts itself about the size of its answer.")
        if not self._validator:
            self._validator, self.size = _validator(answer), place[2]
        if place[2] != self.size or self._of(answer) != self._validator:
            raise NotInParts("The server contradicts itself about the size or the state of the file.")
        return place[1] - start

    def _changed(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether it says itself that its state is another."""
        return bool(self._validator and self._of(answer) and self._of(answer) != self._validator)

    def _of(self, answer: aiohttp.ClientResponse) -> str:
        return answer.headers.get("ETag" if self._validator.startswith('"') else "Last-Modified", "")


def _validator(answer: aiohttp.ClientResponse) -> str:
    """What a change would show in. A weak ETag does not promise the same bytes (RFC 9110, 8.8.1)."""
    etag = answer.headers.get("ETag", "")
    found = etag if etag.startswith('"') else answer.headers.get("Last-Modified")
    if not found:
        raise NotInParts("The server names neither an ETag nor a date by which a change could be noticed.")
    return found

"""Byte ranges of a URL (RFC 9110, 13.1.5 If-Range and 14 Range requests)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.aio.retry import retry
from vidd.errors import FaultCode, Refused
from vidd.model.byte_ranges import NotInParts
from vidd.transfer.http import fault_of_status, map_errors, public_url, retry_after
from vidd.transfer.remote_file import BlockWriter, RemoteFileChanged, parse_content_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from vidd.ports import Clock
    from vidd.transfer.remote_file import Write

_HEAD = 2**16


class HttpFile:
    """One state of a file at an http(s) URL. `etag` is the arrival's, if it had one."""

    def __init__(self, web: aiohttp.ClientSession, url: str, clock: Clock, *, etag: str | None = None) -> None:
        """Nothing is requested before `pin_state` or `resume`."""
        self._web, self._url, self._clock, self._etag = web, url, clock, etag
        self.name = public_url(url)
        self.size, self.requests, self._validator = 0, 0, ""

    @property
    def pin(self) -> Mapping[str, Any]:
        """What must not change between two attempts."""
        return {"url": self._url, "validator": self._validator, "size": self.size}

    def resume(self, pin: Mapping[str, Any]) -> bool:
        """Take up the state an earlier attempt read; False if that was another. The next answer tells if it still holds."""
        if pin.get("url") != self._url or (self._etag and pin["validator"].strip('"') != self._etag.strip('"')):
            return False
        self._validator, self.size = pin["validator"], pin["size"]
        return True

    async def pin_state(self) -> bytes:
        """Learn the size and the state; returns the file's first bytes, which come with them."""
        head = bytearray()

        async def write(block: bytearray) -> None:
            head.extend(block)

        async def fetch() -> None:
            head.clear()
            await self.get(0, _HEAD, write)

        await retry(fetch, sleep=self._clock.sleep)
        return bytes(head)

    async def get(self, start: int, end: int, write: Write) -> None:
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
        if self._validator:
            headers["If-Range"] = self._validator
        self.requests += 1
        with map_errors(f"fetching {self.name}"):
            async with self._web.get(self._url, headers=headers, max_redirects=10) as answer:
                writer = BlockWriter(write, self._expected_size(answer, start, end))
                try:
                    async for data in answer.content.iter_any():
                        await writer.add(data)
                finally:
                    await writer.flush()
                writer.finish()

    def _expected_size(self, answer: aiohttp.ClientResponse, start: int, end: int) -> int:
        """How many bytes will come. Raises unless they are the ones asked for, and of the state that is read."""
        etag = answer.headers.get("ETag", "")
        if self._etag and etag and etag.strip('"') != self._etag.strip('"'):
            raise Refused(
                f"The file at {self.name} was replaced since it arrived: submit its new state.", code=FaultCode.CONFLICT
            )
        if answer.status == 412 or (answer.status in {200, 206} and self._is_other_state(answer)):
            raise RemoteFileChanged
        if answer.status in {200, 416}:
            raise NotInParts("The server does not give parts of it.")
        if answer.status != 206:
            after = retry_after(answer.headers.get("Retry-After"), self._clock.now())
            raise fault_of_status(answer.status, f"fetching {self.name}", after=after)
        content_range = parse_content_range(answer.headers.get("Content-Range"))
        encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
        if content_range is None or encoded:
            raise NotInParts("The server gave other parts than it was asked for.")
        first, last, size = content_range
        if first != start or not start < last <= min(end, size):
            raise NotInParts("The server gave other parts than it was asked for.")
        if answer.content_length not in {None, last - start}:
            raise NotInParts("The server contradicts itself about the size of its answer.")
        if not self._validator:
            self._validator, self.size = _validator(answer), size
        if size != self.size or self._state_of(answer) != self._validator:
            raise NotInParts("The server contradicts itself about the size or the state of the file.")
        return last - start

    def _is_other_state(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether the answer names another state than the one that is read."""
        state = self._state_of(answer)
        return bool(self._validator and state and state != self._validator)

    def _state_of(self, answer: aiohttp.ClientResponse) -> str:
        return answer.headers.get("ETag" if self._validator.startswith('"') else "Last-Modified", "")


def _validator(answer: aiohttp.ClientResponse) -> str:
    """The header in which a change would show. A weak ETag does not promise the same bytes (RFC 9110, 8.8.1)."""
    etag = answer.headers.get("ETag", "")
    found = etag if etag.startswith('"') else answer.headers.get("Last-Modified")
    if not found:
        raise NotInParts("The server names neither an ETag nor a date by which a change could be noticed.")
    return found

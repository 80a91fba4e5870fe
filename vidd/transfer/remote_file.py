"""Reads byte ranges of a remote file into a sparse download: what a remote file must offer, and the reading.

Every answer is compared with the state that the first one had; what cannot be proved to be of that state is not written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.errors import FaultCode, RetryLater
from vidd.files.disk_space import check_free_space
from vidd.model.byte_ranges import NotInParts, merge, split, total_size

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from vidd.model.byte_ranges import ByteRange
    from vidd.transfer.progress_meter import ProgressMeter
    from vidd.transfer.sparse_download import SparseDownload

    Write = Callable[[bytearray], Awaitable[None]]

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
# An index is read in small steps (a box, and the next one): one request serves several of them.
_READ_AHEAD = 2**16
_BLOCK = 2**20


class RemoteFileChanged(Exception):
    """The remote file is no longer the one that the reading began with."""


class RemoteFile(Protocol):
    """One state of a remote file. `pin` (JSON) names the state, `size` is in bytes, `requests` counts those made."""

    name: str
    size: int
    requests: int

    @property
    def pin(self) -> Mapping[str, Any]:
        """What must not change between two attempts."""

    async def get(self, start: int, end: int, write: Write) -> None:
        """Hand the bytes from `start` to before `end` to `write`, in order; fewer if the answer holds fewer.

        After RetryLater the caller may go on from where `write` got to; after RemoteFileChanged and NotInParts it may not.
        """


def parse_content_range(header: str | None) -> tuple[int, int, int] | None:
    """(start, end, size of the file) of a Content-Range (RFC 9110, 14.4), the end excluded; None if it is not clear."""
    match = _CONTENT_RANGE.fullmatch(header or "")
    return None if match is None else (int(match[1]), int(match[2]) + 1, int(match[3]))


class BlockWriter:
    """Collects the chunks of an answer into blocks worth a write. NotInParts unless exactly `expected` bytes come."""

    def __init__(self, write: Write, expected: int) -> None:
        self._write, self._remaining, self._block = write, expected, bytearray()

    async def add(self, chunk: bytes) -> None:
        """Take the next chunk of the answer."""
        self._remaining -= len(chunk)
        if self._remaining < 0:
            raise NotInParts("The server sent more than it said.")
        self._block += chunk
        if len(self._block) >= _BLOCK:
            await self.flush()

    async def flush(self) -> None:
        """Write what is collected. Called when a connection breaks, too: those bytes need not be fetched again."""
        if self._block:
            block, self._block = self._block, bytearray()
            await self._write(block)

    def finish(self) -> None:
        """Check that the answer was complete."""
        if self._remaining:
            raise NotInParts("The server sent less than it said.")


class RangeReader:
    """Reads byte ranges of a remote file into a sparse download: `parallel` at once, each of `request_size` bytes at most.

    `bytes_read` counts the bytes that came in this attempt.
    """

    def __init__(
        self,
        remote: RemoteFile,
        download: SparseDownload,
        meter: ProgressMeter,
        *,
        sleep: Callable[[float], Awaitable[None]],
        parallel: int,
        request_size: int,
    ) -> None:
        self.remote, self.download, self._meter = remote, download, meter
        self._sleep, self._parallel, self._request_size = sleep, parallel, request_size
        self.bytes_read = 0

    async def keep(self, head: bytes) -> None:
        """Write the first bytes of the file, which came with the first answer."""
        if head:
            await self.download.write(0, head)
            self.bytes_read += len(head)
            self._meter.add(len(head))
            await self.download.finish_range(0, len(head))

    async def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, fetched unless they are present."""
        if self.download.missing([(start, end)]):
            await self.fetch([(start, min(self.remote.size, max(end, start + _READ_AHEAD)))])
        return await self.download.read(start, end)

    async def fetch(self, needed: Sequence[ByteRange]) -> None:
        """Fetch what of these byte ranges is not present."""
        missing = self.download.missing(needed)
        self._meter.done = total_size(self.download.present)
        self._meter.total = total_size(merge(needed, self.download.present))
        check_free_space(self.download.directory, self.download.reserve, total_size(missing))
        await gather_bounded(self._parallel, split(missing, self._request_size), self._fetch_range)

    async def _fetch_range(self, byte_range: ByteRange) -> None:
        start, end = byte_range
        position = start

        async def write(block: bytearray) -> None:
            nonlocal position
            await self.download.write(position, block)
            position += len(block)
            self.bytes_read += len(block)
            self._meter.add(len(block))

        async def fetch_rest() -> None:
            while position < end:
                before = position
                await self.remote.get(position, end, write)
                if position == before:
                    raise RetryLater(
                        f"The server sent no bytes when vidd read {self.remote.name}; vidd will retry.",
                        code=FaultCode.UNAVAILABLE,
                    )

        try:
            await retry(fetch_rest, sleep=self._sleep, reached=lambda: position)
        finally:
            if position > start:
                await self.download.finish_range(start, position)

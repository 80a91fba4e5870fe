"""Read a far file in parts: what a place it lies at must be able to do, and the reading itself.

Every answer is compared with the state that the first one had. What is no proof of that state is not written down.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from vidd.aio.bounded import gather_bounded
from vidd.aio.retry import retry
from vidd.errors import RetryLater
from vidd.files.disk_space import check_free_space
from vidd.model.byte_ranges import NotInParts, merged, pieces, size_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from vidd.model.byte_ranges import ByteRange
    from vidd.transfer.progress_meter import ProgressMeter
    from vidd.transfer.sparse_download import SparseDownload

    Put = Callable[[bytearray], Awaitable[None]]

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
# Small looks (a box, and the next one) are one request.
_AHEAD = 2**16
_BLOCK = 2**20


class Replaced(Exception):
    """What is there now is not what was there when the reading began."""


class Ranges(Protocol):
    """One state of a far file. `pin` (JSON) names it, `size` is in bytes, `requests` have been made so far."""

    name: str
    size: int
    requests: int

    @property
    def pin(self) -> Mapping[str, Any]:
        """What must not change."""

    async def get(self, start: int, end: int, put: Put) -> None:
        """Hand the bytes from `start` to before `end` to `put`, in order; fewer where the answer holds fewer.

        RetryLater may be tried again from where it got to; Replaced and NotInParts may not.
        """


def placed(content_range: str | None) -> tuple[int, int, int] | None:
    """(start, end, size of the whole) of a Content-Range (RFC 9110, 14.4), the end not included; None where unclear."""
    match = _CONTENT_RANGE.fullmatch(content_range or "")
    return None if match is None else (int(match[1]), int(match[2]) + 1, int(match[3]))


class Blocks:
    """Collects small pieces into blocks that are worth a write. `expected` bytes come in all, or the answer lies."""

    def __init__(self, put: Put, expected: int) -> None:
        self._put, self._left, self._held = put, expected, bytearray()

    async def add(self, piece: bytes) -> None:
        """One more piece."""
        self._left -= len(piece)
        if self._left < 0:
            raise NotInParts("The server sent more than it said.")
        self._held += piece
        if len(self._held) >= _BLOCK:
            await self.flush()

    async def flush(self) -> None:
        """Hand on what is held: what came before a connection broke was paid for."""
        if self._held:
            held, self._held = self._held, bytearray()
            await self._put(held)

    def ended(self) -> None:
        """The answer came to its end in good order."""
        if self._left:
            raise NotInParts("The server sent less than it said.")


class PartReader:
    """Reads stretches of a far file into a window, `parallel` at once, each of `piece` bytes at most.

    `read_now` counts the bytes that came, in this attempt.
    """

    def __init__(
        self,
        far: Ranges,
        window: SparseDownload,
        meter: ProgressMeter,
        *,
        sleep: Callable[[float], Awaitable[None]],
        parallel: int,
        piece: int,
    ) -> None:
        self.far, self.window, self._meter = far, window, meter
        self._sleep, self._parallel, self._size = sleep, parallel, piece
        self.read_now = 0

    async def take(self, head: bytes) -> None:
        """Keep the first bytes, which came with the first answer."""
        if head:
            await self.window.write(0, head)
            self.read_now += len(head)
            self._meter.add(len(head))
            await self.window.note(0, len(head))

    async def read(self, start: int, end: int) -> bytes:
        """These bytes, from the window or from afar."""
        if self.window.missing([(start, end)]):
            await self.fill([(start, min(self.far.size, max(end, start + _AHEAD)))])
        return await self.window.read(start, end)

    async def fill(self, wanted: Sequence[ByteRange]) -> None:
        """Read what of these stretches is not there yet."""
        left = self.window.missing(wanted)
        self._meter.done = size_of(self.window.there)
        self._meter.total = size_of(merged(wanted, self.window.there))
        check_free_space(self.window.directory, self.window.reserve, size_of(left))
        await gather_bounded(self._parallel, pieces(left, self._size), self._piece)

    async def _piece(self, extent: ByteRange) -> None:
        start, end = extent
        got = start

        async def put(data: bytearray) -> None:
            nonlocal got
            await self.window.write(got, data)
            got += len(data)
            self.read_now += len(data)
            self._meter.add(len(data))

        async def rest() -> None:
            while got < end:
                before = got
                await self.far.get(got, end, put)
                if got == before:
                    raise RetryLater(f"Nothing came at reading {self.far.name}; it is tried again.")

        try:
            await retry(rest, sleep=self._sleep, reached=lambda: got)
        finally:
            if got > start:
                await self.window.note(start, got)

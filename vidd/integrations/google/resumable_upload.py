"""Google's resumable uploads: chunks of whole 256 KiB into a session that can be asked how far it came.

developers.google.com/youtube/v3/guides/using_resumable_upload_protocol. Anybody who has a session's address can send
to it, so sentences never hold it.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidd.aio.idle_timeout import IdleTimeout
from vidd.aio.retry import retry
from vidd.errors import FaultCode, RetryLater
from vidd.integrations.google.api import Call
from vidd.integrations.google.errors import SessionGone
from vidd.transfer.read_ahead import read_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from vidd.integrations.google.api import Answer, Api
    from vidd.transfer.progress_meter import ProgressMeter

UNIT = 256 * 1024
_RECEIVED = re.compile(r"bytes=0-(\d+)")


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """How far a session came: `resource` is what the server made of the file once it was complete; else None."""

    received: int = 0
    resource: dict[str, Any] | None = None


@dataclass
class ResumableUpload:
    """The upload of one file. `before_last()` is called before the bytes that may complete it are sent.

    `chunk` is in bytes, `silence` in seconds without progress.
    """

    api: Api
    session: str
    path: Path
    size: int
    chunk: int
    meter: ProgressMeter
    silence: float
    before_last: Callable[[], Awaitable[None]]
    doing: str = "sending the video"
    _received: int = 0
    _known: bool = False

    async def run(self) -> dict[str, Any]:
        """Send what is missing; returns the server's resource. Raises SessionGone, or a fault after lasting failure."""
        return await retry(self._advance, sleep=self.api.clock.sleep, attempts=5, reached=lambda: self._received)

    async def _advance(self) -> dict[str, Any]:
        if not self._known:
            status = await upload_status(self.api, self.session, self.size, self.doing)
            if status.resource is not None:
                return status.resource
            self._set_received(status.received)
        while True:
            status = await self._send()
            if status.resource is not None:
                self._set_received(self.size)
                return status.resource
            before, self._known = self._received, True
            self._set_received(status.received)
            if self._received <= before:
                self._known = False
                raise RetryLater(f"Google took none of the bytes while {self.doing}; vidd will send them again.")

    def _set_received(self, received: int) -> None:
        self._received = received
        self.meter.done = received
        self.meter.report()

    async def _send(self) -> UploadStatus:
        first, end = self._received, min(self.size, self._received + self.chunk)
        if end == self.size:
            await self.before_last()
        headers = {"Content-Length": str(end - first), "Content-Range": f"bytes {first}-{end - 1}/{self.size}"}
        self._known = False
        file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            async with asyncio.timeout(self.silence) as limit:
                data = self._bytes(file, first, end, IdleTimeout(limit, self.silence))
                answer = await self.api.exchange(Call("PUT", self.session, self.doing, data=data, headers=headers))
        except TimeoutError:
            raise RetryLater(
                f"Google took no bytes for {self.silence:.0f} s while {self.doing}; vidd will continue later.",
                code=FaultCode.STALLED,
            ) from None
        finally:
            os.close(file)
        return _parse_status(self.api, answer, self.size, self.doing)

    async def _bytes(self, file: int, first: int, end: int, timeout: IdleTimeout) -> AsyncIterator[bytes | bytearray]:
        async for data in read_chunks(file, first, end, name=self.path.name):
            yield data
            self.meter.add(len(data))
            timeout.touch()


async def upload_status(api: Api, session: str, size: int, doing: str) -> UploadStatus:
    """Ask a session how far it came. Raises SessionGone where it is no longer known."""
    call = Call("PUT", session, doing, data=b"", headers={"Content-Range": f"bytes */{size}"})

    async def attempt() -> UploadStatus:
        return _parse_status(api, await api.exchange(call), size, doing)

    return await retry(attempt, sleep=api.clock.sleep)


def _parse_status(api: Api, answer: Answer, size: int, doing: str) -> UploadStatus:
    if answer.status in {200, 201}:
        if not isinstance(answer.body.get("id"), str):
            raise RetryLater(
                f"Google said while {doing} that the upload is complete, but named no id; vidd will ask again."
            )
        return UploadStatus(size, answer.body)
    if answer.status == 308:
        match = _RECEIVED.fullmatch(answer.headers.get("Range", ""))
        received = int(match[1]) + 1 if match else 0
        if received > size:
            raise RetryLater(f"Google counted more bytes than the file has while {doing}; vidd will ask again.")
        return UploadStatus(received)
    if answer.status in {404, 410}:
        raise SessionGone
    if answer.status == 401:
        raise RetryLater(f"Google rejected the access token while {doing}; vidd will refresh it and continue.")
    raise api.fault(answer, doing)

"""Google's resumable uploads: a session's address, chunks of whole 256 KiB, and the question how far it came.

developers.google.com/youtube/v3/guides/using_resumable_upload_protocol. Whoever has the address of a session may send
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
from vidd.errors import RetryLater
from vidd.transfer.read_ahead import read_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from vidd.integrations.google.api import Answer, Api
    from vidd.transfer.progress_meter import ProgressMeter

UNIT = 256 * 1024
_HELD = re.compile(r"bytes=0-(\d+)")


class Gone(Exception):
    """The session is not known any more: it expired, or it ended and was forgotten."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a session came: `made` is what came of it once all bytes were there, else `held` bytes are."""

    held: int = 0
    made: dict[str, Any] | None = None


@dataclass
class ResumableUpload:
    """One file on its way. `before_last()` is called before the bytes go out that may complete it."""

    api: Api
    session: str
    path: Path
    size: int
    chunk: int
    meter: ProgressMeter
    silence: float
    before_last: Callable[[], Awaitable[None]]
    doing: str = "sending the video"
    _held: int = 0
    _known: bool = False

    async def run(self) -> dict[str, Any]:
        """Send what is missing; what the server made of it. Gone, or a fault once it made no progress for a while."""
        return await retry(self._advance, sleep=self.api.clock.sleep, attempts=5, reached=lambda: self._held)

    async def _advance(self) -> dict[str, Any]:
        if not self._known:
            standing = await self._ask()
            if standing.made is not None:
                return standing.made
            self._stand_at(standing.held)
        while True:
            standing = await self._send()
            if standing.made is not None:
                self._stand_at(self.size)
                return standing.made
            before, self._known = self._held, True
            self._stand_at(standing.held)
            if self._held <= before:
                self._known = False
                raise RetryLater(f"Google took none of the bytes at {self.doing}; they are sent again.")

    async def _ask(self) -> Standing:
        return await standing_of(self.api, self.session, self.size, self.doing)

    def _stand_at(self, held: int) -> None:
        self._held = held
        self.meter.done = held
        self.meter.report()

    async def _send(self) -> Standing:
        first, end = self._held, min(self.size, self._held + self.chunk)
        if end == self.size:
            await self.before_last()
        headers = {"Content-Length": str(end - first), "Content-Range": f"bytes {first}-{end - 1}/{self.size}"}
        self._known = False
        file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            async with asyncio.timeout(self.silence) as limit:
                body = self._bytes(file, first, end, IdleTimeout(limit, self.silence))
                answer = await self.api.exchange("PUT", self.session, doing=self.doing, data=body, headers=headers)
        except TimeoutError:
            raise RetryLater(
                f"Google took no bytes for {self.silence:.0f} s at {self.doing}; it goes on later."
            ) from None
        finally:
            os.close(file)
        return _standing(self.api, answer, self.size, self.doing)

    async def _bytes(self, file: int, first: int, end: int, silence: IdleTimeout) -> AsyncIterator[bytes | bytearray]:
        async for data in read_chunks(file, first, end, name=self.path.name):
            yield data
            self.meter.add(len(data))
            silence.touch()


async def standing_of(api: Api, session: str, size: int, doing: str) -> Standing:
    """Ask a session how far it came; Gone where it is not known."""

    async def once() -> Standing:
        headers = {"Content-Range": f"bytes */{size}"}
        answer = await api.exchange("PUT", session, doing=doing, data=b"", headers=headers)
        return _standing(api, answer, size, doing)

    return await retry(once, sleep=api.clock.sleep)


def _standing(api: Api, answer: Answer, size: int, doing: str) -> Standing:
    if answer.status in {200, 201}:
        if not isinstance(answer.body.get("id"), str):
            raise RetryLater(f"Google's answer at {doing} says that all is there, but not as what; it is asked again.")
        return Standing(size, answer.body)
    if answer.status == 308:
        match = _HELD.fullmatch(answer.headers.get("Range", ""))
        held = int(match[1]) + 1 if match else 0
        if held > size:
            raise RetryLater(f"Google says at {doing} that it holds more bytes than there are; it is asked again.")
        return Standing(held)
    if answer.status in {404, 410}:
        raise Gone
    if answer.status == 401:
        raise RetryLater(f"Google wants a new sign-in at {doing}; it goes on with one.")
    raise api.fault(answer, doing)

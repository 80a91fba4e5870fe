"""A video's chunked upload to a page (developers.facebook.com/docs/graph-api/video-uploads).

`start` makes a session and names the video; `transfer` brings what the server asks for, offset by offset; `finish`
publishes. Where a session stands is learned from the answer to a transfer: one with a wrong offset names the right one
(subcode 1363037). Until it is finished nobody can see the video, so a session may be left behind without harm.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vidd.aio.retry import retry
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.facebook.api import Chunk
from vidd.integrations.facebook.errors import GraphError
from vidd.transfer.read_ahead import read_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path
    from typing import Any

    from vidd.integrations.facebook.api import Graph
    from vidd.transfer.progress_meter import ProgressMeter

_NOTED_EVERY = 64 * 2**20


class SessionGone(Exception):
    """The upload session is unknown, expired or already used: another one must be begun."""


@dataclass(frozen=True, slots=True)
class Session:
    """An upload session and the video it makes; the server wants the bytes from `at` to `end`."""

    id: str
    video: str
    at: int
    end: int


def identity_of(path: Path) -> tuple[int, int]:
    """Size and time of a file; with others than an upload was begun with, the rest of it would not fit."""
    try:
        found = path.stat()
    except OSError as error:
        raise Refused(f"The file {path.name} cannot be read ({error.strerror}): run the job anew.") from None
    return found.st_size, found.st_mtime_ns


async def start(graph: Graph, size: int) -> Session:
    """Begin a session for a file of `size` bytes."""
    doing = f"beginning an upload to the page {graph.page}"
    try:
        answer = await graph.upload({"upload_phase": "start", "file_size": str(size)}, page=graph.page, doing=doing)
    except GraphError as error:
        raise graph.fate(error, doing) from error
    try:
        at, end = int(answer["start_offset"]), int(answer["end_offset"])
        return Session(str(answer["upload_session_id"]), str(answer["video_id"]), at, end)
    except (KeyError, TypeError, ValueError):
        raise RetryLater(f"Facebook's answer at {doing} names no session; it is tried again.") from None


class Transfer:
    """Brings a file into a session. `note` saves where it stands, now and then."""

    def __init__(
        self,
        graph: Graph,
        session: Session,
        path: Path,
        *,
        size: int,
        meter: ProgressMeter,
        note: Callable[[Session], Awaitable[None]],
    ) -> None:
        """Nothing is sent before `run`."""
        self.session = session
        self._graph, self._path, self._size, self._meter, self._note = graph, path, size, meter, note
        self._noted = session.at

    async def run(self) -> None:
        """Send what is missing; SessionGone where the server no longer knows the session."""
        try:
            file = os.open(self._path, os.O_RDONLY)
        except OSError as error:
            raise Refused(f"The file {self._path.name} cannot be read ({error.strerror}): run the job anew.") from None
        with closing(os.fdopen(file, "rb", buffering=0)):
            await retry(lambda: self._go_on(file), sleep=self._graph.clock.sleep, reached=lambda: self.session.at)

    async def _go_on(self, file: int) -> None:
        corrected = False
        while True:
            at, end = self.session.at, self.session.end
            if not 0 <= at <= end <= self._size:
                raise SessionGone
            if at == end:
                return
            self._meter.done = at
            try:
                answer = await self._send(file)
                where = int(answer["start_offset"]), int(answer["end_offset"])
                corrected = False
            except (KeyError, TypeError, ValueError):
                raise RetryLater(f"Facebook's answer at {self._doing} has no offsets; it is tried again.") from None
            except GraphError as error:
                if error.session_gone:
                    raise SessionGone from error
                if error.offsets is None or corrected:
                    raise self._graph.fate(error, self._doing) from error
                where, corrected = error.offsets, True
            self.session = replace(self.session, at=where[0], end=where[1])
            if abs(self.session.at - self._noted) >= _NOTED_EVERY:
                self._noted = self.session.at
                await self._note(self.session)

    @property
    def _doing(self) -> str:
        return f"uploading {self._path.name} to the page {self._graph.page}"

    async def _send(self, file: int) -> dict[str, Any]:
        at, end = self.session.at, self.session.end
        form = {"upload_phase": "transfer", "upload_session_id": self.session.id, "start_offset": str(at)}
        chunk = Chunk(self._pieces(file, at, end), end - at)
        return await self._graph.upload(form, page=self._graph.page, doing=self._doing, chunk=chunk)

    async def _pieces(self, file: int, at: int, end: int) -> AsyncIterator[bytes | bytearray]:
        async for piece in read_chunks(file, at, end, name=self._path.name):
            yield piece
            self._meter.add(len(piece))


async def finish(graph: Graph, session: Session, words: Mapping[str, str]) -> None:
    """Publish. SessionGone where the session is unknown; OutcomeUnknown where no answer tells what became of it."""
    doing = f"publishing the video {session.video} on the page {graph.page}"
    form = {"upload_phase": "finish", "upload_session_id": session.id, **words}
    try:
        answer = await graph.upload(form, page=graph.page, doing=doing, commits=True)
    except GraphError as error:
        if error.session_gone:
            raise SessionGone from error
        raise graph.fate(error, doing, commits=True) from error
    if answer.get("success") is not True:
        raise OutcomeUnknown(f"Facebook did not confirm {doing}: look whether it is there.")

"""Uploads a video to a page in chunks (developers.facebook.com/docs/graph-api/video-uploads).

The `start` phase opens a session and names the video; `transfer` sends the bytes that the server asks for, offset by
offset; `finish` publishes. The answer to a transfer tells how far a session came; the answer to a wrong offset names
the right one (subcode 1363037). Nobody can see the video until it is finished, so a session may be left behind without
harm.

The token of a publication has `account`, `page`, `size` and `stamp` of the file; `session`, `video`, `at` and `end`
while bytes are sent; `finish` (when) and `marker` once vidd has asked Facebook to publish the video.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vidd.aio.retry import retry
from vidd.errors import OutcomeUnknown, Refused, RetryLater
from vidd.integrations.facebook.api import Chunk
from vidd.integrations.facebook.errors import GraphError, UnexplainedError
from vidd.integrations.facebook.video import Video, get_video
from vidd.transfer.progress_meter import ProgressMeter
from vidd.transfer.read_ahead import read_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from vidd.integrations.facebook.api import Graph
    from vidd.integrations.facebook.text import VideoText
    from vidd.ports import PublishContext

_SAVE_EVERY = 64 * 2**20


class SessionGone(Exception):
    """The upload session is unknown, expired or already used: another one must be opened."""


@dataclass(frozen=True, slots=True)
class Session:
    """An upload session and the video it makes; the server wants the bytes from `at` to `end`."""

    id: str
    video: str
    at: int
    end: int


class VideoUpload:
    """The upload of one file to a page. `token` is what was saved last."""

    def __init__(self, context: PublishContext, api: Graph, path: Path, text: VideoText, marker: str) -> None:
        self._context, self._api, self._path = context, api, path
        self._text, self._marker = text, marker
        self._size, stamp = _identity(path)
        self.token: dict[str, Any] = dict(context.publication.token)
        about = {"account": api.name, "page": api.page, "size": self._size, "stamp": stamp}
        if any(self.token.get(name) != value for name, value in about.items()):
            self.token = about

    async def run(self) -> Video | None:
        """Continue from where the token says; returns the video as Facebook shows it afterwards."""
        try:
            session = await self._session()
            session = await self._transfer(session)
            self.token |= {"at": session.at, "end": session.end, "finish": self._now, "marker": self._marker}
            await self._context.sent(self.token)
            await _finish(self._api, session, self._text.form)
        except UnexplainedError:
            await self.forget()
            raise
        return await get_video(self._api, session.video, labels=self._text.label is not None)

    @property
    def may_be_finished(self) -> bool:
        """Whether an earlier attempt asked to finish this session, so that it may be gone because it succeeded."""
        earlier = self._context.publication.token
        return {"finish", "session"} <= earlier.keys() and earlier["video"] == self.token["video"]

    async def forget(self) -> None:
        """Drop the session from the token; the video's id stays, in case it was finished all the same."""
        self.token = {name: value for name, value in self.token.items() if name not in {"session", "at", "end"}}
        await self._context.checkpoint(self.token)

    @property
    def _now(self) -> str:
        return self._context.tools.clock.now().isoformat()

    async def _session(self) -> Session:
        known = self.token
        if "session" in known:
            return Session(known["session"], known["video"], known["at"], known["end"])
        session = await _start(self._api, self._size)
        self.token = {name: value for name, value in known.items() if name not in {"finish", "marker"}}
        await self._save(session)
        return session

    async def _save(self, session: Session) -> None:
        self.token |= {"session": session.id, "video": session.video, "at": session.at, "end": session.end}
        await self._context.checkpoint(self.token)

    async def _transfer(self, session: Session) -> Session:
        context = self._context
        meter = ProgressMeter(
            "facebook",
            "upload",
            progress=context.progress,
            observe=context.tools.observe,
            total=self._size,
            done=session.at,
        )
        transfer = _Transfer(self._api, session, self._path, self._size, meter, self._save)
        await transfer.run()
        meter.report()
        return transfer.session


def _identity(path: Path) -> tuple[int, int]:
    """Size and mtime of a file; if they change, the rest of the file would not fit what was already sent."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return found.st_size, found.st_mtime_ns


def _unreadable(path: Path, error: OSError) -> Refused:
    return Refused(f"The file {path.name} cannot be read ({error.strerror}): run the job anew.")


async def _start(graph: Graph, size: int) -> Session:
    """Open a session for a file of `size` bytes."""
    doing = f"beginning an upload to the page {graph.page}"
    try:
        answer = await graph.upload({"upload_phase": "start", "file_size": str(size)}, page=graph.page, doing=doing)
    except GraphError as error:
        raise graph.fault(error, doing) from error
    try:
        at, end = int(answer["start_offset"]), int(answer["end_offset"])
        return Session(str(answer["upload_session_id"]), str(answer["video_id"]), at, end)
    except (KeyError, TypeError, ValueError):
        raise RetryLater(f"Facebook named no session while {doing}; vidd will retry.") from None


@dataclass
class _Transfer:
    """Sends a file into a session. `save` saves how far the session came, now and then."""

    graph: Graph
    session: Session
    path: Path
    size: int
    meter: ProgressMeter
    save: Callable[[Session], Awaitable[None]]

    def __post_init__(self) -> None:
        self._saved = self.session.at

    async def run(self) -> None:
        """Send what is missing. Raises SessionGone where the server no longer knows the session."""
        try:
            file = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise _unreadable(self.path, error) from None
        with closing(os.fdopen(file, "rb", buffering=0)):
            await retry(lambda: self._advance(file), sleep=self.graph.clock.sleep, reached=lambda: self.session.at)

    async def _advance(self, file: int) -> None:
        corrected = False
        while True:
            at, end = self.session.at, self.session.end
            if not 0 <= at <= end <= self.size:
                raise SessionGone
            if at == end:
                return
            self.meter.done = at
            try:
                answer = await self._send(file)
                offsets = int(answer["start_offset"]), int(answer["end_offset"])
                corrected = False
            except (KeyError, TypeError, ValueError):
                raise RetryLater(f"Facebook named no offsets while {self._doing}; vidd will retry.") from None
            except GraphError as error:
                if error.session_gone:
                    raise SessionGone from error
                if error.offsets is None or corrected:
                    raise self.graph.fault(error, self._doing) from error
                offsets, corrected = error.offsets, True
            self.session = replace(self.session, at=offsets[0], end=offsets[1])
            if abs(self.session.at - self._saved) >= _SAVE_EVERY:
                self._saved = self.session.at
                await self.save(self.session)

    @property
    def _doing(self) -> str:
        return f"uploading {self.path.name} to the page {self.graph.page}"

    async def _send(self, file: int) -> dict[str, Any]:
        at, end = self.session.at, self.session.end
        form = {"upload_phase": "transfer", "upload_session_id": self.session.id, "start_offset": str(at)}
        chunk = Chunk(self._pieces(file, at, end), end - at)
        return await self.graph.upload(form, page=self.graph.page, doing=self._doing, chunk=chunk)

    async def _pieces(self, file: int, at: int, end: int) -> AsyncIterator[bytes | bytearray]:
        async for piece in read_chunks(file, at, end, name=self.path.name):
            yield piece
            self.meter.add(len(piece))


async def _finish(graph: Graph, session: Session, text: Mapping[str, str]) -> None:
    """Publish. Raises SessionGone where the session is unknown, OutcomeUnknown where no answer says whether it succeeded."""
    doing = f"publishing the video {session.video} on the page {graph.page}"
    form = {"upload_phase": "finish", "upload_session_id": session.id, **text}
    try:
        answer = await graph.upload(form, page=graph.page, doing=doing, commits=True)
    except GraphError as error:
        if error.session_gone:
            raise SessionGone from error
        raise graph.fault(error, doing, commits=True) from error
    if answer.get("success") is not True:
        raise OutcomeUnknown(f"Facebook did not confirm {doing}: look at the page whether the video is there.")

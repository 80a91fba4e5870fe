"""Google's resumable upload protocol, the server's side (developers.google.com/youtube/v3/guides/using_resumable_upload_protocol).

Bytes are hashed and counted, not kept. Only whole pieces of 256 KiB are committed before the end; a request that is cut
off commits what came before it was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from peers.google_service import Fault

PIECE = 256 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_ASKS = re.compile(r"bytes \*/(\d+)")


@dataclass
class Session:
    """An upload under way; `finish` makes the thing once all bytes are there."""

    size: int
    finish: Callable[[Session], dict[str, Any]]
    received: int = 0
    sum: Any = field(default_factory=hashlib.sha256)
    made: dict[str, Any] | None = None
    expired: bool = False
    kept: bytearray | None = field(default_factory=bytearray)


class Sessions:
    """Set `takes` (bytes to commit of each coming chunk, one entry a chunk), `cuts` (bytes of all after which the
    connection is cut, each once), `forgets` (a finished session is unknown at once), and call `expire`.
    """

    def __init__(self) -> None:
        self.all: dict[str, Session] = {}
        self.takes: list[int] = []
        self.cuts: list[int] = []
        self.forgets = False

    def begin(self, size: int, finish: Callable[[Session], dict[str, Any]]) -> str:
        """A new session's id."""
        key = f"AEnB2U{len(self.all):04}secret"
        self.all[key] = Session(size, finish)
        return key

    def expire(self) -> None:
        """All sessions are gone."""
        for value in self.all.values():
            value.expired = True

    async def put(self, request: web.Request) -> web.StreamResponse:
        """PUT to a session's address: bytes, or the question how far they came."""
        session = self.all.get(request.query.get("upload_id", ""))
        if session is None or session.expired or (session.made is not None and self.forgets):
            await _drained(request)
            raise Fault(404, "notFound", "The upload session is not known.")
        said = request.headers.get("Content-Range", "")
        asks = _ASKS.fullmatch(said)
        if asks is not None:
            if int(asks[1]) != session.size or await request.read():
                raise Fault(400, "badRequest", "A question has the size of the whole, and no body.")
        elif session.made is None:
            await self._take(request, session, said)
        else:
            await _drained(request)
        if session.made is None and session.received == session.size:
            session.made = session.finish(session)
        if session.made is not None:
            return web.json_response(session.made, status=201 if asks else 200)
        return _incomplete(session)

    async def _take(self, request: web.Request, session: Session, said: str) -> None:
        match = _RANGE.fullmatch(said)
        if match is None:
            raise Fault(400, "badRequest", "Failed to parse Content-Range header.")
        first, last, total = (int(group) for group in match.groups())
        length = last - first + 1
        if total != session.size or request.content_length != length or last >= total or length < 1:
            raise Fault(400, "badRequest", "Content-Range, Content-Length and the size do not agree.")
        if last + 1 != total and length % PIECE:
            raise Fault(400, "badRequest", "A chunk but the last must be a multiple of 256 KiB.")
        if first != session.received:
            raise Fault(400, "badRequest", f"Bytes {session.received} and on were expected.")
        limit = self.takes.pop(0) if self.takes else length
        await self._read(request, session, min(length, limit))

    async def _read(self, request: web.Request, session: Session, wanted: int) -> None:
        pending = bytearray()
        whole = session.received + wanted == session.size
        left = wanted
        try:
            async for data in request.content.iter_any():
                taken = data[:left]
                left -= len(taken)
                pending += taken
                if session.received + len(pending) != session.size or not whole:
                    _commit(session, pending, len(pending) // PIECE * PIECE)
                if self.cuts and session.received + len(pending) >= self.cuts[0]:
                    self.cuts.pop(0)
                    _cut(request)
        except BaseException:
            _commit(session, pending, len(pending) // PIECE * PIECE)
            raise
        if whole and left == 0:
            _commit(session, pending, len(pending))


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("cut as asked")


def _commit(session: Session, pending: bytearray, count: int) -> None:
    taken = bytes(pending[:count])
    del pending[:count]
    session.received += count
    session.sum.update(taken)
    if session.kept is not None:
        session.kept += taken
        if len(session.kept) > 2**22:
            session.kept = None


def _incomplete(session: Session) -> web.Response:
    headers = {"Range": f"bytes=0-{session.received - 1}"} if session.received else {}
    return web.Response(status=308, reason="Resume Incomplete", headers=headers)


async def _drained(request: web.Request) -> None:
    async for _ in request.content.iter_any():
        pass

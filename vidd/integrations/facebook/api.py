"""Calls of Facebook's Graph API (developers.facebook.com/docs/graph-api).

vidd sends tokens in the Authorization header, never in an address, and follows no address that an answer names: the
addresses of a listing's further pages hold the token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp

from vidd.aio.idle_timeout import IdleTimeout
from vidd.aio.retry import retry
from vidd.errors import Fault, FaultCode, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.facebook.errors import GraphError, fault_of, graph_error
from vidd.transfer.http import map_errors, never_sent, session, ssl_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from vidd.integrations.facebook.account import Account
    from vidd.ports import Clock

_PAGE_SIZE = 50


@dataclass(frozen=True)
class Chunk:
    """Part of a file to upload: `pieces` yield `size` bytes in all."""

    pieces: AsyncIterator[bytes | bytearray]
    size: int


@dataclass(frozen=True)
class Graph:
    """An account with an open session, made by `graph`. `name` is the account's, for sentences.

    `wait_after_400` is in seconds.
    """

    web: aiohttp.ClientSession
    account: Account
    name: str
    clock: Clock
    wait_after_400: float

    @property
    def page(self) -> str:
        """The page's id. Raises Refused where the account names none."""
        if self.account.page is None:
            raise Refused(
                f"The account {self.name!r} names no page: set page of [accounts.{self.name}].",
                code=FaultCode.BAD_SETTINGS,
            )
        return self.account.page

    async def get(self, path: str, *, doing: str, **params: str) -> dict[str, Any]:
        """Read a node or edge, retrying a few times. Raises GraphError where Facebook rejects the call."""
        return await self._retry("GET", path, doing, params)

    async def change(self, method: str, path: str, *, doing: str, **form: str) -> dict[str, Any]:
        """Change or delete a node, retrying a few times. Raises GraphError where Facebook rejects the call."""
        return await self._retry(method, path, doing, form)

    async def send_file(self, path: str, name: str, content: bytes, *, field: str, doing: str) -> dict[str, Any]:
        """Send a small file to an edge, retrying a few times: where one of this name is there, it takes its place."""
        return await self._retry("POST", path, doing, {}, file=(field, name, content))

    async def upload(
        self, form: Mapping[str, str], *, page: str, doing: str, chunk: Chunk | None = None, commits: bool = False
    ) -> dict[str, Any]:
        """Send one call of an upload's phase, once. Raises GraphError where Facebook rejects it.

        `commits` says that a lost answer leaves the outcome unknown.
        """
        url = f"{self.account.video_url}/{self.account.version}/{page}/videos"
        return await self._call("POST", url, doing, form, chunk=chunk, commits=commits)

    async def listed(self, path: str, *, doing: str, fields: str, most: int) -> AsyncIterator[dict[str, Any]]:
        """The first `most` rows of an edge, read page by page."""
        after: dict[str, str] = {}
        seen = 0
        while seen < most:
            limit = str(min(_PAGE_SIZE, most - seen))
            answer = await self.get(path, doing=doing, fields=fields, limit=limit, **after)
            rows = answer.get("data", [])
            for row in rows:
                yield row
            seen += len(rows)
            paging = answer.get("paging", {})
            cursor = paging.get("cursors", {}).get("after")
            if not rows or not cursor or "next" not in paging or after.get("after") == cursor:
                return
            after = {"after": cursor}

    def fault(self, error: GraphError, doing: str, *, commits: bool = False) -> Fault:
        """The fault for an error."""
        return fault_of(
            error, doing, account=self.name, now=self.clock.now(), wait_after_400=self.wait_after_400, commits=commits
        )

    async def _retry(
        self,
        method: str,
        path: str,
        doing: str,
        form: Mapping[str, str],
        *,
        file: tuple[str, str, bytes] | None = None,
    ) -> dict[str, Any]:
        url = f"{self.account.url}/{self.account.version}/{path}"

        async def attempt() -> dict[str, Any]:
            try:
                return await self._call(method, url, doing, form, file=file)
            except GraphError as error:
                if error.status >= 500 or error.transient:
                    raise self.fault(error, doing) from error
                raise

        return await retry(attempt, sleep=self.clock.sleep)

    async def _call(
        self,
        method: str,
        url: str,
        doing: str,
        form: Mapping[str, str],
        *,
        chunk: Chunk | None = None,
        file: tuple[str, str, bytes] | None = None,
        commits: bool = False,
    ) -> dict[str, Any]:
        token = self.account.token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        fields = dict(form)
        if self.account.app_secret is not None:
            secret = self.account.app_secret.get_secret_value()
            fields["appsecret_proof"] = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        content: dict[str, Any] = {"params": fields} if method != "POST" else {"data": fields}
        if file is not None:
            content = {"data": _form_with_file(fields, *file)}
        with _connection_errors(doing, commits=commits):
            async with asyncio.timeout(None) as limit:
                if chunk is not None:
                    headers |= (
                        body := _Multipart(fields, chunk, IdleTimeout(limit, self.account.read_timeout))
                    ).headers
                    content = {"data": body.pieces()}
                async with self.web.request(method, url, headers=headers, allow_redirects=False, **content) as answer:
                    text = await answer.text(errors="replace")
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = None
        if answer.status != 200 or not isinstance(parsed, dict) or "error" in parsed:
            error = graph_error(answer.status, parsed, answer.headers)
            # The answer about a malformed token quotes it.
            error.message = error.message.replace(token, "…")
            raise error
        return parsed


def _form_with_file(fields: Mapping[str, str], field: str, name: str, content: bytes) -> aiohttp.FormData:
    form = aiohttp.FormData(fields)
    form.add_field(field, content, filename=name, content_type="application/octet-stream")
    return form


class _Multipart:
    """A form with a chunk of a file, whose length is known beforehand (RFC 7578).

    Nothing comes back while it is sent, so every piece that was taken touches `timeout`.
    """

    def __init__(self, form: Mapping[str, str], chunk: Chunk, timeout: IdleTimeout) -> None:
        boundary = uuid4().hex
        fields = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in form.items()
        )
        disposition = 'Content-Disposition: form-data; name="video_file_chunk"; filename="chunk"'
        self._head = f"{fields}--{boundary}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._chunk, self._timeout = chunk, timeout
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + chunk.size + len(self._tail)),
        }

    async def pieces(self) -> AsyncIterator[bytes | bytearray]:
        """The body, piece by piece."""
        yield self._head
        async for piece in self._chunk.pieces:
            self._timeout.touch()
            yield piece
        yield self._tail


@contextmanager
def _connection_errors(doing: str, *, commits: bool) -> Iterator[None]:
    try:
        with map_errors(doing):
            yield
    except RetryLater as fault:
        if commits and not never_sent(fault):
            raise OutcomeUnknown(
                f"The connection was lost in the middle of {doing}: look at the page whether the video is there."
            ) from fault
        raise


@asynccontextmanager
async def graph(account: Account, name: str, clock: Clock, *, wait_after_400: float = 21600.0) -> AsyncIterator[Graph]:
    """Open a session for an account; `wait_after_400` is in seconds."""
    trust = ssl_context(account.ca) if account.ca is not None else True
    async with session(account.proxy, connect=account.connect_timeout, idle=account.read_timeout, trust=trust) as web:
        yield Graph(web, account, name, clock, wait_after_400)

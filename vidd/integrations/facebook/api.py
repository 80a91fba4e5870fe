"""Facebook pages by the Graph API (developers.facebook.com/docs/graph-api): an account, and its calls.

Tokens go in the Authorization header, never in an address, and no address that an answer gives is followed: those of
further pages of a listing hold the token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import aiohttp
from pydantic import Field, SecretStr, field_validator

from vidd.aio.idle_timeout import IdleTimeout
from vidd.aio.retry import retry
from vidd.errors import Fault, OutcomeUnknown, Refused, RetryLater
from vidd.integrations.facebook.errors import GraphError, fate_of, graph_error
from vidd.settings.types import Duration, Options
from vidd.transfer.http import idle_timeout, map_errors, ssl_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from vidd.ports import Clock

_ADDRESS = r"^https?://[^\s@]+$"
_LISTED_AT_ONCE = 50


class Account(Options):
    """A Facebook page with its token."""

    kind: Literal["facebook"] = Field("facebook", description="The kind of account.")
    token: SecretStr = Field(description="The page's access token; `vidd accounts facebook` lists them.")

    @field_validator("token")
    @classmethod
    def _one_line(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value().strip()
        if not token.isascii() or not token.isprintable():
            raise ValueError("a token is one line of ASCII")
        return SecretStr(token)

    page: str | None = Field(None, pattern=r"^\d+$", description="The page's id, digits only.")
    app_secret: SecretStr | None = Field(
        None, description="Secret of the app the token was made by; where it is set, every call is proved by it."
    )
    version: str = Field("v26.0", pattern=r"^v\d+\.\d+$", description="Version of the Graph API.")
    url: str = Field("https://graph.facebook.com", pattern=_ADDRESS, description="Address of the Graph API.")
    video_url: str = Field(
        "https://graph-video.facebook.com", pattern=_ADDRESS, description="Address that videos are uploaded to."
    )
    ca: Path | None = Field(None, description="File of certificates to trust besides the system's.")
    connect_timeout: Duration = Field(15.0, gt=0, description="Longest time to wait for a connection.")
    read_timeout: Duration = Field(120.0, gt=0, description="Longest silence in the middle of a call.")


@dataclass(frozen=True)
class Chunk:
    """Part of a file on its way: `pieces` yield `size` bytes in all."""

    pieces: AsyncIterator[bytes | bytearray]
    size: int


@dataclass(frozen=True)
class Graph:
    """An account with a session open, made by `graph`. `name` is the account's, for sentences."""

    web: aiohttp.ClientSession
    account: Account
    name: str
    clock: Clock
    wait_after_400: float

    @property
    def page(self) -> str:
        """The page's id; Refused where the account names none."""
        if self.account.page is None:
            raise Refused(f"The account {self.name!r} names no page: set page of [accounts.{self.name}].")
        return self.account.page

    async def get(self, path: str, *, doing: str, **params: str) -> dict[str, Any]:
        """Ask; it is repeated a little while the other side fails. GraphError where it is refused."""

        async def once() -> dict[str, Any]:
            return await self._patiently("GET", f"{self.account.url}/{self.account.version}/{path}", doing, params)

        return await retry(once, sleep=self.clock.sleep)

    async def change(self, method: str, path: str, *, doing: str, **form: str) -> dict[str, Any]:
        """Change or delete a node, which may be repeated, and is. GraphError where it is refused."""

        async def once() -> dict[str, Any]:
            return await self._patiently(method, f"{self.account.url}/{self.account.version}/{path}", doing, form)

        return await retry(once, sleep=self.clock.sleep)

    async def upload(
        self, form: Mapping[str, str], *, page: str, doing: str, chunk: Chunk | None = None, commits: bool = False
    ) -> dict[str, Any]:
        """One call of an upload's phase, once. GraphError where it is refused."""
        url = f"{self.account.video_url}/{self.account.version}/{page}/videos"
        return await self._call("POST", url, doing, form, chunk=chunk, commits=commits)

    async def listed(self, path: str, *, doing: str, fields: str, most: int) -> AsyncIterator[dict[str, Any]]:
        """The rows of an edge, page by page, `most` of them."""
        after: dict[str, str] = {}
        seen = 0
        while seen < most:
            limit = str(min(_LISTED_AT_ONCE, most - seen))
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

    def fate(self, error: GraphError, doing: str, *, commits: bool = False) -> Fault:
        """What an error means for who asked."""
        return fate_of(
            error, doing, account=self.name, now=self.clock.now(), wait_after_400=self.wait_after_400, commits=commits
        )

    async def _patiently(self, method: str, url: str, doing: str, form: Mapping[str, str]) -> dict[str, Any]:
        """A call whose passing failures are RetryLater at once, so that it can be repeated."""
        try:
            return await self._call(method, url, doing, form)
        except GraphError as error:
            if error.status >= 500 or error.transient:
                raise self.fate(error, doing) from error
            raise

    async def _call(
        self,
        method: str,
        url: str,
        doing: str,
        form: Mapping[str, str],
        *,
        chunk: Chunk | None = None,
        commits: bool = False,
    ) -> dict[str, Any]:
        token = self.account.token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        given = dict(form)
        if self.account.app_secret is not None:
            secret = self.account.app_secret.get_secret_value()
            given["appsecret_proof"] = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        how: dict[str, Any] = {"params": given} if method != "POST" else {"data": given}
        with _answered(doing, commits=commits):
            async with asyncio.timeout(None) as limit:
                if chunk is not None:
                    headers |= (body := _Multipart(given, chunk, IdleTimeout(limit, self.account.read_timeout))).headers
                    how = {"data": body.pieces()}
                async with self.web.request(method, url, headers=headers, allow_redirects=False, **how) as answer:
                    text = await answer.text(errors="replace")
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if answer.status != 200 or not isinstance(said, dict) or "error" in said:
            error = graph_error(answer.status, said, answer.headers)
            # A malformed token is quoted by the answer that complains of it.
            error.message = error.message.replace(token, "…")
            raise error
        return said


class _Multipart:
    """A form with a chunk of a file in it, whose length is known before (RFC 7578).

    While it goes out nothing comes back, so `silence` is broken by every piece that was taken.
    """

    def __init__(self, form: Mapping[str, str], chunk: Chunk, silence: IdleTimeout) -> None:
        boundary = uuid4().hex
        fields = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in form.items()
        )
        named = 'Content-Disposition: form-data; name="video_file_chunk"; filename="chunk"'
        self._head = f"{fields}--{boundary}\r\n{named}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._chunk, self._silence = chunk, silence
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + chunk.size + len(self._tail)),
        }

    async def pieces(self) -> AsyncIterator[bytes | bytearray]:
        """The body."""
        yield self._head
        async for piece in self._chunk.pieces:
            self._silence.touch()
            yield piece
        yield self._tail


@contextmanager
def _answered(doing: str, *, commits: bool) -> Iterator[None]:
    try:
        with map_errors(doing):
            yield
    except RetryLater as fault:
        if commits and not isinstance(fault.__cause__, aiohttp.ClientConnectorError):
            raise OutcomeUnknown(
                f"The connection was lost in the middle of {doing}: look whether it is there."
            ) from fault
        raise


@asynccontextmanager
async def graph(account: Account, name: str, clock: Clock, *, wait_after_400: float = 21600.0) -> AsyncIterator[Graph]:
    """Open a session for an account; `wait_after_400` is in seconds."""
    timeout = idle_timeout(account.connect_timeout, account.read_timeout)
    trust = ssl_context(account.ca) if account.ca is not None else True
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=trust)) as web:
        yield Graph(web, account, name, clock, wait_after_400)

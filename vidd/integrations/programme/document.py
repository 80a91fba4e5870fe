"""Reads the document of a schedule, from a file or by http(s), again only where it has changed (RFC 9110, 13)."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.disk_space import disk_fault
from vidd.transfer.http import fault_of_status, map_errors, public_url, retry_after

if TYPE_CHECKING:
    import aiohttp

    from vidd.ports import Clock

LARGEST = 16 * 1024 * 1024
"""The size in bytes above which no document is read; the schedule of a congress of a thousand talks has 5 MB."""

_VALIDATORS = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
_REDIRECTS = 5
_REDIRECT = frozenset({301, 302, 303, 307, 308})


class WebDocument:
    """A document at an http(s) address. `headers` are sent to the address's own host only, never after a redirect."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        """With a `body`, it is posted as JSON."""
        self.url, self._clock, self._headers, self._body = url, clock, headers or {}, body
        self.name = public_url(url)
        self._validators: dict[str, str] = {}
        self._digest = b""
        self._pending: tuple[dict[str, str], bytes] = ({}, b"")

    async def read(self, web: aiohttp.ClientSession) -> bytes | None:
        """The document; None where it is as it was at the last `accept`. Raises Refused or RetryLater."""
        url = self.url
        for _ in range(_REDIRECTS + 1):
            own = urlsplit(url)[:2] == urlsplit(self.url)[:2]
            headers = {"Accept-Encoding": "identity", "User-Agent": "vidd", **(self._headers if own else {})}
            doing = f"reading {public_url(url)}"
            with map_errors(doing):
                async with web.request(
                    "GET" if self._body is None else "POST",
                    url,
                    headers={**headers, **self._validators},
                    json=self._body,
                    allow_redirects=False,
                ) as answer:
                    if answer.status in _REDIRECT and "Location" in answer.headers:
                        url = urljoin(url, answer.headers["Location"])
                        continue
                    if answer.status == 304:
                        return None
                    if not 200 <= answer.status < 300:
                        after = retry_after(answer.headers.get("Retry-After"), self._clock.now())
                        raise fault_of_status(answer.status, doing, after=after)
                    return self._if_new(await bounded(answer), answer.headers)
        raise Refused(f"The server redirects in a circle at {self.name}: correct the address.", code=FaultCode.REJECTED)

    def _if_new(self, content: bytes, headers: Mapping[str, str]) -> bytes | None:
        validators = {name: headers[source] for name, source in _VALIDATORS.items() if source in headers}
        self._pending = ({} if self._body is not None else validators, hashlib.sha256(content).digest())
        return None if self._pending[1] == self._digest else content

    def accept(self) -> None:
        """Take the document that was read last as known: it could be used."""
        self._validators, self._digest = self._pending


class FileDocument:
    """A document in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self._known = self._pending = b""

    async def read(self, _web: aiohttp.ClientSession) -> bytes | None:
        """The document; None where it is as it was at the last `accept`. Raises Refused or RetryLater."""
        content = await asyncio.to_thread(self._content)
        self._pending = hashlib.sha256(content).digest()
        return None if self._pending == self._known else content

    def _content(self) -> bytes:
        try:
            # Not `Path.open`, which would wait for the writer of a named pipe.
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                content = file.read(LARGEST + 1) or b""
        except FileNotFoundError:
            raise RetryLater(
                f"There is no schedule {self.path}: put it there, or correct its path.", code=FaultCode.NOT_FOUND
            ) from None
        except OSError as error:
            raise disk_fault(error, f"reading the schedule {self.path}") from error
        if len(content) > LARGEST:
            raise _too_large(self.name)
        return content

    def accept(self) -> None:
        """Take the document that was read last as known: it could be used."""
        self._known = self._pending


async def bounded(answer: aiohttp.ClientResponse) -> bytes:
    """The body of an answer. Raises Refused where it is too large, or compressed although nobody asked for that."""
    name = public_url(str(answer.url))
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(f"{name} sends its text compressed unasked: correct the server.", code=FaultCode.REJECTED)
    content = bytearray()
    async for data in answer.content.iter_any():
        content += data
        if len(content) > LARGEST:
            raise _too_large(name)
    return bytes(content)


def _too_large(name: str) -> Refused:
    return Refused(
        f"{name} has more than {LARGEST // 2**20} MiB, and no schedule is that large: look at what is there.",
        code=FaultCode.BAD_INPUT,
    )

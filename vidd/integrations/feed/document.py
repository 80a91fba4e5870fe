"""Gets a feed's document: from a file, or from the web, there again only where it has changed (RFC 9110, 13)."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidd.aio.shield import in_thread
from vidd.display_text import size_in_words
from vidd.errors import Fault, FaultCode, Refused, RetryLater
from vidd.files.disk_space import disk_fault
from vidd.transfer.http import public_url
from vidd.transfer.public_fetch import public_web

if TYPE_CHECKING:
    from vidd.integrations.feed.account import Account
    from vidd.ports import Tools

_ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
_VALIDATORS = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
_KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """A feed as it came. name: for sentences. url: what its relative addresses are relative to; "" of a file."""

    name: str
    url: str
    content: bytes
    content_type: str = ""


class KeptDocuments:
    """The documents that servers gave with a validator, the last ones, by the address that was asked for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[dict[str, str], Document]] = OrderedDict()

    def find(self, url: str) -> tuple[dict[str, str], Document] | None:
        """The headers to ask with, and the document that is the answer where nothing has changed."""
        return self._kept.get(url)

    def keep(self, url: str, headers: Mapping[str, str], document: Document) -> None:
        """Keep a document for the next time, and drop the oldest ones that there is no room for."""
        self._kept.pop(url, None)
        validators = {name: headers[source] for name, source in _VALIDATORS.items() if source in headers}
        if validators:
            self._kept[url] = (validators, document)
        while sum(len(kept.content) for _, kept in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)


async def read_document(account: Account, user: str, tools: Tools) -> Document:
    """The feed of a user. Raises Refused or RetryLater."""
    if account.path is not None:
        path = tools.path(account.path)
        return Document(path.name, "", await in_thread(_content, path, int(account.largest)))
    return await _fetch(account, account.address(user), tools)


async def _fetch(account: Account, url: str, tools: Tools) -> Document:
    kept, name = tools.shared.get(KeptDocuments), public_url(url)
    known = kept.find(url)
    headers = {"Accept": _ACCEPT, **(known[0] if known else {})}
    web = public_web(
        private=account.private_addresses, largest=int(account.largest), seconds=account.timeout, proxy=account.proxy
    )
    async with web as session:
        try:
            found = await session.fetch(url, headers)
        except Fault as fault:
            raise _about(fault, name) from fault
    if found.status == 304:
        if known is None:
            raise Refused(f"{name} says that it has not changed, which vidd did not ask: correct the server.")
        return known[1]
    document = Document(name, found.url, found.body, found.headers.get("Content-Type", ""))
    kept.keep(url, found.headers, document)
    return document


def _about(fault: Fault, name: str) -> Fault:
    """The fault of a fetch, with the feed's name."""
    if isinstance(fault, RetryLater):
        sentence = f"The feed {name} cannot be read: {fault.sentence} vidd will retry."
        counts = fault.code is not FaultCode.RATE_LIMITED
        return RetryLater(sentence, after=fault.after, counts=counts, code=fault.code)
    return Refused(f"The feed {name} cannot be read: {fault.sentence} Correct the address.", code=fault.code)


def _content(path: Path, largest: int) -> bytes:
    # Whoever asks for a video reads the sentences, so that they name the file without its directories.
    try:
        # Not `Path.open`, which would wait for the writer of a named pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            content = file.read(largest + 1) or b""
    except FileNotFoundError:
        raise Refused(
            f"There is no feed {path.name}: put it there, or correct `path` of the account.", code=FaultCode.NOT_FOUND
        ) from None
    except OSError as error:
        raise disk_fault(error, f"reading the feed {path.name}") from error
    if len(content) > largest:
        raise Refused(
            f"The feed {path.name} has more than {size_in_words(largest)}: raise `largest`, or correct `path`."
        )
    return content

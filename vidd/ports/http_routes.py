"""HTTP routes of a source: the requests and replies. `vidd.web` serves them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A request: `named` are the named parts of its path, `fields` the fields of its body (a form's texts, JSON values).

    headers: by their names in small letters. remote: the address of the caller; "" through the socket.
    origin: scheme, host and port by which the caller reached vidd, such as http://localhost:5000.
    """

    named: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    remote: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `body` is a text, which is sent as it is, or anything that JSON can hold; None sends no body.

    With `file`, the file is sent in its place, by ranges, with ETag and Last-Modified (RFC 9110); 404 if it is gone.
    """

    status: int = 200
    body: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None


class Declined(Exception):
    """Raised for an answer that is an error: the status (400 to 499), and a sentence that says what to do.

    retry_after: seconds after which the same call may be answered; sent as Retry-After.
    """

    def __init__(self, status: int, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after


@dataclass(frozen=True, slots=True)
class SourceRoute:
    """A route. A part of `path` in braces, such as {id}, matches any text without a slash.

    The route needs no token of the daemon; the source itself checks who may ask. `schema` is the JSON Schema of its body,
    for the OpenAPI document. A `public` route is answered by whatever name the daemon was asked. `head`: HEAD runs it, too; not
    where a GET starts something.
    """

    method: str
    path: str
    answer: Callable[[Call], Awaitable[Reply]]
    summary: str
    schema: Mapping[str, Any] | None = None
    public: bool = False
    head: bool = True

"""HTTP routes of a source: the requests and replies. `vidd.web` serves them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A request: `named` are the named parts of its path, `fields` the fields of its body (a form's texts, JSON values)."""

    named: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `body` is a text, which is sent as it is, or anything that JSON can hold; None sends no body."""

    status: int = 200
    body: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Declined(Exception):
    """Raised for an answer that is an error: the status (400 to 499), and a sentence that says what to do."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True, slots=True)
class SourceRoute:
    """A route. A part of `path` in braces, such as {id}, matches any text without a slash.

    The route needs no token of the daemon; the source itself checks who may ask. `schema` is the JSON Schema of its body,
    for the OpenAPI document.
    """

    method: str
    path: str
    answer: Callable[[Call], Awaitable[Reply]]
    summary: str
    schema: Mapping[str, Any] | None = None

"""HTTP routes that a source brings: what it is asked, and what it answers. The port itself is `vidd.web`'s."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `named` are the parts of its path that have a name, `fields` those of its body: a form's texts, or JSON's values."""

    named: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: `body` is a text as it stands, or what JSON can hold; None is an empty one."""

    status: int = 200
    body: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Declined(Exception):
    """An answer that is an error: the status (400 to 499), and a sentence somebody can act on."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True, slots=True)
class SourceRoute:
    """A route. A part of `path` in braces is any text without a slash, such as {id}.

    It asks for no token of the daemon's: who may ask is for the source to say. `schema` is that of its body (JSON
    Schema, for the OpenAPI document).
    """

    method: str
    path: str
    answer: Callable[[Call], Awaitable[Reply]]
    summary: str
    schema: Mapping[str, Any] | None = None

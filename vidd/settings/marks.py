"""Marks of options: what a text in the settings names, so that vidd finds a name of nothing before a job has run for hours.

A kind annotates an option of its `Options`:

    account: Annotated[str, AccountOf("s3")]
    files: tuple[Annotated[str, Role()], ...]
"""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

Where = tuple[int | str, ...]
M = TypeVar("M")
V = TypeVar("V")


@dataclass(frozen=True)
class AccountOf:
    """Annotates an option that names an account of one of these kinds; of any kind where there are none."""

    kinds: tuple[str, ...]

    def __init__(self, *kinds: str) -> None:
        object.__setattr__(self, "kinds", kinds)


@dataclass(frozen=True)
class Role:
    """Annotates an option that names an artifact by its role; an empty text names none."""


def marked(options: BaseModel, mark: type[M], of: type[V]) -> Iterator[tuple[Where, V, M]]:
    """The values of this type in an options model that have such a mark, each with its path and its mark."""
    for name, annotation in get_type_hints(type(options), include_extras=True).items():
        if name in type(options).model_fields:
            yield from _Search(mark, of).search(annotation, getattr(options, name), (name,))


@dataclass(frozen=True)
class _Search(Generic[M, V]):
    """The search for values of type `of` with a mark of type `mark`."""

    mark: type[M]
    of: type[V]

    def search(self, annotation: Any, value: Any, where: Where) -> Iterator[tuple[Where, V, M]]:
        """The values in `value`, which is annotated so."""
        if isinstance(value, self.of):
            marks = getattr(annotation, "__metadata__", ())
            yield from ((where, value, found) for found in marks if isinstance(found, self.mark))
        if isinstance(value, BaseModel):
            yield from (((*where, *more), text, found) for more, text, found in marked(value, self.mark, self.of))
            return
        inner = get_args(annotation)
        if get_origin(annotation) is Annotated:
            yield from self.search(inner[0], value, where)
        elif get_origin(annotation) in {Union, UnionType}:
            for member in inner:
                yield from self.search(member, value, where)
        elif isinstance(value, tuple) and inner:
            for at, entry in enumerate(value):
                yield from self.search(inner[0], entry, (*where, at))
        elif isinstance(value, dict) and inner:
            for key, entry in value.items():
                yield from self.search(inner[1], entry, (*where, str(key)))

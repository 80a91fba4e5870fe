"""Checks the fields that the templates of the settings name, so that a slip is found before a job has run for hours.

Known beforehand are the names of fields, and the members of those that vidd itself gives. A field that a template tests
(`is defined`, `default`) may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from jinja2 import meta, nodes
from pydantic import BaseModel

from vidd.model.talk import Talk
from vidd.settings.templates import syntax_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Where = tuple[int | str, ...]

USUAL = frozenset({"job", "talk", "name", "facts", "failure", "rework"})
"""The fields of every template, as `templates.fields_of` gives them."""

_PERSON = frozenset({"name", "email"})
_MEMBERS: Mapping[str, Collection[str]] = {
    "job": frozenset({"id", "pipeline", "source", "name", "created", "state", "reason"}),
    "failure": frozenset({"step", "said", "log"}),
    "talk": frozenset(field.name for field in fields(Talk)),
    "recipient": _PERSON,
    "sender": _PERSON,
}
_EXISTENCE_TESTS = frozenset({"defined", "undefined", "default", "d"})


@dataclass(frozen=True)
class MayName:
    """Annotates an option that is a template: the fields it may name besides USUAL and the steps' facts."""

    names: frozenset[str]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", frozenset(names))


def templates_in(options: BaseModel) -> Iterator[tuple[Where, str, MayName]]:
    """The templates in an options model, each with its path and the fields it may name."""
    for name, annotation in get_type_hints(type(options), include_extras=True).items():
        if name in type(options).model_fields:
            yield from _templates(annotation, getattr(options, name), (name,))


def _templates(annotation: Any, value: Any, where: Where) -> Iterator[tuple[Where, str, MayName]]:
    marks = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, MayName)]
    if isinstance(value, str):
        yield from ((where, value, mark) for mark in marks)
    if isinstance(value, BaseModel):
        yield from (((*where, *more), text, may) for more, text, may in templates_in(value))
        return
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from _templates(inner[0], value, where)
    elif get_origin(annotation) in {Union, UnionType}:
        for member in inner:
            yield from _templates(member, value, where)
    elif isinstance(value, tuple) and inner:
        for at, entry in enumerate(value):
            yield from _templates(inner[0], entry, (*where, at))
    elif isinstance(value, dict) and inner:
        for key, entry in value.items():
            yield from _templates(inner[1], entry, (*where, str(key)))


def unknown_in(template: str, known: Collection[str] | None, labels: Collection[str]) -> list[str]:
    """A sentence for each field that a template names and that will not exist.

    `known` are the names of fields, None if they are not all known; `labels` are those of the pipeline's publishers.
    """
    syntax = syntax_of(template)
    own = {node.name for node in syntax.find_all(nodes.Name) if node.ctx == "store"}
    tested = {_path(node.node) for node in syntax.find_all((nodes.Test, nodes.Filter)) if node.name in _EXISTENCE_TESTS}
    found = []
    if known is not None:
        unknown = meta.find_undeclared_variables(syntax) - set(known) - {path[0] for path in tested if path}
        found += [f"the template names an unknown field {name}{_hint(name, known)}" for name in sorted(unknown)]
    members = {**_MEMBERS, "urls": labels}
    for access in syntax.find_all((nodes.Getattr, nodes.Getitem)):
        path = _path(access)
        if len(path) != 2 or path in tested or path[0] in own or path[0] not in members:
            continue
        base, name = path
        if name not in members[base]:
            found.append(f"the template names {base}.{name}, which does not exist{_hint(name, members[base])}")
    return list(dict.fromkeys(found))


def _path(node: Any) -> tuple[str, ...]:
    """`talk.title` and `talk["title"]` as ("talk", "title"); empty if it is not made of names alone."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        before, name = _path(node.node), node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        before, name = _path(node.node), node.arg.value
    else:
        return ()
    return (*before, name) if before else ()


def _hint(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else f"; there are {', '.join(sorted(known)) or 'none'}"

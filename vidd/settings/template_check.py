"""The fields that templates name, looked for in the settings: a slip is found before a job has run for hours.

What can be known beforehand are names, and the members of what vidd itself gives; where a template asks whether a field
is there (`is defined`, `default`), it may be missing.
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
"""What every template may name, as `texts.fields_of` gives it."""

_PERSON = frozenset({"name", "email"})
_MEMBERS: Mapping[str, Collection[str]] = {
    "job": frozenset({"id", "pipeline", "source", "name", "created", "state", "reason"}),
    "failure": frozenset({"step", "said", "log"}),
    "talk": frozenset(field.name for field in fields(Talk)),
    "recipient": _PERSON,
    "sender": _PERSON,
}
_ASKS = frozenset({"defined", "undefined", "default", "d"})


@dataclass(frozen=True)
class MayName:
    """In the annotation of an option that is a template: what it may name besides the usual and the steps' facts."""

    names: frozenset[str]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", frozenset(names))


def templates_in(options: BaseModel) -> Iterator[tuple[Where, str, MayName]]:
    """The templates of an options model, wherever they are in it."""
    for name, annotation in get_type_hints(type(options), include_extras=True).items():
        if name in type(options).model_fields:
            yield from _templates(annotation, getattr(options, name), (name,))


def _templates(annotation: Any, value: Any, where: Where) -> Iterator[tuple[Where, str, MayName]]:
    marks = [one for one in getattr(annotation, "__metadata__", ()) if isinstance(one, MayName)]
    if isinstance(value, str):
        yield from ((where, value, mark) for mark in marks)
    if isinstance(value, BaseModel):
        yield from (((*where, *more), text, may) for more, text, may in templates_in(value))
        return
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from _templates(inner[0], value, where)
    elif get_origin(annotation) in {Union, UnionType}:
        for one in inner:
            yield from _templates(one, value, where)
    elif isinstance(value, tuple) and inner:
        for at, entry in enumerate(value):
            yield from _templates(inner[0], entry, (*where, at))
    elif isinstance(value, dict) and inner:
        for key, entry in value.items():
            yield from _templates(inner[1], entry, (*where, str(key)))


def unknown_in(template: str, known: Collection[str] | None, labels: Collection[str]) -> list[str]:
    """A sentence for each field that a template names and that will not be there.

    `known` are the names there are, None where that cannot be told; `labels` are those of the pipeline's publishers.
    """
    syntax = syntax_of(template)
    own = {one.name for one in syntax.find_all(nodes.Name) if one.ctx == "store"}
    asked = {_path(one.node) for one in syntax.find_all((nodes.Test, nodes.Filter)) if one.name in _ASKS}
    found = []
    if known is not None:
        strange = meta.find_undeclared_variables(syntax) - set(known) - {path[0] for path in asked if path}
        found += [f"the template names an unknown field {name}{_hint(name, known)}" for name in sorted(strange)]
    members = {**_MEMBERS, "urls": labels}
    for one in syntax.find_all((nodes.Getattr, nodes.Getitem)):
        path = _path(one)
        if len(path) != 2 or path in asked or path[0] in own or path[0] not in members:
            continue
        base, name = path
        if name not in members[base]:
            found.append(f"the template names {base}.{name}, which there is not{_hint(name, members[base])}")
    return list(dict.fromkeys(found))


def _path(node: Any) -> tuple[str, ...]:
    """`talk.title` and `talk["title"]` as ("talk", "title"); empty where it is none of names alone."""
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

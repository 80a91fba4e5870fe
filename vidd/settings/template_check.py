"""Checks the fields that the templates of the settings name, so that a slip is found before a job has run for hours.

Known beforehand are the names of fields, and the members of those that vidd itself gives. A field that a template tests
(`is defined`, `default`) may be missing there, and only there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import meta, nodes

from vidd.model.talk import Talk
from vidd.settings.marks import marked
from vidd.settings.templates import syntax_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic import BaseModel

    from vidd.settings.marks import Where


USUAL = frozenset({"conference", "job", "talk", "name", "facts", "failure", "rework"})
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
    return marked(options, MayName, str)


def template_files_in(options: BaseModel) -> Iterator[tuple[Where, Path, MayName]]:
    """The files of an options model that hold a template, each with its path and the fields it may name."""
    return marked(options, MayName, Path)


def unknown_in(template: str, known: Collection[str] | None, labels: Collection[str]) -> list[str]:
    """A sentence for each field that a template names and that will not exist.

    `known` are the names of fields, None if they are not all known; `labels` are those of the pipeline's publishers.
    """
    names, accesses = named_in(template)
    found = []
    if known is not None:
        unknown = sorted(names - set(known))
        found += [f"the template names an unknown field {name}{hint(name, known)}" for name in unknown]
    members = {**_MEMBERS, "urls": labels}
    found += [
        f"the template names {base}.{name}, which does not exist{hint(name, members[base])}"
        for base, name in accesses
        if base in members and name not in members[base]
    ]
    return found


def named_in(template: str) -> tuple[set[str], list[tuple[str, str]]]:
    """The fields that must exist for a template, and the members of them, as (field, member), in order.

    What the template sets itself is left out, and each place where a field may be missing: `default` is about its own
    place, `is defined` about what depends on it.
    """
    syntax = syntax_of(template)
    own = {node.name for node in syntax.find_all(nodes.Name) if node.ctx == "store"}
    remembered = {path for assignment in syntax.find_all(nodes.Assign) for path in _tested(assignment, by=nodes.Test)}
    needed = list(_needed(syntax, frozenset(remembered)))
    names = meta.find_undeclared_variables(syntax) & {path[0] for path in needed}
    accesses = [(path[0], path[1]) for path in needed if len(path) == 2 and path[0] not in own]
    return names, list(dict.fromkeys(accesses))


def _needed(node: nodes.Node, missing: frozenset[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The paths that must exist at and below a node, where those of `missing` need not."""
    if isinstance(node, nodes.Test | nodes.Filter) and node.name in _EXISTENCE_TESTS:
        missing |= {_path(node.node)}
    elif isinstance(node, nodes.If | nodes.CondExpr | nodes.For) and node.test is not None:
        missing |= _tested(node.test)
    elif isinstance(node, nodes.And | nodes.Or):
        missing |= _tested(node.left)
    path = _path(node)
    if path and path not in missing and (len(path) > 1 or path not in {other[:1] for other in missing}):
        yield path
    for child in node.iter_child_nodes():
        yield from _needed(child, missing)


def _tested(node: nodes.Node, *, by: type[nodes.Node] = nodes.Expr) -> set[tuple[str, ...]]:
    """The paths that a node, or one below it, tests for existence."""
    tests = [node, *node.find_all((nodes.Test, nodes.Filter))]
    return {
        _path(test.node)
        for test in tests
        if isinstance(test, by) and isinstance(test, nodes.Test | nodes.Filter) and test.name in _EXISTENCE_TESTS
    }


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


def hint(name: str, known: Collection[str]) -> str:
    """The known name that may have been meant, or all of them, as the end of a sentence."""
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else f"; there are {', '.join(sorted(known)) or 'none'}"

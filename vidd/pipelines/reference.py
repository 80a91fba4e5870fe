"""The reference of settings, kinds and accounts as data, read from the code: models, registry, metrics, states, routes."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import AwareDatetime, BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from vidd.errors import Refused
from vidd.integrations.notice import NoticeOptions
from vidd.media.ffmpeg.settings import parse_bit_rate, parse_length, parse_level
from vidd.model.job import MEANING, MOVES, State
from vidd.model.publication import PUBLICATION_MEANING, PUBLICATION_MOVES, PublicationState
from vidd.pipelines.registry import entry_of, kinds, model_of, module_of
from vidd.ports.kinds import (
    Amends,
    Audits,
    Checks,
    ChoosesPool,
    Gates,
    Mirrors,
    Publisher,
    Replaces,
    Retracts,
    ServesRoutes,
)
from vidd.settings.schema import Settings, Table
from vidd.settings.templates import check_template
from vidd.settings.types import parse_duration
from vidd.web.metrics import METRICS
from vidd.web.openapi import PATHS
from vidd.web.server import ROUTES

FAMILIES: Mapping[str, str] = {
    "sources": "source",
    "steps": "step",
    "publishers": "publisher",
    "stores": "store",
    "queues": "queue",
    "accounts": "account",
}
"""The families of kinds, each with its word in the singular."""

_HEADERS = {
    "sources": "[sources.NAME]",
    "steps": "[[pipelines.NAME.steps]]",
    "publishers": "[[pipelines.NAME.publish]]",
    "stores": "[store]",
    "queues": "[queue]",
    "accounts": "[accounts.NAME]",
}
_NOTICE_HEADER = "[[pipelines.NAME.notify]]"


@dataclass(frozen=True, slots=True)
class Option:
    """A key of a table: its type and default in words, and the tables that its value is made of.

    `default` is as TOML writes it, "" where leaving the key out is a choice of its own.
    """

    name: str
    type: str
    required: bool
    default: str
    secret: bool
    description: str
    tables: tuple[OptionTable, ...] = ()


@dataclass(frozen=True, slots=True)
class OptionTable:
    """A table inside another. `path` is how its keys are reached, such as `watermark`, `outputs[]` or `versions.<key>`."""

    path: str
    summary: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of the registry. `example` is a table of vidd.toml with every key, the optional ones commented out."""

    family: str
    name: str
    summary: str
    capabilities: tuple[str, ...]
    options: tuple[Option, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Section:
    """A table of vidd.toml that has no kind."""

    header: str
    summary: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as Prometheus sees it."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A state of a job or a publication, and the states that it can change to."""

    name: str
    meaning: str
    moves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """A route of the port. `access` says who may call it over TCP."""

    method: str
    path: str
    summary: str
    access: str
    parameters: tuple[tuple[str, str, str], ...]
    body: str | None
    answers: tuple[tuple[str, str, str], ...]


_UNIONS = {Union, types.UnionType}
_LISTS = {tuple, list, set, frozenset}
_BOUNDS: Mapping[str, str] = {
    "ge": "{} or more",
    "gt": "above {}",
    "le": "at most {}",
    "lt": "below {}",
    "multiple_of": "a multiple of {}",
}
"""Attributes of annotated_types' marks, in words."""
_BY_VALIDATOR: Mapping[Any, str] = {
    parse_duration: "duration",
    check_template: "template",
    parse_bit_rate: "bit rate",
    parse_length: "length",
    parse_level: "level",
}
_BY_TYPE: Mapping[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    Path: "path",
    SecretStr: "secret",
    ByteSize: "size",
    AwareDatetime: "time with zone",
    Any: "any value",
    dict: "table",
}
_PLURALS = {
    "text": "texts",
    "path": "paths",
    "secret": "secrets",
    "size": "sizes",
    "number": "numbers",
    "whole number": "whole numbers",
    "template": "templates",
    "duration": "durations",
    "table": "tables",
}


def type_in_words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A pydantic annotation as people say it: "duration, above 0", "list of texts", `"auto" or "full"`."""
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        metadata = [*inner, *metadata]
    metadata = [mark for item in metadata for mark in (item.metadata if isinstance(item, FieldInfo) else (item,))]
    base = _base(annotation, metadata)
    return ", ".join([base, *_bounds(metadata, base, counts=_is_container(annotation))])


def _base(annotation: Any, metadata: Sequence[Any]) -> str:
    for mark in metadata:
        word = _BY_VALIDATOR.get(_hashable(getattr(mark, "func", None)))
        if word:
            return word
    if annotation in _BY_TYPE:
        return _BY_TYPE[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return _generic(annotation, get_origin(annotation), get_args(annotation))


def _generic(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> str:
    if origin is Literal:
        return _alternatives([json.dumps(value) for value in arguments])
    if origin in _UNIONS:
        words = [type_in_words(member) for member in arguments if member is not type(None)]
        return _alternatives(list(dict.fromkeys(words)))
    if origin in _LISTS:
        return f"list of {_plural(type_in_words(arguments[0]))}"
    if origin is dict:
        return f"table of {_plural(type_in_words(arguments[1]))} by {_key_in_words(arguments[0])}"
    raise TypeError(f"vidd.pipelines.reference has no words for the type {annotation!r}")


def _hashable(function: Any) -> Any:
    return function if isinstance(function, Callable) else None  # type: ignore[arg-type]


def _key_in_words(annotation: Any) -> str:
    words = type_in_words(annotation)
    return "name" if words == "text" or words.startswith("text, ") else words


def _alternatives(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _plural(words: str) -> str:
    first, _, rest = words.partition(", ")
    return ", ".join([_PLURALS.get(first, first), *([rest] if rest else [])])


def _is_container(annotation: Any) -> bool:
    return get_origin(annotation) in {*_LISTS, dict}


def _bounds(metadata: Sequence[Any], base: str, *, counts: bool) -> Iterator[str]:
    def amount(value: Any) -> str:
        if base == "duration":
            return duration_in_toml(value)
        if base == "size":
            return size_in_toml(value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    found = {name: amount(getattr(mark, name)) for mark in metadata for name in _BOUNDS if hasattr(mark, name)}
    if {"ge", "le"} <= found.keys():
        yield f"{found.pop('ge')} to {found.pop('le')}"
    for name, words in _BOUNDS.items():
        if name in found:
            yield words.format(found[name])
    for mark in metadata:
        if isinstance(mark, at.MinLen):
            yield "not empty" if mark.min_length == 1 and not counts else f"at least {mark.min_length}"
        if isinstance(mark, at.MaxLen):
            yield f"at most {mark.max_length}{'' if counts else ' characters'}"


_SECONDS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_BYTES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def duration_in_toml(seconds: float) -> str:
    """`90s`, `1h30m`, `500ms`, as the settings take it."""
    if seconds <= 0 or seconds != int(seconds):
        return f"{seconds:g}s" if seconds >= 1 or seconds <= 0 else f"{seconds * 1000:g}ms"
    rest, text = int(seconds), ""
    if rest % 60 and rest < 600:
        return f"{rest}s"
    for unit, length in _SECONDS:
        count, rest = divmod(rest, length)
        text += f"{count}{unit}" if count else ""
    return text


def size_in_toml(size: int) -> str:
    """`64MiB`, `5GiB`, as the settings take it."""
    for unit, length in _BYTES:
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)


def to_toml(value: Any, words: str = "") -> str:
    """A default as TOML writes it; `words` is the type of the option."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value, words)
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, Mapping):
        rows = [f"{_toml_key(str(key))} = {to_toml(inner)}" for key, inner in value.items()]
        return f"{{ {', '.join(rows)} }}" if rows else "{}"
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return f"[{', '.join(to_toml(inner) for inner in value)}]"
    return json.dumps(str(value), ensure_ascii=False)


def _number(value: float, words: str) -> str:
    if words.startswith("duration"):
        return f'"{duration_in_toml(value)}"'
    if isinstance(value, ByteSize) or words.startswith("size"):
        return f'"{size_in_toml(int(value))}"'
    return str(value)


def _toml_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _models(annotation: Any, path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that a value is made of, with the paths at which they are."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation is not Table:
            yield path, annotation
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict:
        yield from _models(arguments[1], f"{path}.<{_key_in_words(arguments[0]).replace('whole number', 'number')}>")
    elif origin in _LISTS:
        yield from _models(arguments[0], f"{path}[]")
    elif origin in _UNIONS:
        for member in arguments:
            yield from _models(member, path)


def options_of(model: type[BaseModel], path: str = "") -> tuple[Option, ...]:
    """The options of a model in their order; tables inside follow at their options."""
    return tuple(_option(name, field, f"{path}{name}") for name, field in model.model_fields.items())


def _option(name: str, field: FieldInfo, path: str) -> Option:
    words = type_in_words(field.annotation, field.metadata)
    required = field.is_required()
    value = None if required else field.get_default(call_default_factory=True, validated_data={})
    secret = "SecretStr" in str(field.annotation)
    tables = tuple(
        OptionTable(where, summary_of(model), options_of(model, f"{where}."))
        for where, model in _models(field.annotation, path)
    )
    default = "" if value is None else to_toml(value, words)
    described = field.description or ("The kind, always this." if get_origin(field.annotation) is Literal else "")
    return Option(name, words, required, default, secret, _sentence(described), tables)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


def summary_of(model: type[BaseModel]) -> str:
    """The first sentence of a model's own docstring."""
    return _sentence((inspect.getdoc(model) or "").split("\n\n")[0]) if "__doc__" in vars(model) else ""


_FUNCTIONS: Sequence[tuple[type, str]] = (
    (ServesRoutes, "Answers HTTP requests of its own."),
    (Audits, "`vidd audit` can hold what the other side lists against the jobs."),
    (Publisher, "After a lost answer vidd asks the other side before it sends again."),
    (Gates, "Tells before anything is sent whether it would refuse the job."),
    (Amends, "Changes the text of what is published when the programme changes."),
    (Replaces, "Replaces changed files of what is published after `vidd rework`."),
    (Retracts, "Takes back what is published on `vidd retract`."),
    (Mirrors, "Shows the state of every talk while jobs are under way."),
)
_FLAGS: Sequence[tuple[str, str]] = (
    ("is_fetcher", "Fetches what it works on, so no `fetch` comes before it."),
    ("always_rerun", "Runs on every attempt, because the programme may have changed."),
    ("is_email", "Writes to people: `vidd resend` sends it once more."),
    ("runs_last", "Runs after the other publishers of the job."),
)


def _capabilities(family: str, kind: str) -> Iterator[str]:
    module, entry = module_of(family, kind), entry_of(family, kind)
    pool = getattr(entry, "pool", None)
    if isinstance(module, ChoosesPool):
        yield "Its options say of which pool of `[limits]` it takes a slot."
    elif pool:
        yield f"Takes a slot of `[limits] {pool}`."
    for name, sentence in _FLAGS:
        if getattr(entry, name, False):
            yield sentence
    for protocol, sentence in _FUNCTIONS:
        if isinstance(module, protocol):
            yield sentence
    if isinstance(module, Checks):
        yield "`vidd check` tests it." if entry.offline_check else "`vidd check --online` asks the other side."


def _is_notice(family: str, kind: str) -> bool:
    return family == "publishers" and (
        issubclass(model_of(family, kind), NoticeOptions) or kind in {"pretalx", "sheet"}
    )


def _example(family: str, kind: str, options: Sequence[Option]) -> str:
    header = _NOTICE_HEADER if _is_notice(family, kind) else _HEADERS[family]
    lines = [header, f'kind = "{kind}"']
    for option in options:
        if option.name == "kind":
            continue
        if option.required:
            lines.append(f"{option.name} = {_placeholder(option)}")
        elif option.secret:
            lines.append(f'# {option.name}_file = "/etc/vidd/{option.name}.secret"')
        elif option.default and len(option.default) < 80:
            lines.append(f"# {option.name} = {option.default}")
        elif not option.default and not option.tables:
            lines.append(f"# {option.name} = {_placeholder(option)}")
    return "\n".join(lines)


def _placeholder(option: Option) -> str:
    """A value of the option's type that shows its shape."""
    words = option.type
    if words.startswith("table of") or (words == "table" or words.startswith("table, ")):
        inner = option.tables[0] if option.tables else None
        fields = ", ".join(
            f"{field.name} = {field.default or _placeholder(field)}"
            for field in (inner.options if inner else ())
            if field.required or field.name == "kind"
        )
        if words.startswith("table of"):
            key = "1" if "by whole number" in words else "name"
            return f"{{ {key} = {{ {fields} }} }}" if inner else f'{{ {key} = "…" }}'
        return f"{{ {fields} }}" if fields else "{}"
    if words.startswith("list of"):
        return "[{}]" if option.tables else '["…"]'
    if words.startswith('"'):
        return words.partition(" or ")[0].partition(",")[0]
    for word, value in (
        ("true", "true"),
        ("whole", "1"),
        ("number", "1.0"),
        ("duration", '"1h"'),
        ("size", '"1GiB"'),
        ("time", "2026-01-01T00:00:00Z"),
    ):
        if words.startswith(word):
            return value
    return '"…"'


@cache
def kind_of(family: str, kind: str) -> Kind:
    """A kind with its options. Refused where there is none."""
    options = options_of(model_of(family, kind))
    return Kind(
        family,
        kind,
        entry_of(family, kind).summary,
        tuple(_capabilities(family, kind)),
        options,
        _example(family, kind, options),
    )


def kinds_of(family: str) -> list[Kind]:
    """The kinds of a family, by name; the summary of one that cannot be loaded says why."""
    return [_kind_or_fault(family, kind) for kind in kinds(family)]


def _kind_or_fault(family: str, kind: str) -> Kind:
    try:
        return kind_of(family, kind)
    except Refused as refused:
        return Kind(family, kind, f"vidd cannot load it: {refused.sentence}.", (), (), "")


def find_kinds(name: str) -> list[Kind]:
    """The kinds of this name, in every family that has one."""
    return [kind_of(family, name) for family in FAMILIES if name in kinds(family)]


def sections() -> list[Section]:
    """The tables of vidd.toml that have no kind."""
    found = []
    for name in ("daemon", "limits", "ffmpeg", "retry"):
        field = Settings.model_fields[name]
        found.append(Section(f"[{name}]", _sentence(field.description), options_of(_as_model(field.annotation))))
    pipeline = _as_model(get_args(Settings.model_fields["pipelines"].annotation)[1])
    found.append(
        Section("[pipelines.NAME]", _sentence(Settings.model_fields["pipelines"].description), options_of(pipeline))
    )
    return found


def _as_model(annotation: Any) -> type[BaseModel]:
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        raise TypeError(f"{annotation!r} is no model")
    return annotation


def metrics() -> list[Metric]:
    """The metrics of `/metrics`, by name; those of the process itself are the library's own."""
    found = [Metric(metric.name, metric.type, metric.labels, metric.meaning) for metric in METRICS]
    return sorted(found, key=lambda metric: metric.name)


def job_states() -> list[Standing]:
    """The states of a job."""
    return [
        Standing(state, MEANING[state], tuple(after for after in State if after in MOVES[state])) for state in State
    ]


def publication_states() -> list[Standing]:
    """The states of a publication."""
    return [
        Standing(
            state,
            PUBLICATION_MEANING[state],
            tuple(after for after in PublicationState if after in PUBLICATION_MOVES[state]),
        )
        for state in PublicationState
    ]


def operations() -> list[Operation]:
    """The routes of the port, in their order."""
    return [
        _operation(route.method, route.path, route.is_open, PATHS[route.path][route.method.lower()]) for route in ROUTES
    ]


def _operation(method: str, path: str, is_open: bool, stated: Mapping[str, Any]) -> Operation:  # noqa: FBT001
    access = (
        "everybody"
        if is_open
        else "a token"
        if method == "POST"
        else "everybody on a loopback address, otherwise a token"
    )
    body = stated.get("requestBody")
    return Operation(
        method,
        path,
        stated["summary"],
        access,
        tuple((entry["name"], entry["in"], entry.get("description", "")) for entry in stated["parameters"]),
        _schema_name(body["content"]) if body else None,
        tuple(
            (status, answer["description"], _schema_name(answer["content"]))
            for status, answer in stated["responses"].items()
        ),
    )


def _schema_name(content: Mapping[str, Any]) -> str:
    names = []
    for media, entry in content.items():
        schema = entry.get("schema", {})
        found = [part["$ref"].rpartition("/")[2] for part in (schema, *schema.get("oneOf", ())) if "$ref" in part]
        names.append(" or ".join(found) or media)
    return ", ".join(names)

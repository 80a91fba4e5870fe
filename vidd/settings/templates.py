"""Texts from templates: jinja2 in its sandbox, unknown fields refused by name."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import asdict, is_dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vidd.errors import Refused
from vidd.model.job import FAILURE
from vidd.model.rework import rework_of
from vidd.model.talk import Talk, names_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import nodes

    from vidd.model.job import Job

_LONGEST = 100_000


def file_name(text: str) -> str:
    """A text as one harmless path component: no separators, no leading dot or dash, 120 bytes at most."""
    flat = unicodedata.normalize("NFC", str(text))
    flat = re.sub(r"[^\w.\- ]+", "-", flat).strip(" .-")
    flat = re.sub(r"[\s-]+", "-", flat)
    while len(flat.encode()) > 120:
        flat = flat[:-1]
    return flat or "unnamed"


class _Json(str):
    """A piece of JSON, which is written as it is."""

    __slots__ = ()


def _to_json(value: Any) -> _Json:
    return _Json(json.dumps(value, ensure_ascii=False, allow_nan=False, default=_as_data))


def _as_data(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises, with the unknown field's name
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} is nothing that JSON knows")


def _within_json(value: Any) -> str:
    """A text as it stands between quotation marks, anything else as JSON has it; what `tojson` made as it is."""
    if isinstance(value, _Json):
        return value
    text = _to_json("" if value is None else value)
    return text[1:-1] if value is None or isinstance(value, str) else text


def for_slack(value: Any) -> str:
    """A text that is no markup of Slack's (docs.slack.dev, "Formatting message text"): no links, no @channel."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _environment(**more: Any) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, **more)
    environment.filters["words"] = names_in_words
    environment.filters["file_name"] = file_name
    environment.filters["tojson"] = _to_json
    return environment


_ENVIRONMENTS = {
    "plain": _environment(autoescape=False),
    "html": _environment(autoescape=True),
    "json": _environment(autoescape=False, finalize=_within_json),
    "slack": _environment(autoescape=False, finalize=for_slack),
}


@lru_cache(maxsize=256)
def _compiled(template: str, form: str) -> Template:
    return _ENVIRONMENTS[form].from_string(template)


def check_template(template: str) -> str:
    """A template as it is, or ValueError where it cannot be read."""
    try:
        _compiled(template, "plain")
    except TemplateSyntaxError as error:
        raise ValueError(f"the template cannot be read: {error.message} (line {error.lineno})") from None
    return template


def syntax_of(template: str) -> nodes.Template:
    """How a template that can be read is built."""
    return _ENVIRONMENTS["plain"].parse(template)


def render(template: str, fields: Mapping[str, Any], *, html: bool = False) -> str:
    """The text; Refused with the template's own words where a field is unknown or the template does harm."""
    return _rendered(template, fields, "html" if html else "plain")


def render_slack(template: str, fields: Mapping[str, Any]) -> str:
    """A text for Slack: the template's own markup counts, that of the fields does not. Refused as by `render`."""
    return _rendered(template, fields, "slack")


def render_json(template: str, fields: Mapping[str, Any]) -> str:
    """JSON: no field can break out of its quotation marks; one without them goes through `tojson`.

    Refused as by `render`, and where what comes out is no JSON (RFC 8259).
    """
    text = _rendered(template, fields, "json")
    try:
        json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise Refused(
            f"The template {template[:60]!r} makes no valid JSON ({error}): put a text between quotation marks, or "
            "write it with `| tojson`."
        ) from None
    return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _rendered(template: str, fields: Mapping[str, Any], form: str) -> str:
    try:
        text = _compiled(template, form).render(fields)
    except UndefinedError as error:
        raise Refused(f"The template {template[:60]!r} names an unknown field{_named(error, fields)}.") from None
    except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError) as error:
        raise Refused(f"The template {template[:60]!r} cannot be used: {error}.") from None
    if len(text) > _LONGEST:
        raise Refused(f"The template {template[:60]!r} made more than {_LONGEST} characters.")
    return text


def _named(error: UndefinedError, fields: Mapping[str, Any]) -> str:
    """Which field it was, and what it may have been meant for; the error has its name between the last quotes."""
    quoted = re.findall(r"'([^']*)'", error.message or "")
    name = quoted[-1] if quoted else "without a name"
    if not (error.message or "").endswith("is undefined"):
        return f" .{name}, which what stands before it does not have"
    near = get_close_matches(name, fields, n=1)
    return f" {name} (did you mean {near[0]}?)" if near else f" {name}; known: {', '.join(sorted(fields))}"


def title_among(fields: Mapping[str, Any]) -> str:
    """The title among the `fields_of` a job: the steps', or else the talk's, or else the file's name."""
    return str(fields.get("title") or fields["talk"].title or fields["name"])


def fields_of(job: Job, talk: Talk | None, facts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What a template may name: `job`, `talk`, `name` (the file's, without its end), the steps' facts, and more.

    `facts` are those of the arrival with the steps' over them, so that one can be named that a source brought. `failure`
    has the step in which the job failed, what its program said last, and where its log is; `rework` is that of the job.
    """
    return {
        "job": {
            "id": job.id,
            "pipeline": job.pipeline,
            "source": job.source,
            "name": job.name,
            "created": job.created,
            "state": str(job.state),
            "reason": job.reason or "",
        },
        "rework": rework_of(job),
        "failure": {"step": None, "said": "", "log": None, **job.facts.get(FAILURE, {})},
        "talk": talk or Talk(id=job.talk or ""),
        "name": job.name.rpartition(".")[0] or job.name,
        "facts": {**job.facts, **facts},
        **facts,
        **more,
    }

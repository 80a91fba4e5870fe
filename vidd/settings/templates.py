"""Renders the templates of the settings: jinja2 in its sandbox; an unknown field is refused by name."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import asdict, is_dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache, partial
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, NoReturn, Self

from jinja2 import (
    ChainableUndefined,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
)
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from vidd.errors import Refused
from vidd.model.job import FAILURE
from vidd.model.rework import rework_of
from vidd.model.talk import Talk, names_in_words
from vidd.settings.conference import CONFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import nodes

    from vidd.model.job import Job

_MAX_CHARACTERS = 100_000


def file_name(text: str) -> str:
    """A text as one harmless path component: no separators, no leading dot or dash, 120 bytes of UTF-8 at most."""
    flat = unicodedata.normalize("NFC", str(text))
    flat = re.sub(r"[^\w.\- ]+", "-", flat).strip(" .-")
    flat = re.sub(r"[\s-]+", "-", flat)
    while len(flat.encode()) > 120:
        flat = flat[:-1]
    return flat or "unnamed"


class _Json(str):
    """JSON that goes into the text as it is."""

    __slots__ = ()


def _to_json(value: Any) -> _Json:
    return _Json(json.dumps(value, ensure_ascii=False, allow_nan=False, default=_as_data))


def _as_data(value: Any) -> Any:
    if isinstance(value, Undefined):
        return str(value)  # or raises, with the unknown field's name
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"JSON has no type for a {type(value).__name__}")


def _escape_for_json(value: Any) -> str:
    """A text as it stands between JSON's quotation marks, any other value as JSON; what `tojson` made as it is."""
    if isinstance(value, _Json):
        return value
    text = _to_json("" if value is None else value)
    return text[1:-1] if value is None or isinstance(value, str) else text


def escape_for_slack(value: Any) -> str:
    """A text without Slack's markup (docs.slack.dev, "Formatting message text"): no links, no @channel."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class UnknownField(UndefinedError):
    """A template names a field that there is not; with `is_member`, a member of another value."""

    def __init__(self, message: str, *, name: str, is_member: bool) -> None:
        super().__init__(message)
        self.name = name
        self.is_member = is_member


class _Strict(StrictUndefined):
    """A StrictUndefined that raises UnknownField, which says in fields what jinja2 says in a sentence."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = UndefinedError
    ) -> None:
        # The sandbox gives an exception of its own for what is unsafe.
        if exc is UndefinedError and name is not None:
            exc = partial(UnknownField, name=str(name), is_member=obj is not missing)
        super().__init__(hint, obj, name, exc)


class _Forgiving(ChainableUndefined):
    """An unknown field that stands in the text as `(no NAME)`, whatever a template does with it."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"(no {self._undefined_name or 'value'})"

    def _itself(self, *_: Any, **__: Any) -> Self:
        return self

    def _false(self, _other: Any) -> bool:
        return False

    def _nan(self) -> float:
        return math.nan

    def _zero(self) -> int:
        return 0

    # jinja2 declares that these never return.
    __float__, __int__ = _nan, _zero  # type: ignore[assignment]
    __call__ = __round__ = __neg__ = __pos__ = __abs__ = _itself  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _itself  # type: ignore[assignment]
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _itself  # type: ignore[assignment]
    __lt__ = __le__ = __gt__ = __ge__ = _false  # type: ignore[assignment]


def _environment(**more: Any) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(**{"undefined": _Strict, "keep_trailing_newline": True, **more})
    environment.filters["words"] = names_in_words
    environment.filters["file_name"] = file_name
    environment.filters["tojson"] = _to_json
    return environment


_ENVIRONMENTS = {
    "plain": _environment(autoescape=False),
    "html": _environment(autoescape=True),
    "json": _environment(autoescape=False, finalize=_escape_for_json),
    "slack": _environment(autoescape=False, finalize=escape_for_slack),
    "forgiving plain": _environment(autoescape=False, undefined=_Forgiving),
    "forgiving html": _environment(autoescape=True, undefined=_Forgiving),
}


@lru_cache(maxsize=256)
def _compiled(template: str, form: str) -> Template:
    return _ENVIRONMENTS[form].from_string(template)


def check_template(template: str) -> str:
    """The template. ValueError if jinja2 cannot read it."""
    try:
        _compiled(template, "plain")
    except TemplateSyntaxError as error:
        raise ValueError(f"the template cannot be read: {error.message} (line {error.lineno})") from None
    return template


def syntax_of(template: str) -> nodes.Template:
    """The syntax tree of a template."""
    return _ENVIRONMENTS["plain"].parse(template)


def render(template: str, fields: Mapping[str, Any], *, html: bool = False) -> str:
    """The text. Refused if a field is unknown, or the template does what the sandbox forbids."""
    return _render(template, fields, "html" if html else "plain")


def render_forgiving(template: str, fields: Mapping[str, Any], *, html: bool = False) -> tuple[str, str | None]:
    """The text, in which a field that there is not is `(no NAME)`, and a sentence about it; None if all are there.

    Refused if the template does what the sandbox forbids.
    """
    form = "html" if html else "plain"
    try:
        return _render(template, fields, form), None
    except Refused as refused:
        return _render(template, fields, f"forgiving {form}"), refused.sentence


def render_slack(template: str, fields: Mapping[str, Any]) -> str:
    """A text for Slack, in which the markup of the fields is escaped. Refused as by `render`."""
    return _render(template, fields, "slack")


def render_json(template: str, fields: Mapping[str, Any]) -> str:
    """A JSON document: fields are escaped between quotation marks, and elsewhere go through `tojson`.

    Refused as by `render`, and if the result is not JSON (RFC 8259).
    """
    text = _render(template, fields, "json")
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


def _render(template: str, fields: Mapping[str, Any], form: str) -> str:
    try:
        text = _compiled(template, form).render(fields)
    except UnknownField as error:
        place = _place(template, error)
        raise Refused(f"{place} names an unknown field{_hint(error, fields)}. Correct the template.") from None
    except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError) as error:
        raise Refused(f"{_place(template, error)} cannot be used ({error}): correct the template.") from None
    if len(text) > _MAX_CHARACTERS:
        raise Refused(f"The template {template[:60]!r} made more than {_MAX_CHARACTERS} characters: shorten it.")
    return text


def _place(template: str, error: Exception) -> str:
    """Where in a template the error arose, as the start of a sentence: the line, where there are several."""
    lines = template.splitlines()
    numbers = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == "<template>"]
    number = numbers[-1] if numbers else None
    if len(lines) > 1 and number is not None and number <= len(lines):
        return f"Line {number} of the template, {lines[number - 1].strip()[:60]!r},"
    return f"The template {template[:60]!r}"


def _hint(error: UnknownField, fields: Mapping[str, Any]) -> str:
    """The field's name, and which one may have been meant."""
    if error.is_member:
        return f" .{error.name}, which the value before the dot does not have"
    near = get_close_matches(error.name, fields, n=1)
    return f" {error.name} (did you mean {near[0]}?)" if near else f" {error.name}; known: {', '.join(sorted(fields))}"


def title_among(fields: Mapping[str, Any]) -> str:
    """The title among the `fields_of` a job: that of the steps, else of the talk, else the file's name."""
    return str(fields.get("title") or fields["talk"].title or fields["name"])


def fields_of(job: Job, talk: Talk | None, facts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The fields that a template may name: `job`, `talk`, `name` (of the file, without its suffix), the steps' facts, and more.

    `facts` are those of the steps over those of the arrival. `failure` has the step in which the job failed, the last
    lines of its program, and the path of its log; `rework` is that of the job. `conference` is the slug in the settings.
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
        "conference": job.settings.get(CONFERENCE, ""),
        "rework": rework_of(job),
        "failure": {"step": None, "said": "", "log": None, **job.facts.get(FAILURE, {})},
        "talk": talk or Talk(id=job.talk or ""),
        "name": job.name.rpartition(".")[0] or job.name,
        "facts": {**job.facts, **facts},
        **facts,
        **more,
    }

"""Texts from templates: jinja2 in its sandbox, unknown fields refused by name."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vidd.errors import Refused
from vidd.model.talk import Talk, names_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def _environment(*, html: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=html, keep_trailing_newline=True)
    environment.filters["words"] = names_in_words
    environment.filters["file_name"] = file_name
    return environment


_PLAIN, _HTML = _environment(html=False), _environment(html=True)


@lru_cache(maxsize=256)
def _compiled(template: str, html: bool) -> Template:  # noqa: FBT001 - part of the cache's key
    return (_HTML if html else _PLAIN).from_string(template)


def check_template(template: str) -> str:
    """A template as it is, or ValueError where it cannot be read."""
    try:
        _compiled(template, False)
    except TemplateSyntaxError as error:
        raise ValueError(f"the template cannot be read: {error.message} (line {error.lineno})") from None
    return template


def render(template: str, fields: Mapping[str, Any], *, html: bool = False) -> str:
    """The text; Refused with the template's own words where a field is unknown or the template does harm."""
    try:
        text = _compiled(template, html).render(fields)
    except UndefinedError as error:
        known = ", ".join(sorted(fields))
        raise Refused(
            f"The template {template[:60]!r} names an unknown field ({error.message}); known: {known}."
        ) from None
    except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError) as error:
        raise Refused(f"The template {template[:60]!r} cannot be used: {error}.") from None
    if len(text) > _LONGEST:
        raise Refused(f"The template {template[:60]!r} made more than {_LONGEST} characters.")
    return text


def fields_of(job: Job, talk: Talk | None, facts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What a template may name: `job`, `talk`, `name` (the file's, without its end), the steps' facts, and more."""
    return {
        "job": {"id": job.id, "pipeline": job.pipeline, "source": job.source, "name": job.name, "created": job.created},
        "talk": talk or Talk(id=job.talk or ""),
        "name": job.name.rpartition(".")[0] or job.name,
        **facts,
        **more,
    }

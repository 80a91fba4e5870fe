"""The page's templates, and how they write times, sizes and durations. Every value is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vidd.display_text import size_in_words
from vidd.model.job import State
from vidd.web.page.actions import ACTIONS
from vidd.web.page.filters import GROUPS


@cache
def environment() -> Environment:
    """The templates."""
    found = Environment(
        loader=PackageLoader("vidd.web", "page/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {
        "ACTIONS": ACTIONS,
        "LABELS": {name: action.label for name, action in ACTIONS.items()},
        "GROUPS": GROUPS,
        "STATES": list(State),
    }
    found.filters |= {"time": time_element, "size": size_in_words, "long": seconds_in_words, "is_web": is_web}
    return found


def render(template: str, **values: Any) -> str:
    """The text of a template."""
    return environment().get_template(template).render(**values)


def time_element(time: datetime) -> Markup:
    """A time in UTC, which the script shows in the reader's own zone."""
    utc = time.astimezone(UTC)
    element = Markup('<time datetime="{}">{}</time>')
    return element.format(utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M} UTC")


def seconds_in_words(seconds: float) -> str:
    """A duration: 4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def is_web(address: str | None) -> bool:
    """Whether an address can be a link."""
    try:
        parts = urlsplit(address or "")
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)

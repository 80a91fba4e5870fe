"""Puts the slug of the conference into the settings: `{{ conference }}` in any text of an account, source or pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

CONFERENCE = "conference"
"""The key of the slug in the settings that are stored with a job."""

PLACE = re.compile(r"\{\{\s*conference\s*\}\}")
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""A name that a bucket, a folder and a queue can have."""

_TABLES = ("accounts", "sources", "pipelines")


def with_conference(settings: Mapping[str, Any], slug: str) -> dict[str, Any]:
    """The tables of the settings with the slug in its places."""
    return {name: _filled(table, slug) if name in _TABLES else table for name, table in settings.items()}


def places_of(settings: Mapping[str, Any]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """The paths and the texts in which the slug belongs."""
    for name in _TABLES:
        yield from ((where, text) for where, text in _texts(settings.get(name), (name,)) if PLACE.search(text))


def _filled(value: Any, slug: str) -> Any:
    match value:
        case str():
            return PLACE.sub(slug, value)
        case dict():
            return {key: _filled(item, slug) for key, item in value.items()}
        case list() | tuple():
            return [_filled(item, slug) for item in value]
    return value


def _texts(value: Any, where: tuple[int | str, ...]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(item, (*where, key))

"""A CMS asked for what it has: at once, or by pages.

Pages by number overlap by one object. A list that moved between two pages is noticed by that, and read anew, so that
what was deleted meanwhile hides nothing that comes after it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field, model_validator

from vidd.errors import Refused, RetryLater
from vidd.integrations.graphql_cms.graphql import Cms
from vidd.integrations.graphql_cms.records import dig, written
from vidd.settings.types import Options

_READINGS = 3
_DOING = "asking for the objects"
_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Paging(Options):
    """How a list that is too long for one answer is asked for. The query must sort it by the time of upload, the oldest first."""

    size: int = Field(500, ge=2, le=100_000, description="How many objects a page has.")
    size_variable: str = Field(pattern=_NAME, description="The query's variable for that, such as take or first.")
    offset_variable: str | None = Field(None, pattern=_NAME, description="The variable for how many to skip.")
    cursor_variable: str | None = Field(None, pattern=_NAME, description="The variable for where the last page ended.")
    cursor: str | None = Field(None, description="The path of that in the answer, such as videos.pageInfo.endCursor.")

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables it gives."""
        return tuple(
            name for name in (self.size_variable, self.offset_variable, self.cursor_variable) if name is not None
        )

    @model_validator(mode="after")
    def _one_way(self) -> Paging:
        if (self.offset_variable is None) is (self.cursor_variable is None):
            raise ValueError("give either offset_variable or cursor_variable")
        if (self.cursor_variable is None) is not (self.cursor is None):
            raise ValueError("cursor_variable and cursor go together: give both or neither")
        return self


@dataclass(frozen=True)
class Question:
    """A query for objects, which the answer has at the path `objects`, each with its id at the path `identity`.

    `since_variable` is the query's own filter.
    """

    document: str
    objects: str
    identity: str
    variables: Mapping[str, Any]
    since_variable: str | None = None
    paging: Paging | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Objects as they came. `faults` are words about what failed in the answer."""

    objects: list[Any]
    faults: str | None = None


async def listed(cms: Cms, question: Question, since: datetime | None) -> AsyncGenerator[Page, None]:
    """What the CMS has, page by page; `since` counts only where the query has a variable for it.

    A page may bring objects again. Refused where the answer has no list at the path, or does not follow its pages.
    """
    variables = dict(question.variables)
    if question.since_variable:
        # From the beginning of time where all of it is wanted: a variable may not be allowed to be null.
        variables[question.since_variable] = (
            since.isoformat().replace("+00:00", "Z") if since else "1970-01-01T00:00:00.000Z"
        )
    paging = question.paging
    if paging is None:
        yield (await _page(cms, question, variables))[0]
    elif paging.cursor_variable is not None:
        async for page in _by_cursor(cms, question, variables, paging):
            yield page
    else:
        async for page in _by_number(cms, question, variables, paging):
            yield page


async def _page(cms: Cms, question: Question, variables: Mapping[str, Any]) -> tuple[Page, Mapping[str, Any]]:
    answer = await cms.ask(question.document, variables, doing=_DOING)
    found = dig(answer.data, question.objects)
    if isinstance(found, list):
        return Page(found, answer.faults), answer.data
    if answer.faults:
        raise RetryLater(f"The CMS failed at {_DOING} ({answer.faults}); it is asked again.")
    there = ", ".join(answer.data) or "nothing"
    raise Refused(
        f"The CMS's answer has no list at {question.objects!r} (it has {there}): correct `objects` of the source."
    )


async def _by_cursor(
    cms: Cms, question: Question, variables: dict[str, Any], paging: Paging
) -> AsyncGenerator[Page, None]:
    variables[paging.size_variable] = paging.size
    passed: set[str] = set()
    while True:
        page, data = await _page(cms, question, variables)
        yield page
        cursor = dig(data, str(paging.cursor))
        if cursor is None or cursor == "" or not page.objects:
            return
        if written(cursor) in passed:
            raise Refused(f"The CMS gives the same pages again and again at {_DOING}: correct `paging` of the source.")
        passed.add(written(cursor))
        variables[str(paging.cursor_variable)] = cursor


async def _by_number(
    cms: Cms, question: Question, variables: dict[str, Any], paging: Paging
) -> AsyncGenerator[Page, None]:
    variables[paging.size_variable] = paging.size
    for _ in range(_READINGS):
        count, last = 0, None
        while True:
            variables[str(paging.offset_variable)] = max(0, count - 1)
            page, _data = await _page(cms, question, variables)
            if count and (not page.objects or dig(page.objects[0], question.identity) != last):
                break
            yield page
            # A short page is no end: many servers give fewer than they are asked for.
            if len(page.objects) <= min(count, 1):
                return
            count = max(0, count - 1) + len(page.objects)
            last = dig(page.objects[-1], question.identity)
    raise RetryLater(
        f"The CMS's list was another at each page, {_READINGS} times at {_DOING}: let the query sort it, and `paging` of the"
        " source follow it."
    )

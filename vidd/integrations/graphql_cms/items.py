"""Lists the objects of a CMS: at once, or by pages.

Pages by number overlap by one object. If the list moved between two pages, vidd notices by that and reads it anew, so
that an object deleted meanwhile hides none that comes after it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field, model_validator

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.integrations.graphql_cms.graphql import Cms
from vidd.integrations.graphql_cms.records import dig, stable_json
from vidd.settings.types import Options

_MAX_READINGS = 3
_DOING = "asking for the objects"
_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Paging(Options):
    """How to ask by pages for a long list. The query must sort it by the time of upload, the oldest first."""

    size: int = Field(500, ge=2, le=100_000, description="Objects per page.")
    size_variable: str = Field(pattern=_NAME, description="The query's variable for the size, such as take or first.")
    offset_variable: str | None = Field(
        None, pattern=_NAME, description="The variable for the number of objects to skip."
    )
    cursor_variable: str | None = Field(
        None, pattern=_NAME, description="The variable for the cursor of the page before."
    )
    cursor: str | None = Field(
        None, description="The path of the cursor in the answer, such as videos.pageInfo.endCursor."
    )

    @property
    def variables(self) -> tuple[str, ...]:
        """The query's variables that paging sets."""
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
class QuerySpec:
    """A query for objects: the answer has their list at the path `objects`, and each has its id at the path `identity`.

    `since_variable` is the query's variable for the time from which to list.
    """

    document: str
    objects: str
    identity: str
    variables: Mapping[str, Any]
    since_variable: str | None = None
    paging: Paging | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The objects of an answer, and as a text the errors of the fields that failed."""

    objects: list[Any]
    errors: str | None = None


async def list_pages(cms: Cms, spec: QuerySpec, since: datetime | None) -> AsyncGenerator[Page, None]:
    """Yield what the CMS has, page by page; `since` counts only if the query has a variable for it.

    A page may repeat objects. Refused if the answer has no list at the path, or if its pages repeat.
    """
    variables = dict(spec.variables)
    if spec.since_variable:
        # For all of the list a time long ago: the CMS need not accept null.
        variables[spec.since_variable] = (
            since.isoformat().replace("+00:00", "Z") if since else "1970-01-01T00:00:00.000Z"
        )
    paging = spec.paging
    if paging is None:
        yield (await _page(cms, spec, variables))[0]
    elif paging.cursor_variable is not None:
        async for page in _by_cursor(cms, spec, variables, paging):
            yield page
    else:
        async for page in _by_offset(cms, spec, variables, paging):
            yield page


async def _page(cms: Cms, spec: QuerySpec, variables: Mapping[str, Any]) -> tuple[Page, Mapping[str, Any]]:
    answer = await cms.ask(spec.document, variables, doing=_DOING)
    found = dig(answer.data, spec.objects)
    if isinstance(found, list):
        return Page(found, answer.errors), answer.data
    if answer.errors:
        raise RetryLater(f"The CMS failed at {_DOING} ({answer.errors}); vidd will ask again.")
    fields = ", ".join(answer.data) or "nothing"
    raise Refused(
        f"The CMS's answer has no list at {spec.objects!r} (it has {fields}): correct `objects` of the source.",
        code=FaultCode.BAD_SETTINGS,
    )


async def _by_cursor(
    cms: Cms, spec: QuerySpec, variables: dict[str, Any], paging: Paging
) -> AsyncGenerator[Page, None]:
    variables[paging.size_variable] = paging.size
    seen: set[str] = set()
    while True:
        page, data = await _page(cms, spec, variables)
        yield page
        cursor = dig(data, str(paging.cursor))
        if cursor is None or cursor == "" or not page.objects:
            return
        if stable_json(cursor) in seen:
            raise Refused(
                f"The CMS gives the same pages again and again at {_DOING}: correct `paging` of the source.",
                code=FaultCode.BAD_SETTINGS,
            )
        seen.add(stable_json(cursor))
        variables[str(paging.cursor_variable)] = cursor


async def _by_offset(
    cms: Cms, spec: QuerySpec, variables: dict[str, Any], paging: Paging
) -> AsyncGenerator[Page, None]:
    variables[paging.size_variable] = paging.size
    for _ in range(_MAX_READINGS):
        count, last = 0, None
        while True:
            variables[str(paging.offset_variable)] = max(0, count - 1)
            page, _data = await _page(cms, spec, variables)
            if count and (not page.objects or dig(page.objects[0], spec.identity) != last):
                break
            yield page
            # A short page need not be the last: many servers give fewer objects than they are asked for.
            if len(page.objects) <= min(count, 1):
                return
            count = max(0, count - 1) + len(page.objects)
            last = dig(page.objects[-1], spec.identity)
    raise RetryLater(
        f"The CMS's list changed between pages, {_MAX_READINGS} times at {_DOING}: let the query sort it by the time of upload,"
        " and `paging` of the source follow it."
    )

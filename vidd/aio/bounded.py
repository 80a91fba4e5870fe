"""Bounded concurrency: many items, never more than so many at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from vidd.errors import OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")

_FATES = (RetryLater, OutcomeUnknown, Refused)


async def gather_bounded(count: int, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Call `work` for every item, `count` at a time; an item is taken from the iterable when its turn comes.

    The first failure cancels the others and is raised. Where several fail, Refused wins over OutcomeUnknown, and that
    over RetryLater; an error that is no Fault wins over all three.
    """
    todo = iter(items)

    async def worker() -> None:
        for item in todo:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(worker())
    except ExceptionGroup as several:
        raise max(several.exceptions, key=_weight) from None


def _weight(error: Exception) -> int:
    return next((weight for weight, fate in enumerate(_FATES) if isinstance(error, fate)), len(_FATES))

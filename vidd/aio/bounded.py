"""Runs a coroutine for many items with bounded concurrency."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from vidd.errors import OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")

_FATES = (RetryLater, OutcomeUnknown, Refused)


async def gather_bounded(count: int, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Call `work` for every item, at most `count` at a time. An item is taken from `items` only when its turn comes.

    The first failure cancels the other calls and is raised. If several calls fail at once, an error that is no Fault is
    raised before Refused, Refused before OutcomeUnknown, and that before RetryLater.
    """
    remaining = iter(items)

    async def worker() -> None:
        for item in remaining:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(worker())
    except ExceptionGroup as several:
        raise max(several.exceptions, key=_weight) from None


def _weight(error: Exception) -> int:
    return next((weight for weight, fate in enumerate(_FATES) if isinstance(error, fate)), len(_FATES))

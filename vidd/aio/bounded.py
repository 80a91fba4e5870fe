"""Several pieces of work at once, and never more than so many."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from vidd.errors import OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")

_FATES = (RetryLater, OutcomeUnknown, Refused)


async def gather_bounded(count: int, items: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Do all items, `count` at a time, each taken when its turn comes.

    The first failure ends the others and is raised by itself; of several, the one that decides most.
    """
    todo = iter(items)

    async def worker() -> None:
        for item in todo:
            await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(worker())
    except ExceptionGroup as several:
        raise max(several.exceptions, key=_weight) from None


def _weight(error: Exception) -> int:
    return next((weight for weight, fate in enumerate(_FATES) if isinstance(error, fate)), len(_FATES))

"""Make a thing exactly once on a side that may lose an answer and lists late what it made."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from vidd.errors import OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vidd.ports import Clock

T = TypeVar("T")


async def create_once(
    ask: Callable[[], Awaitable[T | None]],
    make: Callable[[], Awaitable[T]],
    *,
    tried: str | None,
    trying: Callable[[str | None], Awaitable[None]],
    settle: float,
    clock: Clock,
    doing: str,
) -> T:
    """What `ask` finds, or else what `make` makes.

    `tried` is when it was last begun without an answer (ISO 8601), and `trying` keeps that word, or with None forgets
    it. Within `settle` seconds of it nothing is made: RetryLater, which uses up no attempt.
    """
    found = await ask()
    if found is not None:
        return found
    now = clock.now()
    left = settle - (now - datetime.fromisoformat(tried)).total_seconds() if tried else 0.0
    if left > 0:
        raise RetryLater(
            f"It is not known yet whether {doing} was done; it is looked for again.", after=left, counts=False
        )
    await trying(now.isoformat())
    try:
        return await make()
    except OutcomeUnknown as unknown:
        raise RetryLater(unknown.sentence, after=settle, counts=False) from unknown
    except (RetryLater, Refused):
        await trying(None)
        raise

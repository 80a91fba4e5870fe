"""Retries a call in memory, for seconds; longer waits are the job's and are persisted."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from vidd.errors import RetryLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    sleep: Callable[[float], Awaitable[None]],
    attempts: int = 4,
    reached: Callable[[], int] = lambda: 0,
) -> T:
    """Retry an idempotent call while it raises RetryLater and asks for at most 20 s; raises its last fault.

    `reached` measures progress (bytes, parts): an attempt that made progress does not use up the attempts.
    """
    failed, best = 0, reached()
    while True:
        try:
            return await call()
        except RetryLater as fault:
            gained = reached() > best
            failed, best = (1, reached()) if gained else (failed + 1, best)
            wait = max(fault.after or 0.0, 0.2 * 2**failed * random.uniform(0.75, 1.25))  # noqa: S311 - only spreads load
            if failed >= attempts or not fault.counts or wait > 20:
                raise
        await sleep(wait)

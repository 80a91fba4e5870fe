"""Creates something exactly once on a server that may lose an answer and shows late what it created."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from vidd.errors import FaultCode, OutcomeUnknown, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vidd.ports import Clock

T = TypeVar("T")


async def create_once(
    find: Callable[[], Awaitable[T | None]],
    create: Callable[[], Awaitable[T]],
    *,
    last_attempt: str | None,
    save_attempt: Callable[[str | None], Awaitable[None]],
    visibility_delay: float,
    clock: Clock,
    doing: str,
) -> T:
    """Return what `find` finds, or else what `create` creates.

    last_attempt: when the last attempt without an answer began (ISO 8601); None if there was none.
    save_attempt: saves that time before an attempt, and None once the attempt has an answer.
    visibility_delay: seconds until the server shows what it created.
    doing: what is created, for the sentence, such as "the creation of the playlist".

    Raises RetryLater, which uses up no attempt, within `visibility_delay` of the last attempt.
    """
    found = await find()
    if found is not None:
        return found
    now = clock.now()
    elapsed = (now - datetime.fromisoformat(last_attempt)).total_seconds() if last_attempt else visibility_delay
    left = visibility_delay - elapsed
    if left > 0:
        raise RetryLater(
            f"vidd does not know yet whether {doing} succeeded; vidd will look again.",
            after=left,
            counts=False,
            code=FaultCode.PENDING,
        )
    await save_attempt(now.isoformat())
    try:
        return await create()
    except OutcomeUnknown as unknown:
        raise RetryLater(unknown.sentence, after=visibility_delay, counts=False, code=FaultCode.NO_ANSWER) from unknown
    except (RetryLater, Refused):
        await save_attempt(None)
        raise

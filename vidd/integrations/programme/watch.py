"""Watches a programme: reads it now and then, and keeps the last good copy where it cannot be read.

The store has the talks of the last reading, so that they survive a restart while the source is away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from vidd.errors import Fault, RetryLater

if TYPE_CHECKING:
    from vidd.model.talk import Talk
    from vidd.ports import SourceContext

_LONGEST_REST = 3600.0
_USUAL_REST = 60.0

Read = Callable[[], Awaitable["Sequence[Talk] | None"]]
"""Reads the programme: its talks, or None where nothing has changed since the last reading that returned talks."""

Complete = Callable[["Sequence[Talk]"], Awaitable["Sequence[Talk]"]]
"""Adds to the talks what another document says; returns the same talks where nothing has changed. Raises Refused or RetryLater."""


async def watch_programme(read: Read, context: SourceContext, complete: Complete, *, refresh: float, name: str) -> None:
    """Hand in the programme every `refresh` seconds, and when vidd asks for it; never returns."""
    reader = _Reader(read, context, complete, name)
    while True:
        await _rest(context, await reader.look(refresh), woken=reader.up)


async def _rest(context: SourceContext, seconds: float, *, woken: bool) -> None:
    """Pause. After a fault nothing ends the pause early: jobs that wait for their talk wake the source every few seconds."""
    clock = context.tools.clock
    end = clock.now() + timedelta(seconds=seconds)
    await context.pause(seconds)
    while not woken and (left := (end - clock.now()).total_seconds()) > 0:
        await context.pause(left)


class _Reader:
    def __init__(self, read: Read, context: SourceContext, complete: Complete, name: str) -> None:
        self._read, self._context, self._complete, self._name = read, context, complete, name
        self._space = f"programme:{context.name}"
        self._scheduled: Sequence[Talk] | None = None
        self._talks: Sequence[Talk] | None = None
        self._is_lost = False
        self.up = False

    async def look(self, refresh: float) -> float:
        """Read once; returns the seconds until the next reading."""
        try:
            talks = await self._read()
            if talks is not None:
                # A schedule may be hidden for a while.
                self._is_lost = not talks and bool(await self._known())
                self._scheduled = self._scheduled if self._is_lost else talks
            if self._is_lost or self._scheduled is None:
                # Also where nothing has changed since it was found without any talk.
                raise RetryLater(
                    f"{self._name} has no talk any more. If that is meant, give the source another name in the settings."
                )
            completed = await self._complete(self._scheduled)
            if completed is not self._talks:
                await self._keep(completed)
        except Fault as fault:
            self.up = False
            self._context.mark_down(" ".join(part for part in (fault.sentence, await self._last_good()) if part))
            if isinstance(fault, RetryLater) and fault.after is not None:
                return min(fault.after, _LONGEST_REST)
            return min(refresh, _USUAL_REST)
        self.up = True
        # vidd hands in an unchanged programme too, so that the programme shows when it was last up to date.
        await self._context.put_talks(completed)
        self._context.mark_up()
        self._context.mark_caught_up()
        return refresh

    async def _keep(self, talks: Sequence[Talk]) -> None:
        if len(talks) != await self._known():
            await self._context.tools.memory.remember(self._space, {"talks": str(len(talks))})
        self._talks = talks

    async def _known(self) -> int:
        """How many talks the last reading had, also that of an earlier run."""
        return int((await self._context.tools.memory.recall(self._space)).get("talks", "0"))

    async def _last_good(self) -> str:
        known = await self._known()
        return f"vidd goes on with the {known} talks that it read last." if known else ""


def count_talks(talks: Sequence[Talk]) -> str:
    """The sentence of a check about a programme."""
    excluded, faults = (sum(1 for talk in talks if test(talk)) for test in (_is_excluded, _has_fault))
    return f"{len(talks)} talks, {excluded} excluded, {faults} with a fault"


def _is_excluded(talk: Talk) -> bool:
    return talk.excluded


def _has_fault(talk: Talk) -> bool:
    return talk.fault is not None

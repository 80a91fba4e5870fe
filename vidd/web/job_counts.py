"""Counts jobs for `/health` and `/metrics`, at most once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from vidd.errors import RetryLater
from vidd.model.job import State
from vidd.ports import Store

_MAX_AGE = 1.0
IN_PROGRESS = (State.WORKING, State.HELD, State.PUBLISHING, State.WAITING)
"""States of a job that has started and goes on."""
_TIMEOUT = 2.0
"""Seconds a count may take; after that the count before it serves."""


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Jobs by pipeline and state, when the oldest that could start arrived, and the oldest of each state in progress.

    `incomplete`: published jobs by pipeline of which a notice or a change did not go out.
    """

    counts: Mapping[tuple[str, State], int] = field(default_factory=dict)
    oldest: datetime | None = None
    incomplete: Mapping[str, int] = field(default_factory=dict)
    oldest_in: Mapping[State, datetime] = field(default_factory=dict)

    @property
    def by_state(self) -> dict[str, int]:
        """Jobs by state, over all pipelines."""
        total: dict[str, int] = {}
        for (_, state), count in self.counts.items():
            total[state] = total.get(state, 0) + count
        return total


class JobCounter:
    """Counts by the store. While a count is under way, or the store is away, callers get the count before it."""

    def __init__(self, store: Store, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._monotonic = store, monotonic
        self._newest: JobCounts | None = None
        self._taken = 0.0
        self._lock = asyncio.Lock()

    async def count(self) -> JobCounts:
        """The newest counts, at most a second old, or as old as the count under way."""
        if self._newest and (self._lock.locked() or self._monotonic() - self._taken < _MAX_AGE):
            return self._newest
        async with self._lock:
            if self._newest and self._monotonic() - self._taken < _MAX_AGE:
                return self._newest
            # /health must answer above all while the store is away.
            if self._store.trouble is None:
                with suppress(RetryLater, TimeoutError):
                    async with asyncio.timeout(_TIMEOUT):
                        self._newest = await self._ask_store()
            self._taken = self._monotonic()
            return self._newest or JobCounts()

    async def _ask_store(self) -> JobCounts:
        counts = await self._store.counts()
        oldest = await self._store.oldest((State.SEEN, State.READY))
        found = {state: await self._store.oldest((state,)) for state in IN_PROGRESS}
        oldest_in = {state: created for state, created in found.items() if created is not None}
        return JobCounts(counts, oldest, await self._store.incomplete(), oldest_in)

"""How many jobs there are, counted at most once a second however often it is asked."""

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

_FRESH = 1.0
_PATIENCE = 2.0
"""Seconds a count may take before the one before it has to do."""


@dataclass(frozen=True, slots=True)
class Census:
    """Jobs by pipeline and state, and when the oldest that could start arrived.

    `incomplete` are the published ones, by pipeline, of which a notice or a change did not go out.
    """

    counts: Mapping[tuple[str, State], int] = field(default_factory=dict)
    oldest: datetime | None = None
    incomplete: Mapping[str, int] = field(default_factory=dict)

    @property
    def by_state(self) -> dict[str, int]:
        """Jobs by state, over all pipelines."""
        total: dict[str, int] = {}
        for (_, state), count in self.counts.items():
            total[state] = total.get(state, 0) + count
        return total


class Counting:
    """Asks the store. While one count is under way, or the store is away, others are given the one before it."""

    def __init__(self, store: Store, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._monotonic = store, monotonic
        self._census: Census | None = None
        self._taken = 0.0
        self._lock = asyncio.Lock()

    async def look(self) -> Census:
        """The newest census, at most a second old, or as old as the count under way."""
        if self._census and (self._lock.locked() or self._monotonic() - self._taken < _FRESH):
            return self._census
        async with self._lock:
            if self._census and self._monotonic() - self._taken < _FRESH:
                return self._census
            # How the daemon is must be told above all while the store is away.
            if self._store.trouble is None:
                with suppress(RetryLater, TimeoutError):
                    async with asyncio.timeout(_PATIENCE):
                        self._census = await self._count()
            self._taken = self._monotonic()
            return self._census or Census()

    async def _count(self) -> Census:
        counts = await self._store.counts()
        oldest = await self._store.oldest((State.SEEN, State.READY))
        return Census(counts, oldest, await self._store.incomplete())

"""Keeps the watchers running: restarts one that fails, after a growing wait."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from vidd.errors import Fault
from vidd.model.event import Event, FaultRaised, WatcherMoved, fate_of
from vidd.model.retry import RetryRule, next_try
from vidd.ports import Clock

_log = structlog.get_logger()
_RULE = RetryRule(attempts=1 << 30, first=1.0, longest=60.0, total=float("inf"))
_NOT_YET = "It has not started yet."
_STABLE_FOR = 60.0
"""Seconds that a watcher must have run before its earlier failures no longer count."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """The state of a watcher.

    reason: why it is not up, in a sentence.
    note: what a person may want to know, although the watcher is well.
    since: its last start. last_event: when it last saw something. caught_up: when it last had handed in everything.
    """

    name: str
    kind: str
    up: bool = False
    restarts: int = 0
    reason: str | None = _NOT_YET
    note: str | None = None
    since: datetime | None = None
    last_event: datetime | None = None
    caught_up: datetime | None = None

    @property
    def down(self) -> bool:
        """Whether it failed or cannot reach what it watches; False before its first start."""
        return not self.up and self.reason != _NOT_YET


class Watchers:
    """The table of watchers, and the loop that keeps a watcher running."""

    def __init__(self, clock: Clock, observe: Callable[[Event], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._table: dict[str, Watcher] = {}

    @property
    def table(self) -> Mapping[str, Watcher]:
        """The watchers by name."""
        return self._table

    def add(self, name: str, kind: str) -> None:
        """Add a watcher to the table."""
        self._table[name] = Watcher(name, kind)

    def forget(self, name: str) -> None:
        """Remove a watcher from the table."""
        self._table.pop(name, None)

    def mark(self, name: str, **changes: object) -> None:
        """Change fields of a watcher, and announce the change."""
        before = self._table[name]
        after = replace(before, **changes)  # type: ignore[arg-type]
        self._table[name] = after
        if after.up and not before.up:
            _log.info("watcher up", watcher=name)
        elif before.up and not after.up:
            _log.warning("watcher down", watcher=name, reason=after.reason)
        last = after.last_event.timestamp() if after.last_event else None
        self._observe(WatcherMoved(name, after.kind, after.up, after.restarts, after.reason, last))

    async def keep_running(self, name: str, watch: Callable[[], Awaitable[None]]) -> None:
        """Run a watcher, and again whenever it ends; never returns."""
        failures = 0
        while True:
            started = self._clock.now()
            self.mark(name, since=started)
            after = None
            try:
                await watch()
                reason = "It ended by itself."
            except Fault as fault:
                self._observe(FaultRaised(name, fate_of(fault), fault.code))
                reason, after = fault.sentence, getattr(fault, "after", None)
            except Exception as error:  # noqa: BLE001 - a defect in one watcher must not end the others
                _log.exception("watcher crashed", watcher=name)
                reason = f"A defect of vidd stopped it ({type(error).__name__}: {error}); the log has the details."
            now = self._clock.now()
            failures = 1 if (now - started).total_seconds() >= _STABLE_FOR else failures + 1
            chance = random.random()  # noqa: S311 - jitter, not a secret
            again = next_try(_RULE, attempt=failures, since=now, now=now, after=after, chance=chance)
            self.mark(name, up=False, reason=reason, restarts=self._table[name].restarts + 1)
            await self._clock.sleep((again - now).total_seconds() if again else _RULE.longest)

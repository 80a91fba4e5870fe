"""Keeps the watchers running: one that fails is started again after a growing wait."""

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
_PROVEN = 60.0
"""Seconds a watcher must have stood before an earlier fall is forgotten."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """How a watcher is: `since` is the time of its last start, `last_event` of the last thing it saw.

    `note` is what a person may want to know of it, though it is well.
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
        """Whether it looked in vain, or fell."""
        return not self.up and self.reason != _NOT_YET


class Watchers:
    """The table of watchers, and the loop that keeps one alive."""

    def __init__(self, clock: Clock, observe: Callable[[Event], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._table: dict[str, Watcher] = {}

    @property
    def table(self) -> Mapping[str, Watcher]:
        """How every watcher is."""
        return self._table

    def add(self, name: str, kind: str) -> None:
        """Put a watcher into the table."""
        self._table[name] = Watcher(name, kind)

    def forget(self, name: str) -> None:
        """Take a watcher out of the table."""
        self._table.pop(name, None)

    def mark(self, name: str, **changes: object) -> None:
        """Change what is known of a watcher, and tell whoever watches."""
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
        """Run a watcher for ever."""
        falls = 0
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
                _log.exception("watcher fell", watcher=name)
                reason = f"It fell over a defect ({type(error).__name__}: {error}); the log has the details."
            now = self._clock.now()
            falls = 1 if (now - started).total_seconds() >= _PROVEN else falls + 1
            chance = random.random()  # noqa: S311 - jitter, not a secret
            again = next_try(_RULE, attempt=falls, since=now, now=now, after=after, chance=chance)
            self.mark(name, up=False, reason=reason, restarts=self._table[name].restarts + 1)
            await self._clock.sleep((again - now).total_seconds() if again else _RULE.longest)

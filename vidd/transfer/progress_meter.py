"""Counts the bytes of a transfer and reports progress and speed, four times a second at most."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vidd.model.event import BytesMoved

if TYPE_CHECKING:
    from collections.abc import Callable

    from vidd.model.event import Event

_REPORT_EVERY = 0.25
_AVERAGED_OVER = 5.0


class ProgressMeter:
    """`way` is upload or download. `total` in bytes may be unknown; `done` includes what an earlier attempt moved."""

    def __init__(
        self,
        kind: str,
        way: str,
        *,
        progress: Callable[[float, float | None, str, float | None], None],
        observe: Callable[[Event], None],
        total: int | None = None,
        done: int = 0,
    ) -> None:
        """Start to count."""
        self.kind, self.way, self.total, self.done = kind, way, total, done
        self._progress, self._observe = progress, observe
        self._unreported = 0
        self._reported_at, self._since = 0.0, time.monotonic()
        self._speed: float | None = None

    def add(self, size: int) -> None:
        """Count `size` more bytes."""
        self.done += size
        self._unreported += size
        if time.monotonic() - self._reported_at >= _REPORT_EVERY:
            self.report()

    def back(self, size: int) -> None:
        """Take back `size` bytes, which must be moved again."""
        self.done -= size

    def report(self) -> None:
        """Report now, whenever the last time was."""
        now = time.monotonic()
        passed = max(now - self._since, 1e-6)
        speed = self._unreported / passed
        share = min(1.0, passed / _AVERAGED_OVER)
        self._speed = speed if self._speed is None else self._speed * (1 - share) + speed * share
        if self._unreported:
            self._observe(BytesMoved(self.kind, self.way, self._unreported))
        self._unreported, self._since, self._reported_at = 0, now, now
        self._progress(float(self.done), None if self.total is None else float(self.total), "bytes", self._speed)

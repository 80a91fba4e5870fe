"""Count bytes on their way and tell whoever watches, a few times a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vidd.model.event import BytesMoved

if TYPE_CHECKING:
    from collections.abc import Callable

    from vidd.model.event import Event

_EVERY = 0.25
_MEMORY = 5.0


class ProgressMeter:
    """`way` is upload or download. `total` in bytes may be unknown; `done` is what an earlier attempt moved."""

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
        """Begin to count."""
        self.kind, self.way, self.total, self.done = kind, way, total, done
        self._progress, self._observe = progress, observe
        self._told, self._fresh = 0.0, 0
        self._since = time.monotonic()
        self._speed: float | None = None

    def add(self, size: int) -> None:
        """So many more bytes moved."""
        self.done += size
        self._fresh += size
        if time.monotonic() - self._told >= _EVERY:
            self.tell()

    def back(self, size: int) -> None:
        """So many bytes that were counted must be moved again."""
        self.done -= size

    def tell(self) -> None:
        """Say it now."""
        now = time.monotonic()
        passed = max(now - self._since, 1e-6)
        fresh = self._fresh / passed
        share = min(1.0, passed / _MEMORY)
        self._speed = fresh if self._speed is None else self._speed * (1 - share) + fresh * share
        if self._fresh:
            self._observe(BytesMoved(self.kind, self.way, self._fresh))
        self._fresh, self._since, self._told = 0, now, now
        self._progress(float(self.done), None if self.total is None else float(self.total), "bytes", self._speed)

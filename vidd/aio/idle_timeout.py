"""An idle timeout for a request body on its way out, which aiohttp's own timeouts do not cover."""

from __future__ import annotations

import asyncio

_RESOLUTION = 20


class IdleTimeout:
    """Postpones `timeout` while bytes move: it expires `longest` seconds after the last bytes, or up to 5 % sooner."""

    def __init__(self, timeout: asyncio.Timeout, longest: float) -> None:
        self._timeout, self._longest = timeout, longest
        self._loop = asyncio.get_running_loop()
        self._next = 0.0

    def touch(self) -> None:
        """Note that bytes moved. Rescheduling is expensive, so it happens at most `_RESOLUTION` times in `longest` seconds."""
        now = self._loop.time()
        if now >= self._next and not self._timeout.expired():
            self._timeout.reschedule(now + self._longest)
            self._next = now + self._longest / _RESOLUTION

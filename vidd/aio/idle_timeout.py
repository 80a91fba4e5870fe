"""The longest silence of a body on its way out, which aiohttp's own timeouts do not watch."""

from __future__ import annotations

import asyncio

_FINENESS = 20


class IdleTimeout:
    """Puts a timeout off while bytes move, to `longest` seconds after the last ones, or a little less."""

    def __init__(self, timeout: asyncio.Timeout, longest: float) -> None:
        self._timeout, self._longest = timeout, longest
        self._loop = asyncio.get_running_loop()
        self._next = 0.0

    def broken(self) -> None:
        """Bytes moved. A timer is set anew only now and then: that costs as much as sending some of them."""
        now = self._loop.time()
        if now >= self._next and not self._timeout.expired():
            self._timeout.reschedule(now + self._longest)
            self._next = now + self._longest / _FINENESS

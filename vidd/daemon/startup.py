"""Waits at the start for a store that is away, instead of failing until systemd gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from vidd.daemon.systemd import Notifier
from vidd.errors import RetryLater

_log = structlog.get_logger()
T = TypeVar("T")
_PAUSE = 2.0
_MAX_ATTEMPT = 90.0
"""Seconds that one attempt may take before systemd considers the start hung."""


async def start_when_available(start: Callable[[], Awaitable[T]], notifier: Notifier) -> T:
    """Repeat `start` while it raises RetryLater; returns its result. `systemctl status` shows the reason for the wait."""
    last_reason = None
    while True:
        try:
            return await start()
        except RetryLater as fault:
            if fault.sentence != last_reason:
                _log.warning("start waits", reason=fault.sentence)
                last_reason = fault.sentence
            notifier.send(STATUS=fault.sentence, EXTEND_TIMEOUT_USEC=str(int((_PAUSE + _MAX_ATTEMPT) * 1_000_000)))
        await asyncio.sleep(_PAUSE)

"""A start that waits for what is away, instead of failing until systemd gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from vidd.daemon.systemd import Notifier
from vidd.errors import RetryLater

_log = structlog.get_logger()
T = TypeVar("T")
_AGAIN = 2.0
_LONGEST = 90.0
"""Seconds one attempt may take before systemd, told of each, takes the start for hung."""


async def start_when_available(start: Callable[[], Awaitable[T]], notifier: Notifier) -> T:
    """What `start` answers once it does not say RetryLater; `systemctl status` shows what is waited for."""
    told = None
    while True:
        try:
            return await start()
        except RetryLater as fault:
            if fault.sentence != told:
                _log.warning("start waits", reason=fault.sentence)
                told = fault.sentence
            notifier.say(STATUS=fault.sentence, EXTEND_TIMEOUT_USEC=str(int((_AGAIN + _LONGEST) * 1_000_000)))
        await asyncio.sleep(_AGAIN)

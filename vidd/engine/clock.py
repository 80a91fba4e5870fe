"""The time of the machine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """`ports.Clock`, for real."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

"""The clock of the machine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """`ports.Clock` over the machine's time and asyncio.sleep."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

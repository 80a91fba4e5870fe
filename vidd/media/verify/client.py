"""Children that read a finished file whole to check it, as many at once as there are processors."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from vidd.aio.shield import shield_to_end
from vidd.media.probe.client import MediaReader
from vidd.processes.cpus import usable_cpus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from vidd.ports import Encoder

# Seconds that a whole file may take: a start, and so many bytes a second, of which every keyframe is decoded.
_START, _BYTES_PER_SECOND = 120.0, 500_000
_MOST_IDLE = 2
# Bytes of a file that is examined at once, without waiting for a processor.
_SMALL = 4 << 20


class Examiner(MediaReader):
    """A child that reads a file whole."""

    module = "vidd.media.verify.worker.main"

    async def examine(self, path: Path, name: str, **asked: Any) -> dict[str, Any]:
        """All that `vidd.media.verify.worker.main.examine` finds in a file."""
        # A slow disk needs its time to read all of it.
        self.timeout = _START + path.stat().st_size / _BYTES_PER_SECOND
        return await self.ask("examine", path, name, **asked)


class Examiners:
    """The children of one daemon: one for small files, and as many for others as there are processors to use; two stay idle."""

    def __init__(self) -> None:
        self._small = Examiner()
        self._idle: list[Examiner] = []
        self._busy: set[Examiner] = set()
        self._free = asyncio.Semaphore(usable_cpus())

    async def examine(self, path: Path, name: str, nice: int, **asked: Any) -> dict[str, Any]:
        """All that a file shows when it is read once; a child that reads long has the priority `nice`."""
        if path.stat().st_size <= _SMALL:
            return await self._small.examine(path, name, **asked)
        async with self._child(nice) as child:
            return await child.examine(path, name, **asked)

    @asynccontextmanager
    async def _child(self, nice: int) -> AsyncIterator[Examiner]:
        async with self._free:
            idle = next((child for child in self._idle if child.nice == nice), None)
            if idle is not None:
                self._idle.remove(idle)
            child = idle or Examiner(nice=nice)
            self._busy.add(child)
            try:
                yield child
            finally:
                self._busy.discard(child)
                self._idle.append(child)
                if len(self._idle) > _MOST_IDLE:
                    await shield_to_end(self._idle.pop(0).close())

    async def close(self) -> None:
        """End them all."""
        for child in (self._small, *self._idle, *self._busy):
            await child.close()
        self._idle.clear()


async def examine(encoder: Encoder, path: Path, name: str, **asked: Any) -> dict[str, Any]:
    """All that a finished file shows when it is read once; Refused or RetryLater if it cannot be read."""
    return await encoder.shared.get(Examiners).examine(path, name, encoder.nice, **asked)

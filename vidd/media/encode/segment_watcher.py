"""The segments that a running encode has closed: each is looked at and kept while the next one is written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vidd.aio.shield import shield_to_end
from vidd.media.encode.checkpoints import Segment
from vidd.media.ffmpeg.args.segment import LIST
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from vidd.media.encode.checkpoints import Checkpoints
    from vidd.media.ffmpeg.args.segment import Stretch
    from vidd.media.probe.client import Prober


class Room:
    """The directory that one run writes one output's `stretch` into. `taken` are the segments that were kept."""

    def __init__(self, prober: Prober, there: Checkpoints, stretch: Stretch, name: str) -> None:
        self._prober = prober
        self.path, self.taken = there.room(), list[Segment]()
        self._there, self._at, self._after, self._name = there, stretch.first, stretch.first - 1, name

    async def take(self) -> None:
        """Keep what was closed since; SmartCutUnavailable where a segment is not as it must be."""
        for name in self._closed()[len(self.taken) :]:
            path = self.path / name
            found = await self._prober.segment(path, self._name)
            first, last = found["first"] + self._at, found["last"] + self._at
            fault = found["fault"] or ("its pictures come too early" if first <= self._after else "")
            if found["scale"] != self._there.scale:
                fault = fault or "its clock is another"
            if fault:
                raise SmartCutUnavailable(f"A segment is not as it must be: {fault}.")
            one = Segment(path.name, self._at, self._after, first, last, found["pictures"])
            self.taken.append(await self._there.keep(path, one))
            self._after = last

    def _closed(self) -> list[str]:
        try:
            text = (self.path / LIST).read_text()
        except FileNotFoundError:
            return []
        return text[: text.rfind("\n") + 1].splitlines()


class Following:
    """Takes what is closed in these rooms, whenever it is told to `look`."""

    def __init__(self, rooms: Collection[Room]) -> None:
        self._rooms, self._tick, self._over = rooms, asyncio.Event(), False
        self._task = asyncio.ensure_future(self._follow())

    def look(self) -> None:
        """There may be something new; raises what went wrong with the last."""
        if self._task.done():
            self._task.result()
        self._tick.set()

    async def end(self) -> None:
        """Take the last ones."""
        self._over = True
        self._tick.set()
        await self._task

    async def stop(self) -> None:
        """Take no more."""
        self._task.cancel()
        await shield_to_end(asyncio.gather(self._task, return_exceptions=True))

    async def _follow(self) -> None:
        while True:
            await self._tick.wait()
            self._tick.clear()
            over = self._over
            for room in self._rooms:
                await room.take()
            if over:
                return

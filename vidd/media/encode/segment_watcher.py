"""Watches the segments that a running encode closes: each is checked and kept while the next one is written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vidd.aio.shield import shield_to_end
from vidd.media.encode.checkpoints import Segment
from vidd.media.ffmpeg.args.segment import SEGMENT_LIST
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from vidd.media.encode.checkpoints import Checkpoints
    from vidd.media.ffmpeg.args.segment import SegmentRange
    from vidd.media.probe.client import Prober


class SegmentDirectory:
    """The directory that one run writes the range `frames` of one output into. `taken` are the segments that were kept."""

    def __init__(self, prober: Prober, checkpoints: Checkpoints, frames: SegmentRange, name: str) -> None:
        self._prober = prober
        self.path, self.taken = checkpoints.new_run(), list[Segment]()
        self._checkpoints, self._at, self._after, self._name = checkpoints, frames.first, frames.first - 1, name

    async def take(self) -> None:
        """Keep the segments that were closed since the last call; SmartCutUnavailable where one is not as it must be."""
        for name in self._closed()[len(self.taken) :]:
            path = self.path / name
            found = await self._prober.segment(path, self._name)
            first, last = found["first"] + self._at, found["last"] + self._at
            fault = found["fault"] or ("its frames come too early" if first <= self._after else "")
            if found["scale"] != self._checkpoints.scale:
                fault = fault or "its clock is another"
            if fault:
                raise SmartCutUnavailable(f"A segment is not as it must be: {fault}.")
            segment = Segment(path.name, self._at, self._after, first, last, found["frames"])
            self.taken.append(await self._checkpoints.add_segment(path, segment))
            self._after = last

    def _closed(self) -> list[str]:
        try:
            text = (self.path / SEGMENT_LIST).read_text()
        except FileNotFoundError:
            return []
        return text[: text.rfind("\n") + 1].splitlines()


class SegmentWatcher:
    """Takes the closed segments of these directories whenever `notify` is called."""

    def __init__(self, directories: Collection[SegmentDirectory]) -> None:
        self._directories, self._tick, self._over = directories, asyncio.Event(), False
        self._task = asyncio.ensure_future(self._watch())

    def notify(self) -> None:
        """Look for new segments; raises what went wrong with the last ones."""
        if self._task.done():
            self._task.result()
        self._tick.set()

    async def finish(self) -> None:
        """Take the last segments."""
        self._over = True
        self._tick.set()
        await self._task

    async def stop(self) -> None:
        """Take no more segments."""
        self._task.cancel()
        await shield_to_end(asyncio.gather(self._task, return_exceptions=True))

    async def _watch(self) -> None:
        while True:
            await self._tick.wait()
            self._tick.clear()
            over = self._over
            for directory in self._directories:
                await directory.take()
            if over:
                return

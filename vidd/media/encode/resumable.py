"""A long encode in segments: what is whole is kept while the rest is made, and after a kill only what is missing is made.

One run of ffmpeg decodes once and writes one segment after another, of every output. Each that is closed is looked at,
put on the disk and recorded. The sound comes first, in one piece, and is kept likewise.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Protocol

from vidd.errors import Fault
from vidd.media.encode.segment_watcher import Following, Room
from vidd.media.ffmpeg.args.segment import SEGMENT
from vidd.media.ffmpeg.process import encode
from vidd.media.probe.client import Prober
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from vidd.media.encode.checkpoints import Checkpoints, Segment
    from vidd.media.ffmpeg.args.segment import Stretch
    from vidd.model.event import Event
    from vidd.ports import Encoder

# The share of the sound in all the work, for the progress.
_SOUND = 0.05


class Recipe(Protocol):
    """How an encode is made. Its outputs are known by their numbers."""

    async def whence(self, stretches: Mapping[int, Stretch]) -> float:
        """Seconds from the source's start to seek to, so that nothing of these stretches is passed over."""

    def picture(self, stretches: Mapping[int, Stretch], rooms: Mapping[int, Path], seek: float) -> list[str]:
        """Arguments that write a stretch of each output's picture into segments in its room."""

    def sound(self, files: Mapping[int, Path]) -> list[str]:
        """Arguments that write these outputs' sound; empty where the source has none."""


@dataclass
class Segmented:
    """One encode of `length` seconds. `made` is what this run encoded, by output, `complaints` what ffmpeg said though it succeeded."""

    encoder: Encoder
    outputs: Sequence[Checkpoints]
    recipe: Recipe
    length: float
    _: KW_ONLY
    name: str
    kind: str
    place: Callable[[], AbstractAsyncContextManager[None]]
    progress: Callable[[float, float | None, str, float | None], None]
    observe: Callable[[Event], None]
    made: dict[int, list[Segment]] = field(default_factory=lambda: defaultdict(list))
    complaints: str = ""
    _done: float = 0.0

    async def run(self) -> None:
        """Make what is missing. Faults as `run.encode`; SmartCutUnavailable where this encode cannot be made in parts."""
        await self._sound()
        tried: set[tuple[int, Stretch]] = set()
        while missing := {at: gap for at, one in enumerate(self.outputs) if (gap := one.gap())}:
            if not tried.isdisjoint(missing.items()):
                raise SmartCutUnavailable("A segment that was encoded again did not become what it had been.")
            tried.update(missing.items())
            await self._pictures(missing)
        self.progress(self.length, self.length, "s", None)

    async def _sound(self) -> None:
        files = {at: one.directory / "part.mp4" for at, one in enumerate(self.outputs) if one.sound is None}
        if files and (argv := self.recipe.sound(files)):
            async with self.place():
                await self._encode(argv, list(files.values()), self.length, lambda done: _SOUND * done)
            for at, path in files.items():
                await self.outputs[at].keep_sound(path)

    async def _pictures(self, stretches: Mapping[int, Stretch]) -> None:
        prober = self.encoder.shared.get(Prober)
        rooms = {at: Room(prober, self.outputs[at], stretch, self.name) for at, stretch in stretches.items()}
        following = Following(rooms.values())
        there = min(self.outputs[at].seconds for at in stretches)
        heard = _SOUND if any(one.sound for one in self.outputs) else 0.0

        def done(seconds: float) -> float:
            following.look()
            return heard * self.length + (1 - heard) * (there + seconds)

        try:
            paths = {at: room.path for at, room in rooms.items()}
            try:
                async with self.place():
                    argv = self.recipe.picture(stretches, paths, await self.recipe.whence(stretches))
                    outputs = [one / SEGMENT for one in paths.values()]
                    await self._encode(argv, outputs, self.length - there, done)
            except Fault:
                # What was closed before the fault is good.
                with suppress(Fault, SmartCutUnavailable):
                    await following.end()
                raise
            await following.end()
        finally:
            await following.stop()
            for at, room in rooms.items():
                self.made[at] += room.taken
                shutil.rmtree(room.path, ignore_errors=True)
        for at, stretch in stretches.items():
            if stretch.beyond is None:
                await self.outputs[at].ended()

    async def _encode(
        self, argv: list[str], outputs: list[Path], duration: float, done: Callable[[float], float]
    ) -> None:
        """Run ffmpeg for `duration` seconds; `done` says for those of this run how many of the whole are done."""

        def told(seconds: float, _total: float | None, unit: str, speed: float | None) -> None:
            # A segment that is made again in the middle is no way back.
            self._done = min(max(self._done, done(seconds)), self.length)
            self.progress(self._done, self.length, unit, speed)

        ended = await encode(
            self.encoder,
            argv,
            output=outputs,
            duration=duration,
            progress=told,
            observe=self.observe,
            kind=self.kind,
        )
        self.complaints = ended.stderr

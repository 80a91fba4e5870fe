"""A long encode in segments: complete ones are kept while the rest is made, and after a kill only what is missing is made.

One run of ffmpeg decodes once and writes one segment after another, of every output. Each closed segment is checked,
flushed to disk and recorded. The audio is encoded first, into one file, and kept likewise.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Protocol

from vidd.errors import Fault
from vidd.media.encode.segment_watcher import SegmentDirectory, SegmentWatcher
from vidd.media.ffmpeg.args.segment import SEGMENT_NAME
from vidd.media.ffmpeg.process import encode
from vidd.media.probe.client import Prober
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vidd.media.encode.checkpoints import Checkpoints, Segment
    from vidd.media.ffmpeg.args.segment import SegmentRange
    from vidd.media.ffmpeg.hooks import StepHooks
    from vidd.ports import Encoder

# The share of the audio in all the work, for the progress.
_AUDIO_SHARE = 0.05


class Recipe(Protocol):
    """The arguments of an encode. Its outputs are known by their numbers."""

    async def seek_point(self, missing: Mapping[int, SegmentRange]) -> float:
        """Seconds from the source's start to seek to, so that no frame of these ranges is skipped."""

    def video_args(
        self, missing: Mapping[int, SegmentRange], directories: Mapping[int, Path], seek: float
    ) -> list[str]:
        """Arguments that write a range of each output's video into segments in its directory."""

    def audio_args(self, files: Mapping[int, Path]) -> list[str]:
        """Arguments that write these outputs' audio; empty where the source has none."""


@dataclass
class SegmentedEncode:
    """One encode of `length` seconds. `made` are the segments of this run by output, `complaints` is ffmpeg's stderr though it succeeded."""

    encoder: Encoder
    outputs: Sequence[Checkpoints]
    recipe: Recipe
    hooks: StepHooks
    length: float
    _: KW_ONLY
    name: str
    kind: str
    made: dict[int, list[Segment]] = field(default_factory=lambda: defaultdict(list))
    complaints: str = ""
    _done: float = 0.0

    async def run(self) -> None:
        """Make what is missing. Faults as `process.encode`; SmartCutUnavailable where this encode cannot be made in segments."""
        await self._make_audio()
        tried: set[tuple[int, SegmentRange]] = set()
        while missing := {number: gap for number, output in enumerate(self.outputs) if (gap := output.first_gap())}:
            if not tried.isdisjoint(missing.items()):
                raise SmartCutUnavailable("A segment that was encoded again differs from the first time.")
            tried.update(missing.items())
            await self._make_video(missing)
        self.hooks.progress(self.length, self.length, "s", None)

    async def _make_audio(self) -> None:
        files = {
            number: output.directory / "part.mp4" for number, output in enumerate(self.outputs) if output.audio is None
        }
        if files and (argv := self.recipe.audio_args(files)):
            async with self.hooks.slot():
                await self._encode(argv, list(files.values()), self.length, lambda done: _AUDIO_SHARE * done)
            for number, path in files.items():
                await self.outputs[number].add_audio(path)

    async def _make_video(self, missing: Mapping[int, SegmentRange]) -> None:
        prober = self.encoder.shared.get(Prober)
        directories = {
            number: SegmentDirectory(prober, self.outputs[number], frames, self.name)
            for number, frames in missing.items()
        }
        watcher = SegmentWatcher(directories.values())
        there = min(self.outputs[number].seconds for number in missing)
        audio_share = _AUDIO_SHARE if any(output.audio for output in self.outputs) else 0.0

        def done(seconds: float) -> float:
            watcher.notify()
            return audio_share * self.length + (1 - audio_share) * (there + seconds)

        try:
            paths = {number: directory.path for number, directory in directories.items()}
            try:
                async with self.hooks.slot():
                    argv = self.recipe.video_args(missing, paths, await self.recipe.seek_point(missing))
                    outputs = [path / SEGMENT_NAME for path in paths.values()]
                    await self._encode(argv, outputs, self.length - there, done)
            except Fault:
                # The segments that were closed before the fault are good.
                with suppress(Fault, SmartCutUnavailable):
                    await watcher.finish()
                raise
            await watcher.finish()
        finally:
            await watcher.stop()
            for number, directory in directories.items():
                self.made[number] += directory.taken
                shutil.rmtree(directory.path, ignore_errors=True)
        for number, frames in missing.items():
            if frames.beyond is None:
                await self.outputs[number].mark_final()

    async def _encode(
        self, argv: list[str], outputs: list[Path], duration: float, done: Callable[[float], float]
    ) -> None:
        """Run ffmpeg for `duration` seconds; `done` converts seconds of this run to seconds of the whole encode."""

        def progress(seconds: float, _total: float | None, unit: str, speed: float | None) -> None:
            # Progress does not go back where a segment in the middle is made again.
            self._done = min(max(self._done, done(seconds)), self.length)
            self.hooks.progress(self._done, self.length, unit, speed)

        ended = await encode(
            self.encoder,
            argv,
            output=outputs,
            duration=duration,
            progress=progress,
            observe=self.hooks.observe,
            kind=self.kind,
        )
        self.complaints = ended.stderr

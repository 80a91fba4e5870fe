"""Several renditions of one file from one decode: a short file at once, a long one in segments that survive a kill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.encode.assembly import EncodeResult, assemble
from vidd.media.encode.checkpoints import Checkpoints, fingerprint, remove_checkpoints
from vidd.media.encode.seek_point import SeekTarget, find_seek_point
from vidd.media.encode.segmented import SegmentedEncode
from vidd.media.ffmpeg.args import segment
from vidd.media.ffmpeg.args.common import time_scale, transcode_args
from vidd.media.ffmpeg.args.segment import SegmentRange
from vidd.media.ffmpeg.process import encode, version_text
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import Rendition, RenditionSettings
    from vidd.media.ffmpeg.hooks import StepHooks
    from vidd.model.media import Media
    from vidd.ports import Encoder


@dataclass(frozen=True)
class RenditionEncode:
    """All renditions of one file. Segments are of `every` seconds, 0 for none; `checkpoints` is a directory for each rendition."""

    encoder: Encoder
    source: Path
    media: Media
    renditions: Sequence[Rendition]
    hooks: StepHooks
    settings: RenditionSettings
    every: float
    checkpoints: Sequence[Path]
    name: str

    async def make(self, outputs: Sequence[Path]) -> list[EncodeResult]:
        """Encode into `outputs`. Faults as `process.encode`; complete segments stay in `checkpoints` whatever happens."""
        if not self.every or self.media.duration <= self.every:
            return await self._at_once(outputs)
        try:
            return await self._in_segments(outputs)
        except SmartCutUnavailable as unavailable:
            for directory in self.checkpoints:
                await remove_checkpoints(directory)
            why = {"segments": {"number": 1, "why": unavailable.sentence}}
            return [EncodeResult(result.complaints, facts=why) for result in await self._at_once(outputs)]

    async def _at_once(self, outputs: Sequence[Path]) -> list[EncodeResult]:
        pairs = list(zip(self.renditions, outputs, strict=True))
        async with self.hooks.slot():
            ended = await encode(
                self.encoder,
                transcode_args(self.source, pairs, self.media, self.settings),
                output=outputs,
                duration=self.media.duration,
                progress=self.hooks.progress,
                observe=self.hooks.observe,
                kind="transcode",
            )
        return [EncodeResult(ended.stderr) for _ in outputs]

    async def _in_segments(self, outputs: Sequence[Path]) -> list[EncodeResult]:
        all_checkpoints = await self._open_checkpoints()
        found = [len(checkpoints.segments) for checkpoints in all_checkpoints]
        recipe = _Recipe(self)
        work = SegmentedEncode(
            self.encoder,
            all_checkpoints,
            recipe,
            self.hooks,
            self.media.duration,
            name=self.name,
            kind="transcode",
        )
        await work.run()
        results = []
        for number, (checkpoints, output) in enumerate(zip(all_checkpoints, outputs, strict=True)):
            joins = await assemble(self.encoder, checkpoints, self.media, output, name=self.name)
            facts = {"segments": checkpoints.summary(found[number], work.made[number], recipe.why)}
            results.append(EncodeResult(work.complaints, joins, checkpoints.frames, facts))
        return results

    async def _open_checkpoints(self) -> list[Checkpoints]:
        """Those of each rendition, by itself: they stay valid when other renditions are added or left out."""
        version, opened = await version_text(self.encoder), []
        for rendition, directory in zip(self.renditions, self.checkpoints, strict=True):
            arguments = [
                self.video_args([(rendition, directory, SegmentRange())], 0.0),
                segment.rendition_audio_args(
                    self.source, self.media, [(rendition, directory)], threads=self.settings.threads
                ),
            ]
            scale = time_scale(self.media.video[0], rendition.fps)
            opened.append(Checkpoints(directory, fingerprint(version, arguments, [self.source]), scale))
            await opened[-1].open()
        return opened

    def video_args(self, outputs: Sequence[tuple[Rendition, Path, SegmentRange]], seek: float) -> list[str]:
        """Arguments that write these renditions into segments."""
        return segment.rendition_video_args(
            self.source,
            self.media,
            outputs,
            self.settings,
            seek=seek,
            every=self.every,
        )


class _Recipe:
    """The arguments of the renditions, for `SegmentedEncode`; `why` says why a resumed encode was decoded from the beginning."""

    def __init__(self, work: RenditionEncode) -> None:
        self._work, self.why = work, ""

    async def seek_point(self, missing: Mapping[int, SegmentRange]) -> float:
        work, video = self._work, self._work.media.video[0]
        scales = {number: time_scale(video, work.renditions[number].fps) for number in missing}
        earliest = min(missing, key=lambda number: missing[number].first / scales[number])
        last, scale = missing[earliest].first - 1, scales[earliest]
        if last < 0:
            return 0.0
        target = SeekTarget(
            last / scale,
            first_seek=0.0,
            filters=lambda seek: [*segment.restore_time_filters(seek), *SegmentRange(last).filters(scale)],
            scale=scale,
            tick=None if work.renditions[earliest].fps else 0,
        )
        seek, self.why = await find_seek_point(work.encoder, work.source, work.media, target, name=work.name)
        return seek

    def video_args(
        self, missing: Mapping[int, SegmentRange], directories: Mapping[int, Path], seek: float
    ) -> list[str]:
        work = self._work
        outputs = [(work.renditions[number], directories[number], frames) for number, frames in missing.items()]
        return work.video_args(outputs, seek)

    def audio_args(self, files: Mapping[int, Path]) -> list[str]:
        work = self._work
        outputs = [(work.renditions[number], path) for number, path in files.items()]
        return segment.rendition_audio_args(work.source, work.media, outputs, threads=work.settings.threads)

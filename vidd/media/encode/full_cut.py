"""A cut that is encoded in full: a short one at once, a long one in segments that survive a kill."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.files.atomic import temporary_directory
from vidd.media.encode.assembly import EncodedVideo, EncodeResult, assemble, join_parts
from vidd.media.encode.checkpoints import Checkpoints, fingerprint, remove_checkpoints
from vidd.media.encode.seek_point import SeekTarget, find_seek_point
from vidd.media.encode.segmented import SegmentedEncode
from vidd.media.ffmpeg.args import segment
from vidd.media.ffmpeg.args.common import time_scale, trim_args, video_filters
from vidd.media.ffmpeg.args.segment import SegmentRange
from vidd.media.ffmpeg.process import encode, version_text
from vidd.media.probe.client import Prober
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vidd.media.branding.preparation import PreparedBranding
    from vidd.media.ffmpeg.args.common import CutSource, EncodeSettings
    from vidd.media.ffmpeg.hooks import StepHooks
    from vidd.ports import Encoder


@dataclass(frozen=True)
class FullCut:
    """One cut. Segments are of `every` seconds, 0 for none; they are kept in the directory `checkpoints`."""

    encoder: Encoder
    source: CutSource
    settings: EncodeSettings
    branding: PreparedBranding
    hooks: StepHooks
    every: float
    checkpoints: Path
    name: str

    async def make(self, output: Path) -> EncodeResult:
        """Encode into `output`. Faults as `process.encode`; complete segments stay in `checkpoints` whatever happens."""
        if not self.every or self.source.cut.length <= self.every:
            return await self._short(output)
        try:
            return await self._in_segments(output)
        except SmartCutUnavailable as unavailable:
            await remove_checkpoints(self.checkpoints)
            result = await self._short(output)
            return replace(result, facts={"segments": {"number": 1, "why": unavailable.sentence}})

    async def _short(self, output: Path) -> EncodeResult:
        parts = self.branding.parts
        return await (self._with_clips(output) if parts.before or parts.after else self._at_once(output))

    async def _at_once(self, output: Path) -> EncodeResult:
        graph = self.branding.audio_graph(self.source, self.settings.threads)
        argv = trim_args(self.source, output, self.settings, overlay=self.branding.overlay, graph=graph)
        return EncodeResult(await self._encode(argv, output))

    async def _with_clips(self, output: Path) -> EncodeResult:
        """Video and audio each in a file of its own, joined with the clips around the talk."""
        recipe, parts = _Recipe(self), self.branding.parts
        with temporary_directory(output) as directory:
            video, audio = directory / "picture.mp4", directory / "sound.mp4"
            complaints = await self._encode(recipe.single_file_args(video), video)
            audio_args = recipe.audio_args({0: audio})
            if audio_args:
                await self._encode(audio_args, audio)
            found = await self.encoder.shared.get(Prober).segment(video, self.name)
            if found["fault"]:
                raise Refused(
                    f"The encode of {quoted(self.name)} is not as it must be ({found['fault']}): encode it anew."
                )
            talk = [EncodedVideo(video, 0, found["last"])]
            tracks = audio if audio_args else None
            await join_parts(talk, tracks, self.source.media, output, scale=parts.scale, name=self.name, parts=parts)
        return EncodeResult(complaints, parts.joins, found["frames"] + parts.frames)

    async def _encode(self, argv: list[str], output: Path) -> str:
        async with self.hooks.slot():
            ended = await encode(
                self.encoder,
                argv,
                output=output,
                duration=self.source.cut.length,
                progress=self.hooks.progress,
                observe=self.hooks.observe,
                kind="trim",
            )
        return ended.stderr

    async def _in_segments(self, output: Path) -> EncodeResult:
        recipe, media = _Recipe(self), self.source.media
        checkpoints = Checkpoints(self.checkpoints, await self._fingerprint(recipe), time_scale(media.video[0]))
        await checkpoints.open()
        found = len(checkpoints.segments)
        work = SegmentedEncode(
            self.encoder,
            [checkpoints],
            recipe,
            self.hooks,
            self.source.cut.length,
            name=self.name,
            kind="trim",
        )
        await work.run()
        parts = self.branding.parts
        joins = await assemble(self.encoder, checkpoints, media, output, name=self.name, parts=parts)
        facts = checkpoints.summary(found, work.made[0], recipe.why)
        return EncodeResult(work.complaints, joins, checkpoints.frames + parts.frames, {"segments": facts})

    async def _fingerprint(self, recipe: _Recipe) -> str:
        everything, anywhere = {0: SegmentRange()}, {0: self.checkpoints}
        arguments = [recipe.video_args(everything, anywhere, self.source.seek), recipe.audio_args(anywhere)]
        return fingerprint(await version_text(self.encoder), arguments, [self.source.path, *self.branding.files])


class _Recipe:
    """The arguments of a full cut, for `SegmentedEncode`; `why` says why a resumed encode was decoded from the beginning."""

    def __init__(self, cut: FullCut) -> None:
        self._cut, self.why = cut, ""
        self._scale = time_scale(cut.source.media.video[0])

    async def seek_point(self, missing: Mapping[int, SegmentRange]) -> float:
        cut, source, last = self._cut, self._cut.source, missing[0].first - 1
        if last < 0:
            return source.seek

        def filters(seek: float) -> list[str]:
            return [
                *video_filters(replace(source, seek=seek), cut.branding.overlay),
                *SegmentRange(last).filters(self._scale),
            ]

        at = source.cut.start + last / self._scale
        target = SeekTarget(at, first_seek=source.seek, filters=filters, scale=self._scale, tick=0)
        seek, self.why = await find_seek_point(cut.encoder, source.path, source.media, target, name=cut.name)
        return seek

    def video_args(
        self, missing: Mapping[int, SegmentRange], directories: Mapping[int, Path], seek: float
    ) -> list[str]:
        cut = self._cut
        return segment.video_args(
            replace(cut.source, seek=seek),
            directories[0],
            cut.settings,
            missing[0],
            every=cut.every,
            overlay=cut.branding.overlay,
        )

    def single_file_args(self, output: Path) -> list[str]:
        """Arguments that write all of the video into one file."""
        cut = self._cut
        return segment.single_file_args(cut.source, output, cut.settings, overlay=cut.branding.overlay)

    def audio_args(self, files: Mapping[int, Path]) -> list[str]:
        cut = self._cut
        graph = cut.branding.audio_graph(cut.source, cut.settings.threads)
        return segment.audio_args(cut.source, files[0], cut.settings, graph)

"""Smart cut: encodes only the edges of a cut, which fade, and copies all packets between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.files.atomic import temporary_directory
from vidd.media.bitstream.nal import LONG_IDS
from vidd.media.branding.intro_outro import NO_BRANDING, Branding, ClipEncoder, IntroOutro, ParameterSetIds
from vidd.media.ffmpeg.args import edge
from vidd.media.ffmpeg.args.intro_outro import ClipFormat
from vidd.media.ffmpeg.process import encode
from vidd.media.ffmpeg.timebase import Ticks, decimal
from vidd.media.smartcut.audio_tracks import AudioEncoder
from vidd.media.smartcut.client import Cutter
from vidd.media.smartcut.plan import CutPlan, Index, Keyframe, SmartCutUnavailable, make_plan, ticks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import CutSource, EncodeSettings
    from vidd.media.ffmpeg.hooks import StepHooks
    from vidd.ports import Encoder


@dataclass(frozen=True, slots=True)
class SmartCutOptions:
    """What else a smart cut does and may do.

    `open_gops` allows copying of H.264 from keyframes that are no IDR frames (see `make_plan`). `branding` is what the
    talk gets besides. Encoded intros and outros are kept in the directory `cache` for other talks; None keeps none.
    """

    open_gops: bool = True
    branding: Branding = NO_BRANDING
    cache: Path | None = None


DEFAULTS = SmartCutOptions()

_EDGES = ("lead_in", "leading", "lead_out")
"""The parts that are encoded: before the copied packets, in the place of leading frames, and after the copied packets."""


@dataclass(frozen=True, slots=True)
class SmartCut:
    """What was done: the plan, where in the result the parts meet (seconds), and how many frames it must have.

    `audio_reasons` says for each track why all of it was encoded; it is empty where only what fades was. `parts` are the
    clips around the talk, and where the talk lies.
    """

    plan: CutPlan
    joins: tuple[float, ...]
    frames: int
    audio_reasons: tuple[str, ...]
    parts: IntroOutro


async def smart_cut(
    encoder: Encoder,
    source: CutSource,
    output: Path,
    settings: EncodeSettings,
    hooks: StepHooks,
    *,
    name: str,
    options: SmartCutOptions = DEFAULTS,
) -> SmartCut:
    """Cut `source` into `output`; `name` is what the operator knows it by.

    SmartCutUnavailable if the cut cannot be made without encoding all of it. Refused and RetryLater as `encode` and
    `probe`. Unless it succeeds, `output` is gone afterwards.
    """
    cutter, cut = Cutter(source.path, name), source.cut
    try:
        async with hooks.slot():
            answer = await cutter.ask("scan", cut=[cut.start, cut.end, cut.fade])
            index = Index.from_json(answer["index"])
            chosen = _choose(index, source, open_gops=options.open_gops)
            with temporary_directory(output) as directory:
                parts = _Parts(encoder, source, settings, hooks, directory, chosen, index, answer)
                return await parts.make(cutter, output, name, options)
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    finally:
        await cutter.close()


def _choose(index: Index, source: CutSource, *, open_gops: bool) -> CutPlan:
    """The plan of a smart cut; SmartCutUnavailable if all must be encoded."""
    video = source.media.video[0]
    pixels, rate = video.width * video.height, video.rate or 25.0
    chosen = make_plan(index, source.cut, pixels=pixels, rate=rate, open_gops=open_gops)
    if chosen.strategy == "full":
        raise SmartCutUnavailable(chosen.reason)
    return chosen


@dataclass(frozen=True)
class _Parts:
    """The encoded parts of one cut, made in `directory`; `scan` is what the child found out about the packets."""

    encoder: Encoder
    source: CutSource
    settings: EncodeSettings
    hooks: StepHooks
    directory: Path
    plan: CutPlan
    index: Index
    scan: dict[str, Any]

    async def make(self, cutter: Cutter, output: Path, name: str, options: SmartCutOptions) -> SmartCut:
        """Encode everything that cannot be copied, and join it with what can."""
        index, cut, branding = self.index, self.source.cut, options.branding
        clock = ticks(index.time_base, index.begin, cut)
        free = _free_ids(index.codec, self.scan["taken"], len(_EDGES) + len(branding.clips))
        edge_ids, clip_ids = dict(zip(_EDGES, free, strict=False)), free[len(_EDGES) :]
        edges = await self._encode_edges(clock, edge_ids)
        clips = ClipEncoder(self.encoder, options.cache or self.directory, self.directory, self.hooks.observe)
        parts = await self._encode_clips(clips, branding, clock, clip_ids)
        audio = AudioEncoder(self.encoder, self.source, self.settings, self.directory, self._run)
        # Not the wanted start but that of the result, whose clock the frames are on.
        start = Fraction(clock.origin, clock.scale)
        around = {number: await clips.encode_audio(parts, track) for number, track in audio.tracks}
        tracks = await audio.make(cutter, start, name, parts=parts, around=around, gains=branding.gains)
        await cutter.ask(
            "join",
            at=parts.begin,
            before=[(str(clip.path), clip.at, clip.ids) for clip in parts.before],
            after=[(str(clip.path), clip.at, clip.ids) for clip in parts.after],
            edges={name: (str(path), edge_ids[name]) for name, path in edges.items()},
            open_gop=self._open_gop_keyframe is not None,
            plan=self.plan.to_json(),
            ticks=[clock.scale, clock.finer, clock.origin],
            audio=[track.to_json() for track in tracks],
            output=str(output),
        )
        self.hooks.progress(cut.length, cut.length, "s", None)
        reasons = tuple(track.reason for track in tracks)
        return SmartCut(self.plan, self._joins(clock, parts), index.frames + parts.frames, reasons, parts)

    def _joins(self, clock: Ticks, parts: IntroOutro) -> tuple[float, ...]:
        chosen = self.plan
        edges = ((chosen.lead_in_to, chosen.lead_in), (chosen.copy_to, chosen.lead_out))
        inside = (
            clock.seconds(pts) + parts.begin / clock.scale for pts, encoded in edges if encoded and pts is not None
        )
        return tuple(sorted((*parts.joins, *inside)))

    async def _encode_clips(
        self, clips: ClipEncoder, branding: Branding, clock: Ticks, ids: list[ParameterSetIds]
    ) -> IntroOutro:
        index, cut, settings = self.index, self.source.cut, self.settings
        clip_format = ClipFormat(
            self.source.media.video[0],
            self._video_format,
            clock.scale,
            self.scan["reordered"],
            settings.crf,
            settings.preset,
        )
        end = max(round(decimal(cut.length) * clock.scale), clock.of(index.last) + 1)
        cautious = not self.plan.lead_in and self._starts_with_drop
        return await clips.encode_video(branding, clip_format, ids, end, cautious=cautious)

    async def _encode_edges(self, clock: Ticks, ids: Mapping[str, ParameterSetIds]) -> dict[str, Path]:
        """Encode those of `_EDGES` that the cut needs, under parameter sets with these `ids`; returns their files."""
        chosen, index, decodable = self.plan, self.index, self.scan["decodable"]
        begin, low, end = chosen.copy_from or 0, chosen.lead_in_to or 0, chosen.copy_to or 0
        keyframe = self._open_gop_keyframe
        idr = keyframe.frames_before - keyframe.frames_needed if keyframe else None
        after_drop = self._starts_with_drop
        spans: dict[str, edge.EdgeSpan] = {}
        if chosen.lead_in:
            spans["lead_in"] = edge.EdgeSpan(index.first, low, 0, 0, not after_drop, idr=idr)
        if low < begin:
            spans["leading"] = edge.EdgeSpan(low, begin, 0, 0, not after_drop, intra=True)
        if chosen.lead_out:
            spans["lead_out"] = edge.EdgeSpan(end, index.last + 1, 0, 0, reordered=True)
        paths = {name: self.directory / f"{name}.mp4" for name in spans}
        for name, span in spans.items():
            argv = edge.video_args(
                self.source,
                paths[name],
                replace(
                    span,
                    keyframe=max((pts for pts in decodable if pts <= span.start), default=decodable[0]),
                    parameter_set_id=ids[name].sps,
                    reordered=self.scan["reordered"] and span.reordered,
                ),
                self._video_format,
                self.settings,
                ticks=clock,
                time_base=index.time_base,
            )
            await self._run(argv, paths[name], float((span.end - span.start) * index.time_base))
        return paths

    @property
    def _video_format(self) -> edge.VideoFormat:
        return edge.VideoFormat(self.index.codec, self.source.media.video[0].pixel_format, self.scan["profile"])

    @property
    def _open_gop_keyframe(self) -> Keyframe | None:
        """The keyframe that copying starts with, if it refers to frames before it (H.264, open GOP)."""
        keyframes = self.index.keyframes
        found = (key for key in keyframes if key.pts == self.plan.copy_from and key.kind == "recovery")
        return next(found, None)

    @property
    def _starts_with_drop(self) -> bool:
        """Whether copying starts with a frame at which a decoder drops what it has not shown yet."""
        # The sequence that starts with a CRA frame does (H.265 C.5.2.2).
        return any(key.pts == self.plan.copy_from and key.kind != "idr" for key in self.index.keyframes)

    async def _run(self, argv: list[str], path: Path, duration: float) -> None:
        """Have ffmpeg make a part of so many seconds; SmartCutUnavailable if it cannot."""
        try:
            await encode(
                self.encoder,
                argv,
                output=path,
                duration=duration,
                observe=self.hooks.observe,
                kind="trim",
            )
        except Refused as refused:
            # This ffmpeg may have no encoder of the source's codec, which a full cut does not need.
            raise SmartCutUnavailable(refused.sentence) from None


def _free_ids(codec: str, taken: list[list[int]], count: int) -> list[ParameterSetIds]:
    """Ids (VPS, SPS, PPS) that the source does not use, for the parameter sets of encoded parts."""
    vps, sps, pps = (set(ids) for ids in taken)
    if codec == "av1":
        return [ParameterSetIds(0, 0, 0)] * count
    if codec == "h264":
        free = [ParameterSetIds(0, number, number) for number in range(31, -1, -1) if number not in sps | pps]
    else:
        free = list(
            map(
                ParameterSetIds,
                (number for number in range(15, -1, -1) if number not in vps),
                (number for number in range(15, -1, -1) if number not in sps),
                (number for number in LONG_IDS if number not in pps),
            )
        )
    if len(free) < count:
        raise SmartCutUnavailable("The source uses so many parameter sets that the encoder's do not all get a free id.")
    return free[:count]

"""Smart cut: encodes only the edges of a cut, which fade, and copies all packets between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.files.atomic import temporary_directory
from vidd.media.bitstream.nal import LONG_IDS
from vidd.media.branding.intro_outro import NO_BRANDING, Branding, ClipEncoder, IntroOutro
from vidd.media.ffmpeg.args import edge
from vidd.media.ffmpeg.args.intro_outro import ClipFormat
from vidd.media.ffmpeg.process import encode
from vidd.media.ffmpeg.timebase import Ticks, decimal
from vidd.media.smartcut.audio_tracks import AudioEncoder
from vidd.media.smartcut.client import Cutter
from vidd.media.smartcut.plan import Index, Keyframe, Plan, SmartCutUnavailable, plan, ticks

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.media.branding.intro_outro import ParameterSetIds
    from vidd.media.ffmpeg.args.common import CutSource, EncodeSettings
    from vidd.media.ffmpeg.hooks import StepHooks
    from vidd.ports import Encoder


@dataclass(frozen=True, slots=True)
class SmartCutOptions:
    """`open_gops` is that of `plan.plan`; intros and outros of the `branding` stay in `cache` for other talks."""

    open_gops: bool = True
    branding: Branding = NO_BRANDING
    cache: Path | None = None


DEFAULTS = SmartCutOptions()


@dataclass(frozen=True, slots=True)
class SmartCut:
    """What was done: the plan, where in the result the parts meet (seconds), and how many frames it must have.

    `audio_reasons` says for each track why all of it was encoded; it is empty where only what fades was. `parts` are the
    clips around the talk, and where the talk lies.
    """

    plan: Plan
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


def _choose(index: Index, source: CutSource, *, open_gops: bool) -> Plan:
    """The plan of a smart cut; SmartCutUnavailable if all must be encoded."""
    video = source.media.video[0]
    pixels, rate = video.width * video.height, video.rate or 25.0
    chosen = plan(index, source.cut, pixels=pixels, rate=rate, open_gops=open_gops)
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
    plan: Plan
    index: Index
    scan: dict[str, Any]

    async def make(self, cutter: Cutter, output: Path, name: str, options: SmartCutOptions) -> SmartCut:
        """Encode everything that cannot be copied, and join it with what can."""
        index, cut, branding = self.index, self.source.cut, options.branding
        clock = ticks(index.time_base, index.begin, cut)
        ids = _free_ids(index.codec, self.scan["taken"], 3 + len(branding.clips))
        edges = await self._encode_edges(clock, ids)
        clips = ClipEncoder(self.encoder, options.cache or self.directory, self.directory, self.hooks.observe)
        parts = await self._encode_clips(clips, branding, clock, ids[3:])
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
            edges=edges,
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

    async def _encode_edges(self, clock: Ticks, ids: list[ParameterSetIds]) -> list[tuple[str | None, ParameterSetIds]]:
        """Encode lead-in, replacements of leading frames, and lead-out: their files (None: not needed) and ids."""
        chosen, index, decodable = self.plan, self.index, self.scan["decodable"]
        begin, low, end = chosen.copy_from or 0, chosen.lead_in_to or 0, chosen.copy_to or 0
        keyframe = self._open_gop_keyframe
        idr = keyframe.frames_before - keyframe.frames_needed if keyframe else None
        after_drop = self._starts_with_drop
        spans = {
            "lead_in": (chosen.lead_in, edge.EdgeSpan(index.first, low, 0, 0, not after_drop, idr=idr)),
            "leading": (low < begin, edge.EdgeSpan(low, begin, 0, 0, not after_drop, intra=True)),
            "lead_out": (chosen.lead_out, edge.EdgeSpan(end, index.last + 1, 0, 0, reordered=True)),
        }
        edges: list[tuple[str | None, ParameterSetIds]] = []
        for (part, (needed, span)), own_ids in zip(spans.items(), ids, strict=False):
            path = self.directory / f"{part}.mp4"
            edges.append((str(path) if needed else None, own_ids))
            if not needed:
                continue
            argv = edge.video_args(
                self.source,
                path,
                replace(
                    span,
                    keyframe=max((pts for pts in decodable if pts <= span.start), default=decodable[0]),
                    name=own_ids[1],
                    reordered=self.scan["reordered"] and span.reordered,
                ),
                self._video_format,
                self.settings,
                ticks=clock,
                time_base=index.time_base,
            )
            await self._run(argv, path, float((span.end - span.start) * index.time_base))
        return edges

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
        # The sequence that starts with a CRA picture does (H.265 C.5.2.2).
        return any(key.pts == self.plan.copy_from and key.kind != "idr" for key in self.index.keyframes)

    async def _run(self, argv: list[str], path: Path, duration: float) -> None:
        """Have ffmpeg make a part of so many seconds; SmartCutUnavailable if it cannot."""
        try:
            await encode(
                self.encoder,
                argv,
                output=path,
                duration=duration,
                progress=lambda *_: None,
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
        return [(0, 0, 0)] * count
    if codec == "h264":
        free = [(0, number, number) for number in range(31, -1, -1) if number not in sps | pps]
    else:
        free = list(
            zip(
                (number for number in range(15, -1, -1) if number not in vps),
                (number for number in range(15, -1, -1) if number not in sps),
                (number for number in LONG_IDS if number not in pps),
                strict=False,
            )
        )
    if len(free) < count:
        raise SmartCutUnavailable("The source uses so many parameter sets that the encoder's do not all get a free id.")
    return free[:count]

"""Cuts the talk out of the recording, frame-exact, with fades of video and audio, and adds its branding.

The result is, in this order: intro, title card, the talk, closing card, outro; all but the talk are optional. The talk is
encoded once at most, and where possible only its edges are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from pydantic import Field

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.files.atomic import commit, temporary_path
from vidd.media.branding.intro_outro import Branding, ClipEncoder, IntroOutro
from vidd.media.branding.options import CLOSING_CARD, INTRO, OUTRO, TITLE_CARD, BrandingOptions, branding_directory
from vidd.media.branding.preparation import prepare_branding
from vidd.media.branding.title_card import Card
from vidd.media.branding.watermark import Watermark
from vidd.media.encode.checkpoints import checkpoint_directory, remove_checkpoints
from vidd.media.encode.full_cut import FullCut
from vidd.media.ffmpeg.args.common import Cut, CutSource, EncodeSettings
from vidd.media.ffmpeg.hooks import StepHooks
from vidd.media.ffmpeg.process import check_capabilities
from vidd.media.ffmpeg.settings import BitRate, Preset, Segment
from vidd.media.loudness.levels import Levels, measure_levels
from vidd.media.loudness.normalization import Loudness, LoudnessMeter
from vidd.media.probe.client import probe, seek_to
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.smart_cut import SmartCutOptions, smart_cut
from vidd.media.verify.verify import Expected, Origin, audio_ends, count_missing_frames, verify, video_end
from vidd.model.media import Artifact, Media, Outcome
from vidd.model.span import WHOLE, talk_span
from vidd.ports import StepContext, Tools
from vidd.settings.marks import Role
from vidd.settings.types import Duration
from vidd.settings.types import Options as BaseOptions

_log = structlog.get_logger()
CLIP_CACHE = Path("cache", "stings")
# File names have whole seconds, so an end that is this little (seconds) too late means the end of the file.
_CLAMPED = 0.5
# How far (seconds) audio and video may move apart in a smart cut; beyond it the full cut takes its place.
_MOST_DRIFT = 0.02


class Options(BaseOptions):
    """The settings of a trim. Relative paths start at the state directory."""

    source: Annotated[str, Role()] = Field("source", description="Role of the file to cut.")
    fade: Duration = Field(3.0, ge=0, le=60, description="Length of the fade in and of the fade out; 0s for none.")
    crf: int = Field(20, ge=0, le=51, description="Quality of the video for x264: lower is better and larger.")
    preset: Preset = Field("veryfast", description="How much time x264 takes to make the file smaller.")
    audio_bitrate: BitRate = Field(160_000, description="Bits per second of each audio track (AAC), such as 160k.")
    lane: Literal["auto", "full"] = Field(
        "auto",
        description="auto encodes only what fades and copies the rest where the recording allows it; full encodes all of it.",
    )
    segment: Segment = Field(
        60.0,
        ge=0,
        le=3600,
        description="A longer cut that is encoded in full is made in segments of about this length, so that a kill costs one segment at most; 0s for one piece.",
    )
    open_gops: bool = Field(
        False, description="Copy H.264 with open GOPs too: it plays, but Chromium cannot seek into such a video."
    )
    watermark: Watermark | None = Field(
        None, description="An image over every frame of the talk, which is then encoded in full."
    )
    sting_before: str = Field(
        "", description="A video file shown first, in the talk's frame and format; none if empty."
    )
    title_card: Card | None = Field(None, description="A card before the talk, with its title and speakers.")
    closing_card: Card | None = Field(None, description="A card after the talk.")
    sting_after: str = Field("", description="A video file shown last; none if empty.")
    loudness: Loudness | None = Field(
        None, description="The target loudness of the talk (EBU R128); unset: as it was recorded."
    )

    @property
    def branding(self) -> BrandingOptions:
        """Intro, outro, cards and watermark."""
        clips = {INTRO: self.sting_before, OUTRO: self.sting_after}
        cards = {TITLE_CARD: self.title_card, CLOSING_CARD: self.closing_card}
        return BrandingOptions(
            {part: path for part, path in clips.items() if path},
            {part: card for part, card in cards.items() if card},
            self.watermark,
        )


async def check(options: Options, tools: Tools) -> str:
    """Check ffmpeg's capabilities and the files that the settings name."""
    return " ".join([await check_capabilities(tools.encoder), *await options.branding.check(tools)])


def is_still_valid(options: Options, context: StepContext, outcome: Outcome) -> bool:
    """Whether the cards still have the text that they would get now: a title may have been corrected.

    An intro, outro or watermark that was replaced does not undo a cut: published talks have the old one.
    """
    texts = {part: asdict(text) for part, text in options.branding.card_texts(context).items()}
    return bool(texts == outcome.facts.get("cards", {}))


def roles(_options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    return frozenset({"talk"})


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `talk.mp4`, role `talk`; its times are the job's, else the programme's, else those of the file name, else all of it.

    The facts have the time of the talk in it (`talk_at`, seconds), and its `parts`.
    """
    name, source = context.job.name, context.file(options.source, part=True)
    media = context.artifacts[options.source].media or await probe(context.tools.encoder, source, name)
    cut = _cut(context, media, options.fade)
    texts = options.branding.card_texts(context)
    final = context.directory / "talk.mp4"
    part, checkpoints = temporary_path(final), checkpoint_directory(final)
    try:
        async with branding_directory(final) as directory:
            branding, used = await options.branding.prepare(context, texts, media.video[0], directory)
            trim = _Trim(options, context, source, media, cut, part, checkpoints, directory)
            made, checked, facts = await trim.run(branding)
        await commit(part, final)
    except Refused:
        await remove_checkpoints(checkpoints)
        raise
    finally:
        part.unlink(missing_ok=True)
    await remove_checkpoints(checkpoints)
    return Outcome(
        artifacts=(Artifact("talk", final.name, made.size, "video/mp4", made, {"check": checked}),),
        facts={
            "start": cut.start,
            "end": cut.end,
            "duration": made.duration,
            "fade": cut.fade,
            "lane": checked["lane"],
            "why": checked["why"],
            **_notes(context),
            **facts,
            **used,
            **({"cards": {part: asdict(text) for part, text in texts.items()}} if texts else {}),
        },
    )


@dataclass(frozen=True)
class _Trim:
    """One cut, made into `part`. A long encode keeps its checkpoints in `checkpoints`, the branding lies in `directory`."""

    options: Options
    context: StepContext
    source: Path
    media: Media
    cut: Cut
    part: Path
    checkpoints: Path
    directory: Path

    async def run(self, branding: Branding) -> tuple[Media, dict[str, Any], dict[str, Any]]:
        """The finished file, the record of its check with the strategy and its reason, and facts about its parts.

        A smart cut that cannot be made, or fails its check, is replaced by a full cut.
        """
        levels = await self._levels()
        made, record, parts = await self._make(replace(branding, gains=levels.gains))
        talk_at = parts.begin / parts.scale
        facts: dict[str, Any] = {"talk_at": talk_at, "parts": parts.to_json()}
        if levels.found:
            async with self.context.slot():
                facts["loudness"] = await levels.record(self.part, talk_at)
        return made, record, facts

    async def _levels(self) -> Levels:
        """The loudness of the talk, where the settings name a target."""
        meter = LoudnessMeter(self.context.tools.encoder, self.directory, self.context.tools.observe)
        target = self.options.loudness
        if target is None or not any(track.codec != "unknown" for track in self.media.audio):
            return Levels(meter, self.cut)
        source = await self._cut_source()
        async with self.context.slot():
            return await measure_levels(meter, source, target)

    async def _cut_source(self) -> CutSource:
        seek = await seek_to(self.context.tools.encoder, self.source, self.media, self.cut.start, self.context.job.name)
        return CutSource(self.source, self.media, self.cut, seek)

    async def _make(self, branding: Branding) -> tuple[Media, dict[str, Any], IntroOutro]:
        reason = self._why_full()
        if reason is None:
            try:
                return await self._smart_cut(branding)
            except SmartCutUnavailable as why:
                reason = why.sentence
            except Refused as refused:
                _log.warning("smart cut failed its check", job=self.context.job.id, reason=refused.sentence)
                reason = f"The smart cut failed its check: {refused.sentence}"
            self.part.unlink(missing_ok=True)
        made, record, parts = await self._full_cut(branding)
        return made, {**record, "lane": "full", "why": reason}, parts

    def _why_full(self) -> str | None:
        if self.options.lane == "full":
            return "The settings ask for it."
        return "A watermark is put over every frame." if self.options.watermark else None

    async def _smart_cut(self, branding: Branding) -> tuple[Media, dict[str, Any], IntroOutro]:
        options, context, name = self.options, self.context, self.context.job.name
        result = await smart_cut(
            context.tools.encoder,
            CutSource(self.source, self.media, self.cut),
            self.part,
            EncodeSettings(options.crf, options.preset, options.audio_bitrate, context.tools.encoder.threads),
            StepHooks.of(context),
            name=name,
            options=SmartCutOptions(options.open_gops, branding, context.tools.path(CLIP_CACHE)),
        )
        expected = self._expected(*self.media.video[0].display_size, result.parts)
        expected = replace(expected, frames=result.frames, joins=result.joins, max_drift=_MOST_DRIFT)
        made, check = await verify(context.tools.encoder, self.part, expected, name)
        strategy = {"lane": result.plan.strategy, "why": result.plan.reason, "forecast": round(result.plan.seconds, 1)}
        record = {**check.to_json(), "missing": 0, **strategy, "sound_encoded": list(result.audio_reasons)}
        return made, record, result.parts

    async def _full_cut(self, branding: Branding) -> tuple[Media, dict[str, Any], IntroOutro]:
        options, context, encoder = self.options, self.context, self.context.tools.encoder
        name, video = context.job.name, self.media.video[0]
        settings = EncodeSettings(options.crf, options.preset, options.audio_bitrate, encoder.threads)
        clips = ClipEncoder(encoder, context.tools.path(CLIP_CACHE), self.directory, context.tools.observe)
        prepared = await prepare_branding(branding, clips, self.media, self.cut, settings, slot=context.slot())
        cut = FullCut(
            encoder,
            await self._cut_source(),
            settings,
            prepared,
            StepHooks.of(context),
            every=options.segment,
            checkpoints=self.checkpoints,
            name=name,
        )
        result = await cut.make(self.part)
        width, height = video.display_size
        expected = replace(
            self._expected(width // 2 * 2, height // 2 * 2, prepared.parts),
            covered=branding.watermark.covers if branding.watermark else None,
            frames=result.frames,
            joins=result.joins,
        )
        made, check = await verify(encoder, self.part, expected, name, result.complaints)
        frames = None if check.frames is None else check.frames - prepared.parts.frames
        missing = await count_missing_frames(encoder, self.source, video, self.cut, frames=frames, name=name)
        return made, check.to_json() | result.facts | {"missing": missing}, prepared.parts

    def _expected(self, width: int, height: int, parts: IntroOutro) -> Expected:
        cut, at = self.cut, parts.begin / parts.scale
        seconds = parts.seconds(cut.length)
        return Expected(
            seconds,
            seconds,
            width,
            height,
            sum(track.codec != "unknown" for track in self.media.audio),
            audio_ends=parts.audio_ends(audio_ends(self.media, cut.start, cut.length)),
            origin=Origin(self.source, cut.start, at=at, fade=cut.fade, end=at + cut.length),
        )


def _notes(context: StepContext) -> dict[str, list[str]]:
    """A note where nobody gave the talk's times."""
    if talk_span(context.job.facts, context.talk, context.job.name) is not WHOLE:
        return {}
    return {"notes": ["Nobody gave the talk's times, so it is all of the recording."]}


def _cut(context: StepContext, media: Media, fade: float) -> Cut:
    span = talk_span(context.job.facts, context.talk, context.job.name)
    length, shown = video_end(media), quoted(context.job.name)
    if not length:
        raise Refused(f"The file {shown} has no duration: put it into MP4, MKV or TS and send it again.")
    start, end = span.start, length if span.end is None else span.end
    if not 0 <= start < end:
        raise Refused(f"The talk in {shown} starts at {start:g} s and ends at {end:g} s: correct its times.")
    if end > length + _CLAMPED:
        raise Refused(
            f"The talk in {shown} ends at {end:g} s, but the recording is only {length:.2f} s long: "
            "correct the end, or send the whole recording."
        )
    end = min(end, length)
    if end <= start:
        raise Refused(f"The talk in {shown} starts at {start:g} s, where the recording ends: correct its times.")
    if (end - start) * (media.video[0].rate or 1000) < 1:
        raise Refused(f"The talk in {shown} lasts {end - start:g} s, which is less than one frame: correct its times.")
    return Cut(start, end, min(fade, (end - start) / 2))

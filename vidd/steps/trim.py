"""Cut the talk out of the recording, frame-exact, with fades of picture and sound, and dress it for publishing.

What comes out is, in this order: a sting, a title card, the talk, a closing card, a sting; of these only the talk must
be there. Whatever is asked, the talk is encoded once at most, and where it can be, only its edges are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import Field

import vidd.settings.types
from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.files.atomic import commit, temporary_path
from vidd.media.branding.intro_outro import Around, Dress, Wardrobe
from vidd.media.branding.options import CLOSING_CARD, STING_AFTER, STING_BEFORE, TITLE_CARD, Asked, dressing_room
from vidd.media.branding.prepared import dressed
from vidd.media.branding.title_card import Card
from vidd.media.branding.watermark import Watermark
from vidd.media.encode.checkpoints import checkpoints_of, forget
from vidd.media.encode.full_cut import Whole
from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.process import check_capable
from vidd.media.ffmpeg.settings import BitRate, Preset, Segment
from vidd.media.loudness.levels import Levels, measured
from vidd.media.loudness.loudness import Loudness, Meter
from vidd.media.probe.client import probe, seek_to
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.smart_cut import edges
from vidd.media.verify.verify import Origin, Wanted, check_pictures, picture_end, sound_ends, verify
from vidd.model.media import Artifact, Media, Outcome
from vidd.model.span import talk_span
from vidd.ports import StepContext, Tools
from vidd.settings.types import Duration

_log = structlog.get_logger()
STINGS = Path("cache", "stings")
# A name says whole seconds, so an end that is this little too late means the end of the file.
_CLAMPED = 0.5
# How far (seconds) sound and picture may move apart in a cut that an encode of all can take the place of.
_APART = 0.02


class Options(vidd.settings.types.Options):
    """The settings of a trim. Paths that are not absolute start at the state directory."""

    source: str = Field("source", description="Role of the file to cut.")
    fade: Duration = Field(3.0, ge=0, le=60, description="Length of the fade in and of the fade out; 0s for none.")
    crf: int = Field(20, ge=0, le=51, description="Quality of the picture for x264: lower is better and larger.")
    preset: Preset = Field("veryfast", description="How much time x264 takes to make the file smaller.")
    audio_bitrate: BitRate = Field(160_000, description="Bits per second of each sound track (AAC), such as 160k.")
    lane: Literal["auto", "full"] = Field(
        "auto",
        description="auto encodes only what fades and copies the rest where the recording allows it; full all of it.",
    )
    segment: Segment = Field(
        60.0,
        ge=0,
        le=3600,
        description="A longer cut all of which is encoded is made in segments of about this length, so that a kill costs no more than one; 0s for one piece.",
    )
    open_gops: bool = Field(
        False, description="Copy H.264 with open GOPs too: it plays, but Chromium cannot seek into such a video."
    )
    watermark: Watermark | None = Field(
        None, description="An image over every picture of the talk, all of which is encoded for it."
    )
    sting_before: str = Field(
        "", description="A video file shown first, in the talk's frame and format; none if empty."
    )
    title_card: Card | None = Field(None, description="A card before the talk, with its title and speakers.")
    closing_card: Card | None = Field(None, description="A card after the talk.")
    sting_after: str = Field("", description="A video file shown last; none if empty.")
    loudness: Loudness | None = Field(
        None, description="How loud the talk is to be (EBU R128); without it, it stays as loud as it was recorded."
    )

    @property
    def asked(self) -> Asked:
        """What is shown around the talk."""
        stings = {STING_BEFORE: self.sting_before, STING_AFTER: self.sting_after}
        cards = {TITLE_CARD: self.title_card, CLOSING_CARD: self.closing_card}
        return Asked(
            {part: path for part, path in stings.items() if path},
            {part: one for part, one in cards.items() if one},
            self.watermark,
        )


async def check(options: Options, tools: Tools) -> str:
    """Ask ffmpeg whether it can do this, and look at the files that the settings name."""
    return " ".join([await check_capable(tools.encoder), *await options.asked.check(tools)])


def is_still_valid(options: Options, context: StepContext, outcome: Outcome) -> bool:
    """Whether the cards that were made still say what they would say now: a title may have been corrected.

    A sting or a watermark that was replaced does not undo a cut: what is out already has the old one.
    """
    words = {part: asdict(one) for part, one in options.asked.words(context).items()}
    return bool(words == outcome.facts.get("cards", {}))


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `talk.mp4`, role `talk`; its times are the job's, else the programme's, else those of the file name.

    The facts say where in it the talk lies (`talk_at`, seconds), and what the `parts` are.
    """
    name, source = context.job.name, context.file(options.source, part=True)
    media = context.artifacts[options.source].media or await probe(context.tools.encoder, source, name)
    cut = _cut(context, media, options.fade)
    words = options.asked.words(context)
    final = context.directory / "talk.mp4"
    part, kept = temporary_path(final), checkpoints_of(final)
    try:
        async with dressing_room(final) as room:
            dress, used = await options.asked.dress(context, words, media.video[0], room)
            made, checked, facts = await _Cutting(options, context, source, media, cut, part, kept, room).run(dress)
        await commit(part, final)
    except Refused:
        await forget(kept)
        raise
    finally:
        part.unlink(missing_ok=True)
    await forget(kept)
    return Outcome(
        artifacts=(Artifact("talk", final.name, made.size, "video/mp4", made, {"check": checked}),),
        facts={
            "start": cut.start,
            "end": cut.end,
            "duration": made.duration,
            "fade": cut.fade,
            "lane": checked["lane"],
            "why": checked["why"],
            **facts,
            **used,
            **({"cards": {part: asdict(one) for part, one in words.items()}} if words else {}),
        },
    )


@dataclass(frozen=True)
class _Cutting:
    """One cut on its way into `part`; what a long one has so far is `kept`, and in `room` lies what it is dressed with."""

    options: Options
    context: StepContext
    source: Path
    media: Media
    cut: args_common.Cut
    part: Path
    kept: Path
    room: Path

    async def run(self, dress: Dress) -> tuple[Media, dict[str, Any], dict[str, Any]]:
        """What was made, the record of its check with the lane and why it was that one, and what it consists of.

        An edges cut that cannot be made, or does not stand its check, is made anew by encoding all of it.
        """
        levels = await self._levels()
        made, checked, around = await self._made(replace(dress, changes=levels.changes))
        facts: dict[str, Any] = {"talk_at": around.begin / around.scale, "parts": around.to_json()}
        if levels.found:
            async with self.context.slot():
                told = await levels.record(self.part, around.begin / around.scale)
            facts["loudness"] = told
        return made, checked, facts

    async def _levels(self) -> Levels:
        """How loud the talk is, where somebody wants to know."""
        meter = Meter(self.context.tools.encoder, self.room, self.context.tools.observe)
        wanted, audio = self.options.loudness, self.media.audio
        if wanted is None or not any(one.codec != "unknown" for one in audio):
            return Levels(meter, self.cut)
        seek = await seek_to(self.context.tools.encoder, self.source, self.media, self.cut.start, self.context.job.name)
        async with self.context.slot():
            return await measured(meter, self.source, audio, self.cut, wanted, seek=seek)

    async def _made(self, dress: Dress) -> tuple[Media, dict[str, Any], Around]:
        reason = self._why_all()
        if reason is None:
            try:
                return await self._edges(dress)
            except SmartCutUnavailable as why:
                reason = why.sentence
            except Refused as refused:
                _log.warning("edges cut not good", job=self.context.job.id, reason=refused.sentence)
                reason = f"The quick cut did not stand its check: {refused.sentence}"
            self.part.unlink(missing_ok=True)
        made, checked, around = await self._full(dress)
        return made, {**checked, "lane": "full", "why": reason}, around

    def _why_all(self) -> str | None:
        if self.options.lane == "full":
            return "The settings ask for it."
        return "A watermark is put over every picture." if self.options.watermark else None

    async def _edges(self, dress: Dress) -> tuple[Media, dict[str, Any], Around]:
        options, context, name = self.options, self.context, self.context.job.name
        async with context.slot():
            done = await edges(
                context.tools.encoder,
                self.source,
                self.part,
                self.media,
                self.cut,
                name=name,
                crf=options.crf,
                preset=options.preset,
                audio_bitrate=options.audio_bitrate,
                progress=context.progress,
                observe=context.tools.observe,
                open_gops=options.open_gops,
                dress=dress,
                kept=context.tools.path(STINGS),
            )
        wanted = self._wanted(*self.media.video[0].shown, done.around)
        wanted = replace(wanted, pictures=done.pictures, joins=done.joins, apart=_APART)
        made, record = await verify(context.tools.encoder, self.part, wanted, name)
        how = {"lane": done.plan.lane, "why": done.plan.reason, "forecast": round(done.plan.seconds, 1)}
        return made, {**record.to_json(), "missing": 0, **how, "sound_encoded": list(done.sound)}, done.around

    async def _full(self, dress: Dress) -> tuple[Media, dict[str, Any], Around]:
        options, context, name, cut = self.options, self.context, self.context.job.name, self.cut
        wardrobe = Wardrobe(context.tools.encoder, context.tools.path(STINGS), self.room, context.tools.observe)
        ready = await dressed(
            dress, wardrobe, self.media, cut, crf=options.crf, preset=options.preset, place=context.slot()
        )
        around = ready.around
        whole = Whole(
            context.tools.encoder,
            self.source,
            self.media,
            cut,
            seek=await seek_to(context.tools.encoder, self.source, self.media, cut.start, name),
            crf=options.crf,
            preset=options.preset,
            audio_bitrate=options.audio_bitrate,
            every=options.segment,
            kept=self.kept,
            name=name,
            place=context.slot,
            progress=context.progress,
            observe=context.tools.observe,
            dressed=ready,
        )
        done = await whole.make(self.part)
        width, height = self.media.video[0].shown
        wanted = self._wanted(width // 2 * 2, height // 2 * 2, around)
        wanted = replace(
            wanted, covered=dress.mark.covers if dress.mark else None, pictures=done.pictures, joins=done.joins
        )
        made, record = await verify(context.tools.encoder, self.part, wanted, name, done.complaints)
        frames = None if record.frames is None else record.frames - around.pictures
        missing = await check_pictures(
            context.tools.encoder, self.source, self.media.video[0], cut, got=frames, name=name
        )
        return made, record.to_json() | done.facts | {"missing": missing}, around

    def _wanted(self, width: int, height: int, around: Around) -> Wanted:
        cut, at = self.cut, around.begin / around.scale
        whole = around.seconds(cut.length)
        return Wanted(
            whole,
            whole,
            width,
            height,
            sum(one.codec != "unknown" for one in self.media.audio),
            sound=around.sound_ends(sound_ends(self.media, cut.start, cut.length)),
            origin=Origin(self.source, cut.start, at=at, fade=cut.fade, end=at + cut.length),
        )


def _cut(context: StepContext, media: Media, fade: float) -> args_common.Cut:
    span = talk_span(context.job.facts, context.talk, context.job.name)
    there, shown = picture_end(media), quoted(context.job.name)
    if not there:
        raise Refused(f"The file {shown} does not say how long it is: put it into MP4, MKV or TS and send it again.")
    start, end = span.start, there if span.end is None else span.end
    if not 0 <= start < end:
        raise Refused(f"The talk in {shown} starts at {start:g} s and ends at {end:g} s: correct its times.")
    if end > there + _CLAMPED:
        raise Refused(
            f"The talk in {shown} ends at {end:g} s, but the recording is only {there:.2f} s long: "
            "correct the end, or send the whole recording."
        )
    end = min(end, there)
    if end <= start:
        raise Refused(f"The talk in {shown} starts at {start:g} s, where the recording ends: correct its times.")
    if (end - start) * (media.video[0].rate or 1000) < 1:
        raise Refused(f"The talk in {shown} lasts {end - start:g} s, which is less than a picture: correct its times.")
    return args_common.Cut(start, end, min(fade, (end - start) / 2))

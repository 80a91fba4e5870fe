"""Cut the talk out of the recording, frame-exact, with fades of picture and sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import Field

import vidd.options
from vidd.errors import Refused
from vidd.ffmpeg import args
from vidd.ffmpeg.checkpoints import checkpoints_of, forget
from vidd.ffmpeg.edges import edges
from vidd.ffmpeg.place import part_of, put_in_place
from vidd.ffmpeg.plan import NotLikeThis
from vidd.ffmpeg.probe import probe, prober
from vidd.ffmpeg.run import check_capable
from vidd.ffmpeg.settings import BitRate, Preset
from vidd.ffmpeg.verify import Wanted, check_joins, check_pictures, picture_end, verify
from vidd.ffmpeg.whole import Whole
from vidd.model.media import Artifact, Media, Outcome
from vidd.model.span import talk_span
from vidd.options import Duration
from vidd.ports import Bench, Tools
from vidd.printable import quoted

_log = structlog.get_logger()
SLOT: str | None = "encodes"
OWN_PLACE = True  # looking at the source before, and checking and syncing after, leave room for another's encode
# A name says whole seconds, so an end that is this little too late means the end of the file.
_CLAMPED = 0.5


class Options(vidd.options.Options):
    """The settings of a trim."""

    source: str = Field("source", description="Role of the file to cut.")
    fade: Duration = Field(3.0, ge=0, le=60, description="Length of the fade in and of the fade out; 0s for none.")
    crf: int = Field(20, ge=0, le=51, description="Quality of the picture for x264: lower is better and larger.")
    preset: Preset = Field("veryfast", description="How much time x264 takes to make the file smaller.")
    audio_bitrate: BitRate = Field(160_000, description="Bits per second of each sound track (AAC), such as 160k.")
    lane: Literal["auto", "full"] = Field(
        "auto",
        description="auto encodes only what fades and copies the rest where the recording allows it; full all of it.",
    )
    segment: Duration = Field(
        60.0,
        ge=0,
        le=3600,
        description="A longer cut all of which is encoded is made in segments of about this length, so that a kill costs no more than one; 0s for one piece.",
    )
    open_gops: bool = Field(
        False, description="Copy H.264 with open GOPs too: it plays, but Chromium cannot seek into such a video."
    )


async def check(options: Options, tools: Tools) -> str:  # noqa: ARG001 - a kind's check has this shape
    """Ask ffmpeg whether it can do this."""
    return await check_capable(tools.encoder)


async def run(options: Options, bench: Bench) -> Outcome:
    """Make `talk.mp4`, role `talk`; its times are the job's, else the programme's, else those of the file name."""
    name, source = bench.job.name, bench.file(options.source, part=True)
    media = bench.artifacts[options.source].media or await probe(source, name)
    cut = _cut(bench, media, options.fade)
    final = bench.directory / "talk.mp4"
    part, kept = part_of(final), checkpoints_of(final)
    try:
        made, checked = await _Cutting(options, bench, source, media, cut, part, kept).run()
        await put_in_place(part, final)
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
        },
    )


@dataclass(frozen=True)
class _Cutting:
    """One cut on its way into `part`; what a long one has so far is `kept`."""

    options: Options
    bench: Bench
    source: Path
    media: Media
    cut: args.Cut
    part: Path
    kept: Path

    async def run(self) -> tuple[Media, dict[str, Any]]:
        """What was made and the record of its check, with the lane and why it was that one.

        An edges cut that cannot be made, or does not stand its check, is made anew by encoding all of it.
        """
        reason = "The settings ask for it."
        if self.options.lane == "auto":
            try:
                return await self._edges()
            except NotLikeThis as why:
                reason = why.sentence
            except Refused as refused:
                _log.warning("edges cut not good", job=self.bench.job.id, reason=refused.sentence)
                reason = f"The quick cut did not stand its check: {refused.sentence}"
            self.part.unlink(missing_ok=True)
        made, checked = await self._full()
        return made, {**checked, "lane": "full", "why": reason}

    async def _edges(self) -> tuple[Media, dict[str, Any]]:
        options, bench, name = self.options, self.bench, self.bench.job.name
        async with bench.place():
            done = await edges(
                bench.tools.encoder,
                self.source,
                self.part,
                self.media,
                self.cut,
                name=name,
                crf=options.crf,
                preset=options.preset,
                audio_bitrate=options.audio_bitrate,
                progress=bench.progress,
                observe=bench.tools.observe,
                open_gops=options.open_gops,
            )
        width, height = self.media.video[0].shown
        wanted = Wanted(self.cut.length, self.cut.length, width, height, self._tracks)
        made, record = await verify(self.part, wanted, name)
        joined = await check_joins(self.part, done.joins, done.pictures, made.video[0].frames, name)
        how = {"lane": done.plan.lane, "why": done.plan.reason, "forecast": round(done.plan.seconds, 1)}
        return made, {**record.to_json(), "missing": 0, **joined, **how, "sound_encoded": list(done.sound)}

    async def _full(self) -> tuple[Media, dict[str, Any]]:
        options, bench, name, cut = self.options, self.bench, self.bench.job.name, self.cut
        whole = Whole(
            bench.tools.encoder,
            self.source,
            self.media,
            cut,
            seek=await _seek(self.source, self.media, cut.start, name),
            crf=options.crf,
            preset=options.preset,
            audio_bitrate=options.audio_bitrate,
            every=options.segment,
            kept=self.kept,
            name=name,
            place=bench.place,
            progress=bench.progress,
            observe=bench.tools.observe,
        )
        done = await whole.make(self.part)
        width, height = self.media.video[0].shown
        wanted = Wanted(cut.length, cut.length, width // 2 * 2, height // 2 * 2, self._tracks)
        made, record = await verify(self.part, wanted, name, done.complaints)
        joined: dict[str, Any] = {}
        if done.pictures is not None:
            joined = await check_joins(self.part, done.joins, done.pictures, made.video[0].frames, name)
        missing = await check_pictures(self.source, self.media.video[0], cut, record.frames, name)
        return made, record.to_json() | joined | done.facts | {"missing": missing}

    @property
    def _tracks(self) -> int:
        return sum(one.codec != "unknown" for one in self.media.audio)


async def _seek(source: Path, media: Media, start: float, name: str) -> float:
    # MP4 has an index of keyframes, so that ffmpeg itself finds the one before; the second serves the sound's decoder.
    nearly = max(0.0, start - 1)
    return nearly if media.container.startswith("mov") or not nearly else await prober().seek_point(source, start, name)


def _cut(bench: Bench, media: Media, fade: float) -> args.Cut:
    span = talk_span(bench.job.facts, bench.talk, bench.job.name)
    there, shown = picture_end(media), quoted(bench.job.name)
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
    return args.Cut(start, end, min(fade, (end - start) / 2))

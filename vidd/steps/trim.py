"""Cut the talk out of the recording, frame-exact, with fades of picture and sound."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

import vidd.options
from vidd.errors import Refused
from vidd.ffmpeg import args
from vidd.ffmpeg.place import part_of, put_in_place
from vidd.ffmpeg.probe import probe, prober
from vidd.ffmpeg.run import check_capable, encode
from vidd.ffmpeg.settings import BitRate, Preset
from vidd.ffmpeg.verify import Wanted, check_pictures, picture_end, verify
from vidd.model.media import Artifact, Media, Outcome
from vidd.model.span import talk_span
from vidd.options import Duration
from vidd.ports import Bench, Tools
from vidd.printable import quoted

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


async def check(options: Options, tools: Tools) -> str:  # noqa: ARG001 - a kind's check has this shape
    """Ask ffmpeg whether it can do this."""
    return await check_capable(tools.encoder)


async def run(options: Options, bench: Bench) -> Outcome:
    """Make `talk.mp4`, role `talk`; its times are the job's, else the programme's, else those of the file name."""
    name, source = bench.job.name, bench.file(options.source, part=True)
    media = bench.artifacts[options.source].media or await probe(source, name)
    cut = _cut(bench, media, options.fade)
    seek = await _seek(source, media, cut.start, name)
    final = bench.directory / "talk.mp4"
    part = part_of(final)
    encoder = bench.tools.encoder
    argv = args.trim(
        source,
        part,
        media,
        cut,
        seek=seek,
        crf=options.crf,
        preset=options.preset,
        audio_bitrate=options.audio_bitrate,
        threads=encoder.threads,
    )
    try:
        async with bench.place():
            ended = await encode(
                encoder,
                argv,
                output=part,
                duration=cut.length,
                progress=bench.progress,
                observe=bench.tools.observe,
                kind="trim",
            )
        made, record = await verify(part, _wanted(media, cut), name, ended.stderr)
        missing = await check_pictures(source, media.video[0], cut, record.frames, name)
        await put_in_place(part, final)
    finally:
        part.unlink(missing_ok=True)
    checked = record.to_json() | {"missing": missing}
    return Outcome(
        artifacts=(Artifact("talk", final.name, made.size, "video/mp4", made, {"check": checked}),),
        facts={"start": cut.start, "end": cut.end, "duration": made.duration, "fade": cut.fade},
    )


async def _seek(source: Path, media: Media, start: float, name: str) -> float:
    # MP4 has an index of keyframes, so that ffmpeg itself finds the one before; the second serves the sound's decoder.
    nearly = max(0.0, start - 1)
    return nearly if media.container.startswith("mov") or not nearly else await prober().seek_point(source, start, name)


def _wanted(media: Media, cut: args.Cut) -> Wanted:
    width, height = media.video[0].shown
    tracks = sum(one.codec != "unknown" for one in media.audio)
    return Wanted(cut.length, cut.length, width // 2 * 2, height // 2 * 2, tracks)


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

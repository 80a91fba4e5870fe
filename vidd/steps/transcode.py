"""Make renditions of a video, by height and bit rate, all from one decode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

import vidd.settings.types
from vidd.errors import Refused
from vidd.files.atomic import commit, temporary_path
from vidd.media.encode.assemble import Made
from vidd.media.encode.checkpoints import checkpoints_of, forget
from vidd.media.encode.renditions import Ladder
from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.process import check_capable
from vidd.media.ffmpeg.settings import BitRate, Preset, Segment
from vidd.media.probe.client import probe
from vidd.media.verify.verify import Origin, Wanted, picture_end, sound_ends, verify
from vidd.model.media import Artifact, Media, Outcome
from vidd.ports import Encoder, StepContext, Tools


class Size(vidd.settings.types.Options):
    """One rendition."""

    height: int = Field(ge=16, le=8192, multiple_of=2, description="Height as shown; the width follows.")
    video_bitrate: BitRate = Field(description="Bits per second of the picture, such as 2M; 1.5 times that at most.")
    audio_bitrate: BitRate = Field(128_000, description="Bits per second of each sound track (AAC), such as 128k.")
    fps: float | None = Field(None, gt=0, le=240, description="Pictures per second at most; as in the source if unset.")
    name: str = Field(
        "", pattern=r"^([\w-][\w.-]{0,40})?$", description="Name in the role and the file; 720p and so on."
    )

    @property
    def label(self) -> str:
        """The name, made of the height where none was given."""
        return self.name or f"{self.height}p"


class Options(vidd.settings.types.Options):
    """The settings of a transcode."""

    source: str = Field(
        "", description="Role of the file to work on; unset: the talk where there is one, else the source."
    )
    renditions: tuple[Size, ...] = Field(
        (Size(height=720, video_bitrate=2_000_000),), min_length=1, max_length=16, description="What to make."
    )
    preset: Preset = Field("veryfast", description="How much time x264 takes to make the files smaller.")
    segment: Segment = Field(
        60.0,
        ge=0,
        le=3600,
        description="A longer video is worked on in segments of about this length, so that a kill costs no more than one; 0s for one piece.",
    )
    upscale: bool = Field(False, description="Make renditions that are higher than the source, too.")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        labels = [one.label for one in self.renditions]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two renditions are called {label!r}; give one of them another name")
        return self


async def check(options: Options, tools: Tools) -> str:  # noqa: ARG001 - a kind's check has this shape
    """Ask ffmpeg whether it can do this."""
    return await check_capable(tools.encoder)


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `rendition-720p.mp4` and so on, with roles of the same names."""
    role = options.source or ("talk" if "talk" in context.artifacts else "source")
    source, name = context.file(role), context.job.name
    media = context.artifacts[role].media or await probe(context.tools.encoder, source, name)
    sizes, left_out = _chosen(options, media)
    finals = [context.directory / f"rendition-{one.name}.mp4" for one in sizes]
    parts, kept = [temporary_path(final) for final in finals], [checkpoints_of(final) for final in finals]
    ladder = Ladder(
        context.tools.encoder,
        source,
        media,
        sizes,
        preset=options.preset,
        every=options.segment,
        kept=kept,
        name=name,
        place=context.slot,
        progress=context.progress,
        observe=context.tools.observe,
    )
    try:
        done = await ladder.make(parts)
        checked = [
            await _checked(context.tools.encoder, part, _wanted(one, media, source), made, name)
            for part, one, made in zip(parts, sizes, done, strict=True)
        ]
        for part, final in zip(parts, finals, strict=True):
            await commit(part, final)
    except Refused:
        await _forget(kept)
        raise
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    await _forget(kept)
    return Outcome(
        artifacts=tuple(
            Artifact(final.stem, final.name, made.size, "video/mp4", made, {"check": record})
            for final, (made, record) in zip(finals, checked, strict=True)
        ),
        facts={"renditions": [_told(one) for one in sizes], "left_out": left_out},
    )


async def _checked(encoder: Encoder, part: Path, wanted: Wanted, done: Made, name: str) -> tuple[Media, dict[str, Any]]:
    wanted = replace(wanted, pictures=done.pictures, joins=done.joins)
    made, record = await verify(encoder, part, wanted, name, done.complaints)
    return made, record.to_json() | done.facts


async def _forget(kept: list[Path]) -> None:
    for one in kept:
        await forget(one)


def _chosen(options: Options, media: Media) -> tuple[list[args_common.Rendition], list[dict[str, str]]]:
    """What is made, and what is not, with the reason. Where all would be left out, the smallest has the source's size."""
    height = media.video[0].shown[1]
    fit = [one for one in options.renditions if options.upscale or one.height <= height]
    left_out = [
        {"name": one.label, "why": f"The source is only {height} lines high."}
        for one in options.renditions
        if one not in fit
    ]
    if fit:
        return [_rendition(one, one.height, media) for one in fit], left_out
    smallest = min(options.renditions, key=lambda one: one.height)
    rest = [one for one in left_out if one["name"] != smallest.label]
    return [_rendition(smallest, height // 2 * 2, media)], rest


def _rendition(size: Size, height: int, media: Media) -> args_common.Rendition:
    video = media.video[0]
    across, down = video.shown
    # A 4:2:0 picture has even sides; the even width nearest to the source's proportions.
    width = max(2, (height * across + down) // (2 * down) * 2)
    fps = size.fps if size.fps and size.fps < video.rate else None
    return args_common.Rendition(size.label, width, height, size.video_bitrate, size.audio_bitrate, fps)


def _wanted(one: args_common.Rendition, media: Media, source: Path) -> Wanted:
    tracks = sum(track.codec != "unknown" for track in media.audio)
    # The most that rate control lets through, the sound, and a tenth and 64 KiB for the container and its index.
    picture = one.most_bits_per_second * media.duration + 2 * one.video_bitrate
    sound = tracks * one.audio_bitrate * media.duration
    return Wanted(
        duration=picture_end(media),
        whole=media.duration,
        width=one.width,
        height=one.height,
        tracks=tracks,
        rate=one.fps or (None if media.video[0].variable else media.video[0].rate or None),
        bits=round((picture + sound) * 1.1) + 8 * (64 << 10),
        codec="h264",
        sound=sound_ends(media, 0.0, media.duration),
        origin=Origin(source),
    )


def _told(one: args_common.Rendition) -> dict[str, Any]:
    return {"name": one.name, "width": one.width, "height": one.height, "video_bitrate": one.video_bitrate}

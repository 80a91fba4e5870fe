"""Makes renditions of a video, by height and bit rate, all from one decode, and of these an HLS ladder where asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from vidd.aio.shield import in_thread
from vidd.errors import Refused
from vidd.files.atomic import commit, temporary_path
from vidd.files.disk_space import retry_if_full
from vidd.files.removal import remove
from vidd.files.tree import tree_artifact
from vidd.media.encode.assembly import EncodeResult
from vidd.media.encode.checkpoints import checkpoint_directory, remove_checkpoints
from vidd.media.encode.deinterlace import Deinterlace, Scan, find_scan
from vidd.media.encode.hls import MASTER, SEGMENT_SECONDS, Variant, pack
from vidd.media.encode.renditions import RenditionEncode
from vidd.media.ffmpeg.args.common import Rendition, RenditionSettings
from vidd.media.ffmpeg.hooks import StepHooks
from vidd.media.ffmpeg.process import check_capabilities
from vidd.media.ffmpeg.settings import BitRate, Preset, Segment
from vidd.media.probe.client import probe
from vidd.media.verify.verify import Expected, Origin, audio_ends, verify, video_end
from vidd.model.media import Artifact, Media, Outcome
from vidd.ports import Encoder, StepContext, Tools
from vidd.settings.marks import Role
from vidd.settings.types import Options as BaseOptions

_HLS = "hls"


class Size(BaseOptions):
    """One rendition."""

    height: int = Field(ge=16, le=8192, multiple_of=2, description="Height as shown; the width follows.")
    video_bitrate: BitRate = Field(description="Bits per second of the video, such as 2M; 1.5 times that at most.")
    audio_bitrate: BitRate = Field(128_000, description="Bits per second of each audio track (AAC), such as 128k.")
    fps: float | None = Field(None, gt=0, le=240, description="Frames per second at most; as in the source if unset.")
    name: str = Field(
        "", pattern=r"^([\w-][\w.-]{0,40})?$", description="Name in the role and the file; 720p and so on."
    )

    @property
    def label(self) -> str:
        """The name, derived from the height where none is set."""
        return self.name or f"{self.height}p"


class Options(BaseOptions):
    """The settings of a transcode."""

    source: Annotated[str, Role()] = Field(
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
        description="A longer video is encoded in segments of about this length, so that a kill costs one segment at most; 0s for one piece.",
    )
    upscale: bool = Field(False, description="Make renditions that are higher than the source, too.")
    deinterlace: Deinterlace = Field(
        "auto",
        description="Make whole frames of fields: auto where the frames themselves show combs, whatever the file says; always; never.",
    )
    hls: bool = Field(
        False,
        description="Pack the renditions as an HLS ladder (CMAF, segments of 6 s), too: the tree hls with master.m3u8.",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        labels = [rendition.label for rendition in self.renditions]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two renditions are called {label!r}; give one of them another name")
        taken = [label for label in labels if self.hls and label.startswith("audio-")]
        if taken:
            raise ValueError(f"a rendition is called {taken[0]!r}, as HLS calls its audio; give it another name")
        return self


async def check(options: Options, tools: Tools) -> str:  # noqa: ARG001 - a kind's check has this shape
    """Check ffmpeg's capabilities."""
    return await check_capabilities(tools.encoder)


def roles(options: Options) -> frozenset[str]:
    """The roles of what it makes."""
    made = {f"rendition-{rendition.label}" for rendition in options.renditions}
    return frozenset({*made, "hls"} if options.hls else made)


async def run(options: Options, context: StepContext) -> Outcome:
    """Make `rendition-720p.mp4` and so on, with roles of the same names, and with `hls` the tree `hls`."""
    role = options.source or ("talk" if "talk" in context.artifacts else "source")
    source, name = context.file(role), context.job.name
    media = context.artifacts[role].media or await probe(context.tools.encoder, source, name)
    renditions, left_out = _choose(options, media)
    finals = [context.directory / f"rendition-{rendition.name}.mp4" for rendition in renditions]
    parts = [temporary_path(final) for final in finals]
    checkpoints = [checkpoint_directory(final) for final in finals]
    encoder, hooks = context.tools.encoder, StepHooks.of(context)
    scan = await _find_scan(options, encoder, source, media, hooks)
    settings = RenditionSettings(
        options.preset,
        encoder.threads,
        tuple(scan.filters(options.deinterlace)),
        SEGMENT_SECONDS if options.hls else 0.0,
    )
    work = RenditionEncode(
        encoder,
        source,
        media,
        renditions,
        hooks,
        settings,
        every=options.segment,
        checkpoints=checkpoints,
        name=name,
    )
    try:
        done = await work.make(parts)
        checked = [
            await _check(encoder, part, _expected(rendition, media, source), result, name)
            for part, rendition, result in zip(parts, renditions, done, strict=True)
        ]
        ladder = await _pack(options, context, list(zip(renditions, parts, checked, strict=True)))
        for part, final in zip(parts, finals, strict=True):
            await commit(part, final)
    except Refused:
        await _remove(checkpoints)
        raise
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    await _remove(checkpoints)
    files = [
        Artifact(final.stem, final.name, made.size, "video/mp4", made, {"check": record})
        for final, (made, record) in zip(finals, checked, strict=True)
    ]
    return Outcome(
        artifacts=(*files, *ladder),
        facts={
            "renditions": [_record(rendition) for rendition in renditions],
            "left_out": left_out,
            "scan": scan.kind,
            "deinterlaced": bool(settings.before),
        },
    )


async def _find_scan(options: Options, encoder: Encoder, source: Path, media: Media, hooks: StepHooks) -> Scan:
    if options.deinterlace == "never":
        return Scan("interlaced" if media.video[0].interlaced else "progressive")
    async with hooks.slot():
        return await find_scan(encoder, source, media)


async def _pack(
    options: Options, context: StepContext, made: list[tuple[Rendition, Path, tuple[Media, dict[str, Any]]]]
) -> list[Artifact]:
    """The tree `hls` of these renditions, where asked for."""
    final, work = context.directory / _HLS, context.directory / f".{_HLS}"
    await in_thread(remove, final)
    if not options.hls:
        return []
    variants = [Variant(rendition.name, path, media, rendition.audio_bitrate) for rendition, path, (media, _) in made]
    try:
        with retry_if_full():
            await in_thread(remove, work)
            work.mkdir()
            segments = await pack(context.tools.encoder, variants, work, StepHooks.of(context), context.job.name)
            work.rename(final)
    finally:
        await in_thread(partial(remove, work, ignore_errors=True))
    facts = {"master": f"{_HLS}/{MASTER}", "segments": segments}
    return [await in_thread(tree_artifact, _HLS, context.directory, _HLS, facts)]


async def _check(
    encoder: Encoder, part: Path, expected: Expected, result: EncodeResult, name: str
) -> tuple[Media, dict[str, Any]]:
    expected = replace(expected, frames=result.frames, joins=result.joins)
    made, check = await verify(encoder, part, expected, name, result.complaints)
    return made, check.to_json() | result.facts


async def _remove(directories: list[Path]) -> None:
    for directory in directories:
        await remove_checkpoints(directory)


def _choose(options: Options, media: Media) -> tuple[list[Rendition], list[dict[str, str]]]:
    """The renditions that are made, and those left out with the reason. Where all would be left out, the smallest gets the source's size."""
    height = media.video[0].display_size[1]
    fit = [size for size in options.renditions if options.upscale or size.height <= height]
    left_out = [
        {"name": rendition.label, "why": f"The source is only {height} lines high."}
        for rendition in options.renditions
        if rendition not in fit
    ]
    if fit:
        return [_rendition(rendition, rendition.height, media) for rendition in fit], left_out
    smallest = min(options.renditions, key=lambda rendition: rendition.height)
    rest = [note for note in left_out if note["name"] != smallest.label]
    return [_rendition(smallest, height // 2 * 2, media)], rest


def _rendition(size: Size, height: int, media: Media) -> Rendition:
    video = media.video[0]
    across, down = video.display_size
    # A 4:2:0 frame has even sides; the even width nearest to the source's proportions.
    width = max(2, (height * across + down) // (2 * down) * 2)
    fps = size.fps if size.fps and size.fps < video.rate else None
    return Rendition(size.label, width, height, size.video_bitrate, size.audio_bitrate, fps)


def _expected(rendition: Rendition, media: Media, source: Path) -> Expected:
    tracks = sum(track.codec != "unknown" for track in media.audio)
    # The most that rate control lets through, the audio, and a tenth and 64 KiB for the container and its index.
    video = rendition.most_bits_per_second * media.duration + 2 * rendition.video_bitrate
    audio = tracks * rendition.audio_bitrate * media.duration
    return Expected(
        duration=video_end(media),
        total=media.duration,
        width=rendition.width,
        height=rendition.height,
        tracks=tracks,
        rate=rendition.fps or (None if media.video[0].variable else media.video[0].rate or None),
        bits=round((video + audio) * 1.1) + 8 * (64 << 10),
        codec="h264",
        audio_ends=audio_ends(media, 0.0, media.duration),
        origin=Origin(source),
    )


def _record(rendition: Rendition) -> dict[str, Any]:
    return {
        "name": rendition.name,
        "width": rendition.width,
        "height": rendition.height,
        "video_bitrate": rendition.video_bitrate,
    }

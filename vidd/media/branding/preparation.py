"""Prepares the branding of a talk that is encoded in full: clips in its format, audio tracks, watermark filters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vidd.media.branding import watermark
from vidd.media.branding.intro_outro import IntroOutro, ParameterSetIds
from vidd.media.ffmpeg.args.audio_mix import NO_AUDIO, full_track, mix_graph
from vidd.media.ffmpeg.args.common import (
    NO_GRAPH,
    AudioGraph,
    Cut,
    CutSource,
    EncodeSettings,
    audio_filters,
    time_scale,
)
from vidd.media.ffmpeg.args.edge import VideoFormat
from vidd.media.ffmpeg.args.intro_outro import ClipFormat
from vidd.media.ffmpeg.timebase import decimal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from vidd.media.branding.intro_outro import Branding, ClipEncoder
    from vidd.media.ffmpeg.args.audio_mix import FullTrack, SurroundingAudio
    from vidd.media.loudness.normalization import GainChange
    from vidd.model.media import Audio, Media, Video

# The format of every full encode, and ids of parameter sets that x264 does not take by itself.
_FORMAT = VideoFormat("h264", "yuv420p", 0)
_PARAMETER_SET_IDS = [ParameterSetIds(0, number, number) for number in range(31, 27, -1)]


@dataclass(frozen=True, slots=True)
class PreparedBranding:
    """The clips around a talk, its audio `tracks` where they are not simply cut, and `overlay` filters for its video.

    `files` are those that the encoder reads for it.
    """

    parts: IntroOutro
    tracks: tuple[FullTrack, ...] = ()
    overlay: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def audio_graph(self, source: CutSource, threads: int) -> AudioGraph:
        """The graph that makes the audio tracks; empty where tracks are simply cut."""
        if not self.tracks:
            return NO_GRAPH
        return mix_graph(self.tracks, audio_filters(source.lead, source.cut), threads)


async def prepare_branding(
    branding: Branding,
    clip_encoder: ClipEncoder,
    media: Media,
    cut: Cut,
    settings: EncodeSettings,
    *,
    slot: AbstractAsyncContextManager[None],
) -> PreparedBranding:
    """Prepare it for this cut of `media`; `slot` is held while clips are encoded. Faults as `ClipEncoder.encode_video`."""
    video, mark = media.video[0], branding.watermark
    encoded = _encoded_video(video)
    scale = time_scale(video)
    parts = IntroOutro(scale, 0, round(decimal(cut.length) * scale))
    tracks = [(number, audio) for number, audio in enumerate(media.audio) if audio.codec != "unknown"]
    around = {number: NO_AUDIO for number, _ in tracks}
    if branding.clips:
        clip_format = ClipFormat(encoded, _FORMAT, scale, reordered=True, crf=settings.crf, preset=settings.preset)
        async with slot:
            parts = await clip_encoder.encode_video(branding, clip_format, _PARAMETER_SET_IDS, parts.end)
            around = {number: await clip_encoder.encode_audio(parts, audio) for number, audio in tracks}
    audio_files = dict.fromkeys(path for files in around.values() for path in files if path)
    return PreparedBranding(
        parts,
        tuple(full_tracks(tracks, parts, around, branding.gains)) if branding.clips or branding.gains else (),
        (watermark.overlay_filters(mark, encoded),) if mark else (),
        (*([mark.path] if mark else []), *audio_files),
    )


def full_tracks(
    tracks: Iterable[tuple[int, Audio]],
    parts: IntroOutro,
    around: Mapping[int, SurroundingAudio],
    gains: Mapping[int, GainChange],
) -> list[FullTrack]:
    """These tracks (with their numbers in the source) encoded in full; `around` and `gains` are by number."""
    return [
        full_track(
            number,
            audio,
            parts.samples(audio.rate),
            filters=gains[number].filters(audio.rate) if number in gains else (),
            around=around[number],
        )
        for number, audio in tracks
    ]


def _encoded_video(video: Video) -> Video:
    """The video that `video_args` of `args.common` makes of another."""
    width, height = (side // 2 * 2 for side in video.display_size)
    wide, high = video.aspect.split(":")
    aspect = f"{high}:{wide}" if video.rotation % 180 else video.aspect
    primaries, transfer, matrix, _ = video.colours
    return replace(
        video,
        codec="h264",
        width=width,
        height=height,
        rotation=0,
        pixel_format="yuv420p",
        aspect=aspect,
        colours=(primaries, transfer, matrix, 1),
    )

"""Takes the audio out of a file as recognisers want it: WAV, 16 kHz, mono, on the file's own time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.ffmpeg.args.common import FILL_GAPS, global_args, input_args
from vidd.media.ffmpeg.process import encode
from vidd.transcription.language import base_of, language_tag

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.model.media import Media
    from vidd.ports import StepContext

RATE = 16_000


def track_for(media: Media, language: str, name: str) -> int:
    """The number of the audio track in this language; else of the first that can be decoded. Raises Refused without one."""
    tracks = [(number, track.language) for number, track in enumerate(media.audio) if track.codec != "unknown"]
    if not tracks:
        raise Refused(f"The file {quoted(name)} has no audio: there is nothing to caption.")
    return next((number for number, spoken in tracks if spoken and _is(spoken, language)), tracks[0][0])


def has_track(media: Media, language: str) -> bool:
    """Whether one of the audio tracks says that it is in this language."""
    return any(track.language and track.codec != "unknown" and _is(track.language, language) for track in media.audio)


def _is(label: str, language: str) -> bool:
    try:
        return base_of(language_tag(label)) == base_of(language)
    except Refused:
        return False


def audio_args(source: Path, track: int, target: Path, threads: int) -> list[str]:
    """Arguments that write one track as WAV. Silence stands where it starts late or has gaps, so that times stay right."""
    return [
        *global_args(),
        *input_args(source, threads, 0.0),
        *("-map", f"0:a:{track}", "-vn", "-sn", "-dn", "-map_metadata", "-1"),
        *("-filter:a", FILL_GAPS, "-ac", "1", "-ar", str(RATE), "-c:a", "pcm_s16le"),
        *("-f", "wav", str(target)),
    ]


async def extract(context: StepContext, source: Path, media: Media, track: int, target: Path) -> None:
    """Write a track to `target`. RetryLater and Refused as `media.ffmpeg.process.encode`."""
    encoder = context.tools.encoder
    part = target.with_name(f".{target.name}.part")
    await encode(
        encoder,
        audio_args(source, track, part, encoder.threads),
        output=part,
        duration=media.duration,
        progress=context.progress,
        observe=context.tools.observe,
        kind="audio",
    )
    part.replace(target)

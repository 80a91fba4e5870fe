"""Joins the files of a full encode, such as its segments and audio, into one output file."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vidd.files.disk_space import check_free_space
from vidd.media.smartcut.concat import AudioPart, VideoPart, concatenate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.branding.intro_outro import IntroOutro
    from vidd.media.encode.checkpoints import Checkpoints
    from vidd.model.media import Media
    from vidd.ports import Encoder


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """What an encode made. `joins` are where a resumed encode or other parts meet (seconds).

    `frames` is how many there must be, if that is known; `complaints` is ffmpeg's stderr though it succeeded; `facts`
    are for the record.
    """

    complaints: str
    joins: tuple[float, ...] = ()
    frames: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EncodedVideo:
    """A video file: where its time 0 is, and when its last frame is shown (ticks of the encode)."""

    path: Path
    at: int
    last: int


async def assemble(
    encoder: Encoder,
    checkpoints: Checkpoints,
    media: Media,
    output: Path,
    *,
    name: str,
    parts: IntroOutro | None = None,
) -> tuple[float, ...]:
    """Write `output` from the checkpoints, with the audio tracks of the source `media` and the clips of `parts`.

    Returns where parts meet and where the encode was resumed (seconds). Faults as `concatenate`.
    """
    segments = checkpoints.segments
    check_free_space(output.parent, encoder.disk_reserve, sum(segment.size for segment in segments))
    files = [EncodedVideo(checkpoints.directory / segment.path, segment.at, segment.last) for segment in segments]
    await join_parts(files, checkpoints.audio, media, output, scale=checkpoints.scale, name=name, parts=parts)
    begin = parts.begin if parts else 0
    resumed = [after.first + begin for before, after in pairwise(segments) if before.at != after.at]
    met = parts.joins if parts else ()
    return tuple(sorted((*(tick / checkpoints.scale for tick in resumed), *met)))


async def join_parts(
    files: Sequence[EncodedVideo],
    audio: Path | None,
    media: Media,
    output: Path,
    *,
    scale: int,
    name: str,
    parts: IntroOutro | None = None,
) -> None:
    """Write `output` from video files and one audio file, whose tracks are those of the source `media`."""
    begin, before, after = 0, list[VideoPart](), list[VideoPart]()
    if parts:
        begin = parts.begin
        # The last frame may be shown exactly where the encode ends, since times are rounded.
        late = max(0, files[-1].last + 1 - (parts.end - begin))
        before = [VideoPart(clip.path, clip.at, clip.ids) for clip in parts.before]
        after = [VideoPart(clip.path, clip.at + late, clip.ids) for clip in parts.after]
    talk = [VideoPart(file.path, file.at + begin) for file in files]
    languages = [track.language for track in media.audio if track.codec != "unknown"]
    tracks = [AudioPart(audio, number, language) for number, language in enumerate(languages) if audio]
    await concatenate([*before, *talk, *after], tracks, output, scale=scale, name=name, like=len(before))

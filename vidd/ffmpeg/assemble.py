"""The checkpoints of a long encode, put together into the file that they are for."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vidd.ffmpeg.run import check_disk
from vidd.ffmpeg.together import PicturePart, SoundTrack, put_together

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ffmpeg.checkpoints import Checkpoints
    from vidd.model.media import Media
    from vidd.ports import Encoder


@dataclass(frozen=True, slots=True)
class Made:
    """What was made. `joins` are where an encode went on (seconds), `pictures` how many there must be, if that is known.

    `complaints` is what ffmpeg said though it succeeded, `facts` are for the record.
    """

    complaints: str
    joins: tuple[float, ...] = ()
    pictures: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


async def assemble(encoder: Encoder, there: Checkpoints, media: Media, output: Path, *, name: str) -> tuple[float, ...]:
    """Write `output`, with the sound tracks of the source `media`; where encodes went on (seconds). Faults as `put_together`."""
    check_disk(encoder, output.parent, sum(one.size for one in there.segments))
    languages = [one.language for one in media.audio if one.codec != "unknown"]
    sounds = [SoundTrack(there.sound, at, one) for at, one in enumerate(languages) if there.sound]
    parts = [PicturePart(there.directory / one.path, one.at) for one in there.segments]
    await put_together(parts, sounds, output, scale=there.scale, name=name)
    return tuple(after.first / there.scale for before, after in pairwise(there.segments) if before.at != after.at)

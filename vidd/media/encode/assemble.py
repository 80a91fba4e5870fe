"""The files that a whole encode is made in, such as the checkpoints of a long one, put together into the file they are for."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vidd.files.disk_space import check_free_space
from vidd.media.smartcut.concat import PicturePart, SoundTrack, put_together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.media.branding.intro_outro import Around
    from vidd.media.encode.checkpoints import Checkpoints
    from vidd.model.media import Media
    from vidd.ports import Encoder


@dataclass(frozen=True, slots=True)
class Made:
    """What was made. `joins` are where an encode went on or other parts meet (seconds).

    `pictures` is how many there must be, if that is known; `complaints` is what ffmpeg said though it succeeded, `facts`
    are for the record.
    """

    complaints: str
    joins: tuple[float, ...] = ()
    pictures: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file of pictures: when its time 0 is, and when its last picture is shown (ticks of the encode)."""

    path: Path
    at: int
    last: int


async def assemble(
    encoder: Encoder, there: Checkpoints, media: Media, output: Path, *, name: str, around: Around | None = None
) -> tuple[float, ...]:
    """Write `output`, with the sound tracks of the source `media`; where encodes went on (seconds). Faults as `put_together`.

    What is `around` it is put there, and where its parts meet is told too.
    """
    check_free_space(output.parent, encoder.disk_reserve, sum(one.size for one in there.segments))
    files = [Encoded(there.directory / one.path, one.at, one.last) for one in there.segments]
    await put_around(files, there.sound, media, output, scale=there.scale, name=name, around=around)
    begin = around.begin if around else 0
    went_on = [after.first + begin for before, after in pairwise(there.segments) if before.at != after.at]
    met = around.joins if around else ()
    return tuple(sorted((*(one / there.scale for one in went_on), *met)))


async def put_around(
    files: Sequence[Encoded],
    sound: Path | None,
    media: Media,
    output: Path,
    *,
    scale: int,
    name: str,
    around: Around | None = None,
) -> None:
    """Write `output` from files of pictures and the one of sound, whose tracks are those of the source `media`."""
    begin, before, after = 0, list[PicturePart](), list[PicturePart]()
    if around:
        begin = around.begin
        # The last picture may be shown right where the encode ends, since times are rounded.
        late = max(0, files[-1].last + 1 - (around.end - begin))
        before = [PicturePart(one.path, one.at, one.names) for one in around.before]
        after = [PicturePart(one.path, one.at + late, one.names) for one in around.after]
    own = [PicturePart(one.path, one.at + begin) for one in files]
    languages = [one.language for one in media.audio if one.codec != "unknown"]
    sounds = [SoundTrack(sound, at, one) for at, one in enumerate(languages) if sound]
    await put_together([*before, *own, *after], sounds, output, scale=scale, name=name, like=len(before))

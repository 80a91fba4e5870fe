"""Put encoded parts together into one MP4 file, losslessly: pictures one after another, sound tracks beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.smartcut.client import Cutter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class PicturePart:
    """A file whose picture (H.264 or HEVC) is a part of the result. `at` is where its time 0 lies in the result (ticks).

    Parts that were encoded alike have the same parameter sets. Others need names that no other part uses: an H.264
    encoder is told its own (`-x264-params sps-id=7`), those of HEVC are given here as `names` (VPS and SPS 0 to 15, PPS
    one of `nal.LONG_IDS`). A talk cut by its edges has taken the highest names that its source left free.
    """

    path: Path
    at: int = 0
    names: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """A sound track of the result: track `number` (0 is the first) of a file whose time 0 is the result's."""

    path: Path
    number: int = 0
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """What was put together: how many pictures each part has, and when its first one is shown (seconds)."""

    pictures: tuple[int, ...]
    starts: tuple[float, ...]

    @property
    def joins(self) -> tuple[float, ...]:
        """Where the parts meet (seconds), as the `joins` of `verify.Wanted`."""
        return self.starts[1:]


async def put_together(
    parts: Sequence[PicturePart], sounds: Sequence[SoundTrack], output: Path, *, scale: int, name: str, like: int = 0
) -> Together:
    """Write `output` from these parts, in their order; times are ticks, `scale` a second.

    Each part lasts until the next begins. The result has shape, colours and profile of the part `like`, so all must
    have its size. `name` is what the operator knows the source by. SmartCutUnavailable, with a sentence, where the parts
    cannot be one track; RetryLater as the cutter. Whatever goes wrong, `output` is gone.
    """
    cutter = Cutter(
        parts[0].path, name, (*(picture_part.path for picture_part in parts), *(sound.path for sound in sounds))
    )
    try:
        answer = await cutter.ask(
            "together",
            parts=[(str(picture_part.path), picture_part.at, picture_part.names) for picture_part in parts],
            sounds=[(str(sound.path), sound.number, sound.language) for sound in sounds],
            scale=scale,
            like=like,
            output=str(output),
        )
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    finally:
        await cutter.close()
    return Together(tuple(answer["pictures"]), tuple(one / scale for one in answer["first"]))

"""Concatenates encoded video files into one MP4 file without encoding them again, with audio tracks beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.smartcut.client import Cutter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class VideoPart:
    """A file whose video (H.264, HEVC or AV1) is a part of the result. Its time 0 is at `at` in the result (ticks).

    Parts that were encoded alike have the same parameter sets. Others need ids that no other part uses: an H.264
    encoder is told its own (`-x264-params sps-id=7`), those of HEVC are given here as `ids` (VPS and SPS 0 to 15, PPS
    one of `nal.LONG_IDS`). A smart cut takes the highest ids that its source left free.
    """

    path: Path
    at: int = 0
    ids: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class AudioPart:
    """An audio track of the result: track `number` (0 is the first) of a file whose time 0 is the result's."""

    path: Path
    number: int = 0
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Concatenation:
    """What was joined: how many frames each part has, and when its first frame is shown (seconds)."""

    frames: tuple[int, ...]
    starts: tuple[float, ...]

    @property
    def joins(self) -> tuple[float, ...]:
        """Where the parts meet (seconds), as the `joins` of `verify.Expected`."""
        return self.starts[1:]


async def concatenate(
    parts: Sequence[VideoPart], audio: Sequence[AudioPart], output: Path, *, scale: int, name: str, like: int = 0
) -> Concatenation:
    """Write `output` from these parts, in their order; times are ticks, `scale` a second.

    Each part lasts until the next begins. The result has the size, colours and profile of the part `like`, so all must
    have its size. `name` is what the operator knows the source by. SmartCutUnavailable if the parts cannot be one track;
    RetryLater as `Cutter`. Unless it succeeds, `output` is gone afterwards.
    """
    cutter = Cutter(parts[0].path, name, (*(part.path for part in parts), *(track.path for track in audio)))
    try:
        answer = await cutter.ask(
            "concatenate",
            parts=[(str(part.path), part.at, part.ids) for part in parts],
            audio=[(str(track.path), track.number, track.language) for track in audio],
            scale=scale,
            like=like,
            output=str(output),
        )
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    finally:
        await cutter.close()
    return Concatenation(tuple(answer["frames"]), tuple(tick / scale for tick in answer["first"]))

"""What a talk that is encoded whole is dressed with, made ready: clips in its format, and how its tracks of sound are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vidd.media.branding import watermark
from vidd.media.branding.intro_outro import Around
from vidd.media.ffmpeg.args import common as args_common
from vidd.media.ffmpeg.args.audio_mix import graph
from vidd.media.ffmpeg.args.edge import Look
from vidd.media.ffmpeg.args.intro_outro import Format
from vidd.media.smartcut.audio_tracks import heard_whole
from vidd.media.smartcut.plan import decimal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from vidd.media.branding.intro_outro import Dress, Wardrobe
    from vidd.media.ffmpeg.args.audio_mix import Heard
    from vidd.media.ffmpeg.args.common import Cut
    from vidd.media.smartcut.audio_tracks import Beside
    from vidd.model.media import Media, Video

# All that is encoded whole is of this kind; names of parameter sets that x264 does not take by itself.
_LOOK = Look("h264", "yuv420p", 0)
_NAMES = [(0, one, one) for one in range(31, 27, -1)]


@dataclass(frozen=True, slots=True)
class Dressed:
    """What lies around the talk; how its tracks are made where that is unusual; the filters that put something over it.

    `files` are those that the encoder reads for it.
    """

    around: Around
    heard: tuple[Heard, ...] = ()
    over: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def sound(self, cut: Cut, seek: float, threads: int) -> tuple[Sequence[str], Sequence[str]]:
        """The inputs besides the recording, and the graph with its maps; empty where tracks are simply cut."""
        if not self.heard:
            return (), ()
        return graph(self.heard, args_common.sound_chain(cut.start - seek, cut), threads)


async def dressed(
    dress: Dress,
    wardrobe: Wardrobe,
    media: Media,
    cut: Cut,
    *,
    crf: int,
    preset: str,
    place: AbstractAsyncContextManager[None],
) -> Dressed:
    """Make it ready; `place` is held while clips are encoded. Faults as `Wardrobe.pictures`."""
    video, mark = media.video[0], dress.mark
    like = _encoded_like(video)
    scale = args_common.time_scale(video)
    around = Around(scale, 0, round(decimal(cut.length) * scale))
    tracks = [(number, one) for number, one in enumerate(media.audio) if one.codec != "unknown"]
    beside: dict[int, Beside] = {number: (None, None) for number, _ in tracks}
    if dress.clips:
        form = Format(like, _LOOK, scale, reordered=True, crf=crf, preset=preset)
        async with place:
            around = await wardrobe.pictures(dress, form, _NAMES, around.end)
            beside = {number: await wardrobe.sounds(around, one) for number, one in tracks}
    heard = [heard_whole(number, one, around, beside[number], dress.changes) for number, one in tracks]
    files = {path: None for each in beside.values() for path in each if path}
    return Dressed(
        around,
        tuple(heard) if dress.clips or dress.changes else (),
        (watermark.overlay(mark, like),) if mark else (),
        (*([mark.path] if mark else []), *files),
    )


def _encoded_like(video: Video) -> Video:
    """What a picture is like that `args.picture` makes of another."""
    width, height = (side // 2 * 2 for side in video.shown)
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

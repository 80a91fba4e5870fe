"""The check of what ffmpeg made, before it is renamed into place: exit code 0 is not success.

A truncated source and one with a hole both end with exit code 0 and a short result, and a copied stream keeps its
old size whatever was asked. So the file itself is measured, by decoding its first and last pictures in the child.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused
from vidd.ffmpeg.probe import prober
from vidd.model.media import Media
from vidd.printable import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vidd.ffmpeg.args import Cut
    from vidd.model.media import Video

_AAC_FRAME = 0.03


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file must be: `duration` of the picture and of the `whole` (seconds), `tracks` of sound.

    Where asked also the `rate` (pictures per second), and the most `bits` of the whole file.
    """

    duration: float
    whole: float
    width: int
    height: int
    tracks: int
    rate: float | None = None
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What a file was found to be. `first` and `end` are those of the picture, `complaints` what decoders said."""

    wanted: float
    duration: float
    first: float
    end: float
    frames: int | None
    sound: tuple[float | None, ...]
    decoded: int
    complaints: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def picture_end(media: Media) -> float:
    """Seconds from the file's start to the end of its picture."""
    video = media.video[0]
    return media.duration if video.duration is None else video.start - media.start + video.duration


async def verify(path: Path, wanted: Wanted, name: str, complaints: str = "") -> tuple[Media, Check]:
    """What a finished file holds, and the record of its check; Refused where it is not what was wanted.

    `name` is what the operator knows the source by; `complaints` is what the encoder said though it succeeded.
    """
    found = await prober().measure(path, name)
    media = Media.from_json(found["media"])
    video = media.video[0]
    if found["first"] is None or found["end"] is None:
        raise Refused(
            f"What was made of {quoted(name)} does not decode ({_first(found['complaints'])}): encode it anew."
        )
    tolerance = max(1 / (video.rate or 25), found["last_distance"]) + 0.001
    _check_length(found["end"], wanted.duration, tolerance, name)
    _check_length(max(media.duration, wanted.whole), wanted.whole, max(tolerance, _AAC_FRAME), name)
    if video.shown != (wanted.width, wanted.height):
        raise _not_asked(name, "size", f"{wanted.width}x{wanted.height}", "{}x{}".format(*video.shown))
    if len(media.audio) != wanted.tracks:
        raise _not_asked(name, "number of sound tracks", wanted.tracks, len(media.audio))
    if wanted.rate is not None and abs(video.rate - wanted.rate) > 0.01 * wanted.rate:
        raise _not_asked(name, "frame rate", f"{wanted.rate:g}", f"{video.rate:g}")
    if wanted.bits is not None and media.size * 8 > wanted.bits:
        raise _not_asked(name, "size in bytes at most", wanted.bits // 8, media.size)
    if found["complaints"]:
        raise Refused(
            f"What was made of {quoted(name)} decodes with errors ({_first(found['complaints'])}): encode it anew."
        )
    return media, Check(
        wanted=wanted.duration,
        duration=media.duration,
        first=found["first"],
        end=found["end"],
        frames=video.frames,
        sound=tuple(one.duration for one in media.audio),
        decoded=found["decoded"],
        complaints=tuple(complaints.splitlines()[-5:]),
    )


def _check_length(got: float, wanted: float, tolerance: float, name: str) -> None:
    if got < wanted - tolerance:
        raise Refused(
            f"Of {quoted(name)} only {got:.2f} s could be made of the {wanted:.2f} s wanted: "
            "the source is damaged or ends there; send it again, whole."
        )
    if got > wanted + tolerance:
        raise Refused(
            f"Of {quoted(name)} {got:.2f} s were made instead of {wanted:.2f} s: its times are damaged; repair or encode it anew."
        )


def _not_asked(name: str, what: str, wanted: object, got: object) -> Refused:
    return Refused(
        f"What was made of {quoted(name)} is not what was asked ({what}: wanted {wanted}, got {got}): check ffmpeg."
    )


def _first(complaints: list[str]) -> str:
    return complaints[0] if complaints else "no picture came out"


async def check_pictures(source: Path, video: Video, cut: Cut, got: int | None, name: str) -> int:
    """How many pictures of the source are missing in a cut of it; Refused where damage ate more than one in 200.

    A steady source is reckoned; only where that does not fit, or the rate varies, its packets are counted.
    """
    if got is None or (not video.variable and abs(got - cut.length * video.rate) <= 1):
        return 0
    there = await prober().count(source, cut.start, cut.end, name)
    missing = there - got
    if missing > 1 + there // 200:
        raise Refused(
            f"Of {quoted(name)} {missing} of {there} pictures from {cut.start:g} s to {cut.end:g} s could not be decoded: "
            "the source is damaged there; send it again, whole."
        )
    return max(0, missing)


async def check_joins(path: Path, places: Sequence[float], pictures: int, got: int | None, name: str) -> dict[str, Any]:
    """The record of what decoding around the joins shows; Refused where a picture is lost or decodes with errors.

    `pictures` is how many the whole must have, `got` how many it has (None: the container does not say).
    """
    if got is not None and got != pictures:
        raise Refused(f"The cut of {quoted(name)} has {got} pictures instead of {pictures}.")
    found = await prober().joins(path, places, name)
    wrong = [one for one in found["joins"] if one["failed"] or one["pictures"] != one["packets"]]
    if wrong:
        one = wrong[0]
        raise Refused(
            f"At {one['at']:.2f} s of the cut of {quoted(name)} {one['pictures']} of {one['packets']} pictures decode."
        )
    if found["complaints"]:
        raise Refused(f"The joins of the cut of {quoted(name)} decode with errors ({found['complaints'][0]}).")
    return {"pictures": pictures, "joins": found["joins"]}

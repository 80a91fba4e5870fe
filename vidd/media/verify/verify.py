"""The check of what ffmpeg made, before it is renamed into place: exit code 0 is not success.

A truncated source and one with a hole both end with exit code 0 and a short result, and a copied stream keeps its
old size whatever was asked. So the file itself is read once, in a child: its packets are counted, its keyframes, joins
and ends decoded, its sound heard. What is plainly broken is refused here. What a person may want to know, such as a
black picture, is left in the record, and `vidd.model.check_policy` says what is done about it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.probe.client import Prober
from vidd.media.verify.client import examine
from vidd.media.verify.report import Check, checked
from vidd.model.media import Media

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import Cut
    from vidd.model.media import Video
    from vidd.ports import Encoder

_AAC_FRAME = 0.03
# A second of sound, of which the offset is measured, and how early a track may end.
_PIECE, _EARLY = 1.2, 0.5


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file was made of: what is at `start` in `path` is at `at` in the file (seconds), faded at both ends.

    It goes on to `end` in the file; None is the file's own end.
    """

    path: Path
    start: float = 0.0
    at: float = 0.0
    fade: float = 0.0
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file must be: `duration` of the picture and of the `whole` (seconds), `tracks` of sound.

    Where asked also the `rate` (pictures per second), the most `bits` of the whole file, the `codec` of the picture,
    how many `pictures` there are, and when each track of `sound` ends. `joins` are the places (seconds) around which
    all pictures must decode. A watermark lies at `covered` (left, top, width, height as shares of the picture), where
    nobody looks for black. With an `origin` it is measured whether sound and picture belong together as they do
    there, and Refused where they moved apart by more than `apart` seconds.
    """

    duration: float
    whole: float
    width: int
    height: int
    tracks: int
    rate: float | None = None
    bits: int | None = None
    codec: str | None = None
    pictures: int | None = None
    sound: tuple[float | None, ...] = ()
    joins: tuple[float, ...] = ()
    covered: tuple[float, float, float, float] | None = None
    origin: Origin | None = None
    apart: float | None = None


def picture_end(media: Media) -> float:
    """Seconds from the file's start to the end of its picture."""
    video = media.video[0]
    return media.duration if video.duration is None else video.start - media.start + video.duration


async def verify(encoder: Encoder, path: Path, wanted: Wanted, name: str, complaints: str = "") -> tuple[Media, Check]:
    """What a finished file holds, and the record of its check; Refused where it is not what was wanted.

    `name` is what the operator knows the source by; `complaints` is what the encoder said though it succeeded.
    """
    found = await examine(encoder, path, name, **_questions(wanted))
    media = Media.from_json(found["measured"]["media"])
    _check_decodes(found, name)
    _check_asked(found["measured"], media, wanted, name)
    _check_sound(media, wanted, name)
    if found["measured"]["complaints"]:
        said = _first(found["measured"]["complaints"])
        raise Refused(f"What was made of {quoted(name)} decodes with errors ({said}): encode it anew.")
    _check_whole(found, wanted, name)
    check = checked(media, _of_the_talk(found, wanted.origin), complaints, wanted.duration)
    _check_offset(check, wanted, name)
    return media, check


async def inspect(encoder: Encoder, path: Path, name: str) -> tuple[Media, Check]:
    """The record of a file of which nobody said what it must be; Refused only where it is no video that decodes."""
    found = await examine(encoder, path, name)
    _check_decodes(found, name)
    media = Media.from_json(found["measured"]["media"])
    return media, checked(media, found, "", None)


def sound_ends(media: Media, start: float, length: float) -> tuple[float | None, ...]:
    """When the sound tracks of a part of a file end in what is made of it (seconds); None where nobody knows."""
    # Only MP4 says it of each track; elsewhere it is guessed from the bit rate.
    known = media.container.startswith("mov")
    tracks = [audio for audio in media.audio if audio.codec != "unknown"]
    return tuple(
        min(length, track.start - media.start + track.duration - start) if known and track.duration else None
        for track in tracks
    )


def _questions(wanted: Wanted) -> dict[str, Any]:
    origin = wanted.origin
    if origin is None:
        return {"joins": list(wanted.joins), "covered": wanted.covered}
    end = wanted.duration if origin.end is None else origin.end
    first = origin.at + origin.fade / 2
    last = max(first, end - origin.fade / 2 - _PIECE)
    at_joins = (min(last, max(first, join - _PIECE / 2)) for join in wanted.joins)
    return {
        "joins": list(wanted.joins),
        "covered": wanted.covered,
        "origin": {**asdict(origin), "path": str(origin.path), "end": end},
        "points": [first, (first + last) / 2, last, *at_joins],
    }


def _of_the_talk(found: Mapping[str, Any], origin: Origin | None) -> Mapping[str, Any]:
    """The same without what is black, still or silent in a card or a sting, which is as somebody made it."""
    if origin is None or origin.end is None:
        return found
    begin, end, seen = origin.at, origin.end, found["seen"]

    def within(stretches: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        cut = [(max(begin, first), min(end, last)) for first, last in stretches]
        return [(first, last) for first, last in cut if last > first]

    parts = {"black": within(seen["black"]), "frozen": within(seen["frozen"])}
    return {**found, "seen": {**seen, **parts, "silent": [within(one) for one in seen["silent"]]}}


def _check_decodes(found: Mapping[str, Any], name: str) -> None:
    measured = found["measured"]
    if measured["first"] is None or measured["end"] is None:
        said = _first(measured["complaints"])
        raise Refused(f"What was made of {quoted(name)} does not decode ({said}): encode it anew.")


def _check_asked(measured: Mapping[str, Any], media: Media, wanted: Wanted, name: str) -> None:
    video = media.video[0]
    tolerance = max(1 / (video.rate or 25), measured["last_distance"]) + 0.001
    _check_length(measured["end"], wanted.duration, tolerance, name)
    _check_length(max(media.duration, wanted.whole), wanted.whole, max(tolerance, _AAC_FRAME), name)
    if video.shown != (wanted.width, wanted.height):
        raise _not_asked(name, "size", f"{wanted.width}x{wanted.height}", "{}x{}".format(*video.shown))
    if len(media.audio) != wanted.tracks:
        raise _not_asked(name, "number of sound tracks", wanted.tracks, len(media.audio))
    if wanted.codec is not None and video.codec != wanted.codec:
        raise _not_asked(name, "kind of picture", wanted.codec, video.codec)
    if wanted.rate is not None and abs(video.rate - wanted.rate) > 0.01 * wanted.rate + 1 / wanted.duration:
        raise _not_asked(name, "frame rate", f"{wanted.rate:g}", f"{video.rate:g}")
    if wanted.bits is not None and media.size * 8 > wanted.bits:
        raise _not_asked(name, "size in bytes at most", wanted.bits // 8, media.size)


def _check_sound(media: Media, wanted: Wanted, name: str) -> None:
    for number, (end, track) in enumerate(zip(wanted.sound, media.audio, strict=False), 1):
        if end is None or track.duration is None:
            continue
        got = track.start - media.start + track.duration
        if got < end - _EARLY:
            raise Refused(
                f"Of the sound of {quoted(name)} (track {number}) only {max(0.0, got):.2f} s could be made of the {end:.2f} s wanted: "
                "the source is damaged or its sound ends there; send it again, whole."
            )


def _check_whole(found: Mapping[str, Any], wanted: Wanted, name: str) -> None:
    seen = found["seen"]
    if wanted.pictures is not None and seen["pictures"] != wanted.pictures:
        raise Refused(f"The cut of {quoted(name)} has {seen['pictures']} pictures instead of {wanted.pictures}.")
    if seen["disorder"]:
        raise Refused(
            f"In what was made of {quoted(name)} the times are out of order at {seen['disorder'][0]:.2f} s: encode it anew."
        )
    if seen["damage"]:
        time, what = seen["damage"][0]
        raise Refused(f"What was made of {quoted(name)} is damaged at {time:.2f} s ({what}): encode it anew.")
    if "at_joins" in found:
        _check_around(found["at_joins"], name)


def _check_offset(check: Check, wanted: Wanted, name: str) -> None:
    moved = [one for one in check.offset if None not in (one["sound"], one["picture"])]
    worst = max(moved, key=lambda one: abs(one["sound"] - one["picture"]), default=None)
    if wanted.apart is None or worst is None:
        return
    if abs(worst["sound"] - worst["picture"]) > wanted.apart:
        raise Refused(
            f"At {worst['at']:.2f} s of what was made of {quoted(name)} sound and picture are "
            f"{1000 * abs(worst['sound'] - worst['picture']):.0f} ms further apart than in the source."
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


async def check_pictures(encoder: Encoder, source: Path, video: Video, cut: Cut, *, got: int | None, name: str) -> int:
    """How many pictures of the source are missing in a cut of it; Refused where damage ate more than one in 200.

    A steady source is reckoned; only where that does not fit, or the rate varies, its packets are counted.
    """
    if got is None or (not video.variable and abs(got - cut.length * video.rate) <= 1):
        return 0
    there = await encoder.shared.get(Prober).count(source, cut.start, cut.end, name)
    missing = there - got
    if missing > 1 + there // 200:
        raise Refused(
            f"Of {quoted(name)} {missing} of {there} pictures from {cut.start:g} s to {cut.end:g} s could not be decoded: "
            "the source is damaged there; send it again, whole."
        )
    return max(0, missing)


def _check_around(found: Mapping[str, Any], name: str) -> None:
    wrong = [join for join in found["joins"] if join["failed"] or join["pictures"] != join["packets"]]
    if wrong:
        one = wrong[0]
        raise Refused(
            f"At {one['at']:.2f} s of the cut of {quoted(name)} {one['pictures']} of {one['packets']} pictures decode."
        )
    if found["complaints"]:
        raise Refused(f"The joins of the cut of {quoted(name)} decode with errors ({found['complaints'][0]}).")

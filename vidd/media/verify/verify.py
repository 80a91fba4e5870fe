"""Checks what ffmpeg made before it is renamed into place: exit code 0 is not success.

A truncated source and one with a hole both end with exit code 0 and a short result, and a copied stream keeps its
old size whatever was asked. So the file itself is read once, in a child: its packets are counted, its keyframes, joins
and ends decoded, its audio measured. What is broken is refused here. What a person may want to know, such as a black
video, is left in the record, and `vidd.model.check_policy` decides what happens then.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.probe.client import Prober
from vidd.media.verify.client import examine
from vidd.media.verify.report import CheckRecord, check_of
from vidd.model.media import Media

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vidd.media.ffmpeg.args.common import Cut
    from vidd.model.media import Video
    from vidd.ports import Encoder

_AAC_PACKET = 0.03
# Seconds of audio that are compared at a point, and by how much a track may end too early.
_COMPARED, _EARLY = 1.2, 0.5


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file was made of: `start` in `path` is at `at` in the file (seconds); both ends fade over `fade` seconds.

    It goes on to `end` in the file; None is the file's own end.
    """

    path: Path
    start: float = 0.0
    at: float = 0.0
    fade: float = 0.0
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file must be: `duration` of the video and `total` of the file (seconds), and how many audio `tracks`.

    Where given also the `rate` (frames a second), the most `bits` of the whole file, the video's `codec`, the number
    of `frames`, and when each audio track ends (`audio_ends`). `joins` are the times (seconds) around which all frames
    must decode. A watermark lies at `covered` (left, top, width, height as shares of the frame), which counts as black.
    With an `origin` it is measured whether audio and video are in sync as they are there, and the file is refused
    where they drifted apart by more than `max_drift` seconds.
    """

    duration: float
    total: float
    width: int
    height: int
    tracks: int
    rate: float | None = None
    bits: int | None = None
    codec: str | None = None
    frames: int | None = None
    audio_ends: tuple[float | None, ...] = ()
    joins: tuple[float, ...] = ()
    covered: tuple[float, float, float, float] | None = None
    origin: Origin | None = None
    max_drift: float | None = None


def video_end(media: Media) -> float:
    """Seconds from the file's start to the end of its video."""
    video = media.video[0]
    return media.duration if video.duration is None else video.start - media.start + video.duration


def audio_ends(media: Media, start: float, length: float) -> tuple[float | None, ...]:
    """When the audio tracks end in a part of a file, from `start` on for `length` (seconds); None where unknown."""
    # Only MP4 says it of each track; elsewhere it is guessed from the bit rate.
    known = media.container.startswith("mov")
    return tuple(
        min(length, track.start - media.start + track.duration - start) if known and track.duration else None
        for track in media.audio
        if track.codec != "unknown"
    )


async def verify(
    encoder: Encoder, path: Path, expected: Expected, name: str, complaints: str = ""
) -> tuple[Media, CheckRecord]:
    """What a finished file holds, and the record of its check; Refused if it is not as expected.

    `name` is what the operator knows the source by; `complaints` is what the encoder printed though it succeeded.
    """
    found = await examine(encoder, path, name, **_questions(expected))
    media = Media.from_json(found["measured"]["media"])
    _check_decodes(found, name)
    _check_shape(found["measured"], media, expected, name)
    _check_audio(media, expected, name)
    if errors := found["measured"]["complaints"]:
        raise Refused(f"What was made of {quoted(name)} decodes with errors ({errors[0]}): encode it anew.")
    _check_packets(found, expected, name)
    check = check_of(media, _within_talk(found, expected.origin), complaints, expected.duration)
    _check_sync(check, expected, name)
    return media, check


async def inspect(encoder: Encoder, path: Path, name: str) -> tuple[Media, CheckRecord]:
    """The record of a file about which nothing is expected; Refused only if it is no video that decodes."""
    found = await examine(encoder, path, name)
    _check_decodes(found, name)
    media = Media.from_json(found["measured"]["media"])
    return media, check_of(media, found, "", None)


async def count_missing_frames(
    encoder: Encoder, source: Path, video: Video, cut: Cut, *, frames: int | None, name: str
) -> int:
    """How many frames of the source are missing in a cut with `frames`; Refused if more than one in 200 are.

    Where the source's rate does not vary, the number is computed; only if that does not fit, its packets are counted.
    """
    if frames is None or (not video.variable and abs(frames - cut.length * video.rate) <= 1):
        return 0
    there = await encoder.shared.get(Prober).count(source, cut.start, cut.end, name)
    missing = there - frames
    if missing > 1 + there // 200:
        raise Refused(
            f"Of {quoted(name)} {missing} of {there} frames from {cut.start:g} s to {cut.end:g} s could not be decoded: "
            "the source is damaged there; send it again, whole."
        )
    return max(0, missing)


def _questions(expected: Expected) -> dict[str, Any]:
    origin = expected.origin
    if origin is None:
        return {"joins": list(expected.joins), "covered": expected.covered}
    end = expected.duration if origin.end is None else origin.end
    first = origin.at + origin.fade / 2
    last = max(first, end - origin.fade / 2 - _COMPARED)
    at_joins = (min(last, max(first, join - _COMPARED / 2)) for join in expected.joins)
    return {
        "joins": list(expected.joins),
        "covered": expected.covered,
        "origin": {**asdict(origin), "path": str(origin.path), "end": end},
        "points": [first, (first + last) / 2, last, *at_joins],
    }


def _within_talk(found: Mapping[str, Any], origin: Origin | None) -> Mapping[str, Any]:
    """The same without what is black, frozen or silent in a card or an intro or outro, which somebody made so."""
    if origin is None or origin.end is None:
        return found
    begin, end, contents = origin.at, origin.end, found["contents"]

    def within(spans: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        cut = [(max(begin, first), min(end, last)) for first, last in spans]
        return [(first, last) for first, last in cut if last > first]

    video = {"black": within(contents["black"]), "frozen": within(contents["frozen"])}
    return {**found, "contents": {**contents, **video, "silent": [within(track) for track in contents["silent"]]}}


def _check_decodes(found: Mapping[str, Any], name: str) -> None:
    measured = found["measured"]
    if measured["first"] is None or measured["end"] is None:
        why = next(iter(measured["complaints"]), "no frame was decoded")
        raise Refused(f"What was made of {quoted(name)} does not decode ({why}): encode it anew.")


def _check_shape(measured: Mapping[str, Any], media: Media, expected: Expected, name: str) -> None:
    video = media.video[0]
    tolerance = max(1 / (video.rate or 25), measured["last_distance"]) + 0.001
    _check_length(measured["end"], expected.duration, tolerance, name)
    _check_length(max(media.duration, expected.total), expected.total, max(tolerance, _AAC_PACKET), name)
    if video.display_size != (expected.width, expected.height):
        raise _unexpected(name, "size", f"{expected.width}x{expected.height}", "{}x{}".format(*video.display_size))
    if len(media.audio) != expected.tracks:
        raise _unexpected(name, "number of audio tracks", expected.tracks, len(media.audio))
    if expected.codec is not None and video.codec != expected.codec:
        raise _unexpected(name, "video codec", expected.codec, video.codec)
    if expected.rate is not None and abs(video.rate - expected.rate) > 0.01 * expected.rate + 1 / expected.duration:
        raise _unexpected(name, "frame rate", f"{expected.rate:g}", f"{video.rate:g}")
    if expected.bits is not None and media.size * 8 > expected.bits:
        raise _unexpected(name, "size in bytes at most", expected.bits // 8, media.size)


def _check_length(seconds: float, expected: float, tolerance: float, name: str) -> None:
    if seconds < expected - tolerance:
        raise Refused(
            f"Of {quoted(name)} only {seconds:.2f} s could be made of the {expected:.2f} s wanted: "
            "the source is damaged or ends there; send it again, whole."
        )
    if seconds > expected + tolerance:
        raise Refused(
            f"Of {quoted(name)} {seconds:.2f} s were made instead of {expected:.2f} s: "
            "its times are damaged; repair or encode it anew."
        )


def _unexpected(name: str, what: str, expected: object, found: object) -> Refused:
    return Refused(
        f"What was made of {quoted(name)} is not what was asked ({what}: wanted {expected}, got {found}): check ffmpeg."
    )


def _check_audio(media: Media, expected: Expected, name: str) -> None:
    for number, (end, track) in enumerate(zip(expected.audio_ends, media.audio, strict=False), 1):
        if end is None or track.duration is None:
            continue
        seconds = track.start - media.start + track.duration
        if seconds < end - _EARLY:
            raise Refused(
                f"Of the audio of {quoted(name)} (track {number}) only {max(0.0, seconds):.2f} s could be made of the "
                f"{end:.2f} s wanted: the source is damaged or its audio ends there; send it again, whole."
            )


def _check_packets(found: Mapping[str, Any], expected: Expected, name: str) -> None:
    contents = found["contents"]
    if expected.frames is not None and contents["frames"] != expected.frames:
        raise Refused(
            f"The cut of {quoted(name)} has {contents['frames']} frames instead of {expected.frames}: encode it anew."
        )
    if contents["disorder"]:
        raise Refused(
            f"In what was made of {quoted(name)} the times are out of order at {contents['disorder'][0]:.2f} s: "
            "encode it anew."
        )
    if contents["damage"]:
        time, what = contents["damage"][0]
        raise Refused(f"What was made of {quoted(name)} is damaged at {time:.2f} s ({what}): encode it anew.")
    if "at_joins" in found:
        _check_joins(found["at_joins"], name)


def _check_joins(found: Mapping[str, Any], name: str) -> None:
    for join in found["joins"]:
        if join["failed"] or join["pictures"] != join["packets"]:
            raise Refused(
                f"At {join['at']:.2f} s of the cut of {quoted(name)} only {join['pictures']} of {join['packets']} "
                "frames decode: encode it anew."
            )
    if found["complaints"]:
        raise Refused(
            f"The joins of the cut of {quoted(name)} decode with errors ({found['complaints'][0]}): encode it anew."
        )


def _check_sync(check: CheckRecord, expected: Expected, name: str) -> None:
    drifts = [
        (abs(point["sound"] - point["picture"]), point["at"])
        for point in check.offset
        if None not in (point["sound"], point["picture"])
    ]
    drift, at = max(drifts, default=(0.0, 0.0))
    if expected.max_drift is not None and drift > expected.max_drift:
        raise Refused(
            f"At {at:.2f} s of what was made of {quoted(name)} audio and video are {1000 * drift:.0f} ms further apart "
            "than in the source: repair or re-encode the source, then retry."
        )

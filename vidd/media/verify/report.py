"""The record of a checked file, as it is stored with the file and shown to people."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.media.verify.runs import Span
    from vidd.model.media import Media


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """What a check found; the fields are the keys of the stored record. Times are seconds from the file's start.

    `id` differs for each file ever made. `wanted` is the expected duration of the video, `first` and `end` are its own.
    `frames` is the number of frames that the container claims, `pictures` the number that were counted in the packets
    (`contents["frames"]` of the worker). `sound` are the durations of the audio tracks.
    `complaints` is what the encoder printed. `looked` frames were compared, at most `apart` seconds from each other.
    `silent` and `loudness` (LUFS, LU, dBFS) are by track; `offset` is by how much later than in the origin audio
    (`sound`) and video (`picture`) come, at several points; `lost` says that audio was found nowhere in the origin;
    `cpu` is what the check took (seconds).
    """

    id: str
    wanted: float | None
    duration: float
    first: float
    end: float
    frames: int | None
    pictures: int
    size: int
    sound: tuple[float | None, ...]
    decoded: int
    looked: int
    apart: float
    black: tuple[Span, ...] = ()
    frozen: tuple[Span, ...] = ()
    silent: tuple[tuple[Span, ...], ...] = ()
    loudness: tuple[dict[str, float] | None, ...] = ()
    offset: tuple[dict[str, Any], ...] = ()
    lost: bool = False
    damage: tuple[str, ...] = ()
    joins: tuple[dict[str, Any], ...] = ()
    complaints: tuple[str, ...] = ()
    cpu: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def check_of(media: Media, found: Mapping[str, Any], complaints: str, expected: float | None) -> CheckRecord:
    """The record of what `examine` found; `expected` is the video's duration (seconds), where one is expected."""
    measured, contents = found["measured"], found["contents"]
    return CheckRecord(
        id=secrets.token_hex(4),
        wanted=expected,
        duration=media.duration,
        first=measured["first"],
        end=measured["end"],
        frames=media.video[0].frames,
        pictures=contents["frames"],
        size=media.size,
        sound=tuple(track.duration for track in media.audio),
        decoded=measured["decoded"],
        looked=contents["compared"],
        apart=contents["apart"],
        black=_rounded(contents["black"]),
        frozen=_rounded(contents["frozen"]),
        silent=tuple(_rounded(track) for track in contents["silent"]),
        loudness=tuple(contents["loudness"]),
        offset=tuple(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in point.items()}
            for point in found.get("offset", ())
        ),
        lost=found.get("lost", False),
        damage=tuple(f"At {time:.2f} s {what}." for time, what in contents["damage"]),
        joins=tuple(found.get("at_joins", {}).get("joins", ())),
        complaints=tuple(complaints.splitlines()[-5:]),
        cpu=found["cpu"],
    )


def _rounded(spans: Sequence[Sequence[float]]) -> tuple[Span, ...]:
    return tuple((round(first, 2), round(last, 2)) for first, last in spans)

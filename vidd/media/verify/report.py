"""The record of a checked file, as it is kept with the file and shown to people."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vidd.model.media import Media


@dataclass(frozen=True, slots=True)
class Check:
    """What a file was found to be. `id` is another for each file ever made; times are seconds from the file's start.

    `first` and `end` are those of the picture, `frames` what the container says and `pictures` what was counted.
    `complaints` is what the encoder said. `looked` pictures were looked at, at most `apart` seconds from each other.
    `silent` and `loudness` (LUFS, LU, dBFS) are by track; `offset` is how much later than in its origin sound and
    picture come, at several points; `cpu` is what the check took (seconds).
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
    black: tuple[tuple[float, float], ...] = ()
    frozen: tuple[tuple[float, float], ...] = ()
    silent: tuple[tuple[tuple[float, float], ...], ...] = ()
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


def checked(media: Media, found: Mapping[str, Any], complaints: str, wanted: float | None) -> Check:
    """The record of what `examine` found; `wanted` is how long (seconds) the picture was to be, if anybody said so."""
    measured, seen = found["measured"], found["seen"]
    return Check(
        id=secrets.token_hex(4),
        wanted=wanted,
        duration=media.duration,
        first=measured["first"],
        end=measured["end"],
        frames=media.video[0].frames,
        pictures=seen["pictures"],
        size=media.size,
        sound=tuple(audio.duration for audio in media.audio),
        decoded=measured["decoded"],
        looked=seen["looked"],
        apart=seen["apart"],
        black=_rounded(seen["black"]),
        frozen=_rounded(seen["frozen"]),
        silent=tuple(_rounded(one) for one in seen["silent"]),
        loudness=tuple(seen["loudness"]),
        offset=tuple(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in one.items()}
            for one in found.get("offset", ())
        ),
        lost=found.get("lost", False),
        damage=tuple(f"At {time:.2f} s {what}." for time, what in seen["damage"]),
        joins=tuple(found.get("at_joins", {}).get("joins", ())),
        complaints=tuple(complaints.splitlines()[-5:]),
        cpu=found["cpu"],
    )


def _rounded(stretches: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((round(first, 2), round(last, 2)) for first, last in stretches)

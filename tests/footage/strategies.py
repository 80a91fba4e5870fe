"""A recording cut in both lanes, and what of it can be measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from footage import clips
from footage.recordings import BLACK, GREY, Seen, look
from vidd.steps import trim


@dataclass(frozen=True)
class Times:
    """Seconds of the recording, and of each fade."""

    start: float
    end: float
    fade: float

    @property
    def length(self) -> float:
        return self.end - self.start

    def inside(self, times: list[float]) -> list[int]:
        """The numbers of those times that belong to the cut."""
        return [at for at, time in enumerate(times) if self.start <= time + 1e-6 < self.end]

    def share(self, time: float) -> float:
        """How bright a picture of the result is to be, 0 to 1."""
        return max(0.0, min(1.0, time / self.fade, (self.length - time) / self.fade)) if self.fade else 1.0


@dataclass
class Lane:
    """What came out of one lane: how far its first and last picture are off, how many pictures are lost or in the wrong
    place, how far the fades are off (of 1), and the most that sound and picture moved against each other (seconds)."""

    check: dict[str, Any]
    seen: Seen
    start: float
    end: float
    lost: int
    ramp: float
    offset: float
    points: int
    copied: int = 0
    altered: int = 0
    likeness: float = math.inf
    joins: list[float] = field(default_factory=list)

    @property
    def lane(self) -> str:
        return self.check["lane"]

    @property
    def why(self) -> str:
        return self.check["why"]


async def cut(source: Path, times: Times, lane: str, **options: Any) -> tuple[Path, dict[str, Any]]:
    """The talk, in a directory of the lane's name beside the source; and the record of its check."""
    directory = source.parent / lane
    directory.mkdir()
    here = directory / source.name
    here.hardlink_to(source)
    watched = clips.Watched(directory, here, name="x.mp4", facts={"start": times.start, "end": times.end})
    wanted = trim.Options(fade=times.fade, crf=10, preset="ultrafast", lane=lane, **options)
    outcome = await trim.run(wanted, watched.context)
    return directory / outcome.artifacts[0].path, outcome.artifacts[0].facts["check"]


async def both(source: Path, times: Times, *, codec: str = "h264", turned: str = "", **options: Any) -> dict[str, Lane]:
    """Both lanes by the name of the setting; what is copied is compared with the source, and the joins with the full lane."""
    made = {lane: await cut(source, times, lane, **options) for lane in ("auto", "full")}
    there = await look(source, codec, turned)
    lanes = {
        name: measure(there, await look(path, codec, turned), times, check) for name, (path, check) in made.items()
    }
    if lanes["auto"].lane == "edges":
        compare(there, lanes["auto"], lanes["full"], times)
    return lanes


def measure(source: Seen, seen: Seen, times: Times, check: dict[str, Any]) -> Lane:
    """One lane beside its source."""
    inside = times.inside(source.times)
    numbers = [(seen.number(at), source.number(there)) for at, there in enumerate(inside[: len(seen.pictures)])]
    lost = abs(len(inside) - len(seen.pictures)) + sum(number not in (None, other) for number, other in numbers)
    offset, points = _moved(source, seen, times)
    return Lane(
        check,
        seen,
        seen.times[0] - (source.times[inside[0]] - times.start),
        seen.times[-1] - (source.times[inside[-1]] - times.start),
        lost,
        max(_unlike(seen, at, times) for at in _of_the_fades(seen, times)),
        offset,
        points,
        joins=[join["at"] for join in check.get("joins", [])],
    )


def _unlike(seen: Seen, at: int, times: Times) -> float:
    wanted = BLACK + times.share(seen.times[at]) * (GREY - BLACK)
    return abs(seen.grey(at) - wanted) / (GREY - BLACK)


def _of_the_fades(seen: Seen, times: Times) -> list[int]:
    """Pictures near the beginning, the middle and the end of both fades."""
    fade, length = times.fade, times.length
    wanted = (0, fade / 2, fade, length - fade, length - fade / 2, length)
    return [min(range(len(seen.pictures)), key=lambda at: abs(seen.times[at] - time)) for time in wanted]


def _moved(source: Seen, seen: Seen, times: Times) -> tuple[float, int]:
    """The most that a beep moved against its flash, and how many were found. In the dark of a fade none is looked for."""
    most, points = 0.0, 0
    flashes = seen.flashes()
    for flash in source.flashes():
        if not 0.3 < flash - times.start < times.length - 0.3:
            continue
        here = min(flashes, key=lambda time: abs(time - flash + times.start))
        for track in range(len(source.sounds)):
            before, after = source.beep(flash, track), seen.beep(here, track)
            assert (before is None) == (after is None), f"at {flash} s the sound is {before} and {after}"
            if before is not None and after is not None:
                most, points = max(most, abs((after - here) - (before - flash))), points + 1
    return most, points


def compare(source: Seen, quick: Lane, whole: Lane, times: Times) -> None:
    """Add to the quick lane what is known only beside the source's packets and the whole encode."""
    low, high = quick.joins[0], quick.joins[-1]
    inside = [source.times[at] for at in times.inside(source.times)]
    theirs, place = dict(source.packets), dict(zip(quick.seen.times, inside, strict=True))
    between = [(time, one) for time, one in quick.seen.packets if low - 1e-3 <= time < high - 1e-3]
    # The leading pictures of an open GOP in H.264 are replaced, since they refer to what was encoded anew.
    copied = [(time, one) for time, one in between if time >= between[0][0]]
    quick.copied = len(copied)
    quick.altered = sum(theirs[place[time]] != one for time, one in copied)
    near = [at for at, time in enumerate(quick.seen.times) if min(abs(time - low), abs(time - high)) < 0.3]
    quick.likeness = min(psnr(quick.seen.pictures[at], whole.seen.pictures[at]) for at in near)


def psnr(first: bytes, other: bytes) -> float:
    """How like two pictures are, in dB."""
    error = sum((a - b) ** 2 for a, b in zip(first, other, strict=True)) / len(first)
    return 10 * math.log10(255**2 / error) if error else math.inf

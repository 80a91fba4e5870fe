"""The way over to a keyframe of an open GOP in H.264. Used in the cutter's child only.

Head and leading pictures were encoded apart; here they get the numbers that the source's pictures go on from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.media.bitstream import nal, parameter_sets, slice_header
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.media.smartcut.worker.reference_marking import References

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vidd.media.smartcut.worker.reference_marking import Meeting


class Encoded:
    """What the encoder made for a bridge: its sets under its own names, and the slices' headers read with them."""

    def __init__(self, sets: parameter_sets.Sets, over: slice_header.Sequence) -> None:
        self._over = over
        self._known = slice_header.known(sets)
        (mine,) = self._known[0].values()
        same = ("size", "chroma", "depth", "frames_only")
        if any(getattr(mine, one) != getattr(over, one) for one in same) or mine.references > over.references:
            raise SmartCutUnavailable("The encoder's pictures do not fit under the source's own parameters.")
        self.sets = parameter_sets.Sets((), (), tuple(slice_header.pointed(one, over.name) for one in sets.pps))

    def renumbered(
        self,
        units: Iterable[bytes],
        number: int,
        order: int,
        *,
        name: int = 0,
        like: slice_header.Slice | None = None,
        marking: str = "",
    ) -> list[bytes]:
        """A picture's units with other numbers, or in the place of another picture."""
        return [
            slice_header.written(
                slice_header.header(one, *self._known),
                self._over,
                number=number,
                order=order,
                name=name,
                like=like,
                marking=marking,
            )
            if one[0] & 31 in {1, 5}
            else one
            for one in units
        ]


class Passing:
    """The source's pictures as they pass before the keyframe."""

    def __init__(self, sets: parameter_sets.Sets) -> None:
        self._sequences, self._pictures = slice_header.known(sets)
        self.held = References()

    def take(self, units: list[bytes]) -> None:
        """The next picture's units."""
        first = slice_header.pictured(units)[0]
        over = self._sequences[self._pictures[slice_header.owner(first)].sequence]
        self.held.take(slice_header.header(first, self._sequences, self._pictures, whole=False), over)


def head(
    pictures: Iterable[tuple[int, list[bytes]]],
    count: int,
    made: Encoded,
    over: slice_header.Sequence,
    meeting: Meeting,
) -> Iterator[tuple[int, list[bytes]]]:
    """The head's pictures (time, units), numbered so that the keyframe is the next; there are `count`."""
    since, orders, markings = meeting.since(over), meeting.orders(over), meeting.markings(over)
    last, at, name = count - since, 0, 0
    for place, (pts, units) in enumerate(pictures):
        idr = any(one[0] & 31 == 5 for one in units)
        if idr != (place in {0, last}) or not all(one[0] >> 5 & 3 for one in slice_header.pictured(units)):
            raise SmartCutUnavailable("The encoder did not make the head of a join as it was asked to.")
        if idr:
            at, name = 0, int(place > 0)
        if place >= last:
            yield pts, made.renumbered(units, at, orders[at], name=name, marking=markings[at])
        else:
            yield pts, made.renumbered(units, at, 2 * at, name=name)
        at += 1


def stand_ins(
    pictures: Iterable[tuple[int, list[bytes]]],
    made: Encoded,
    sets: parameter_sets.Sets,
    originals: dict[int, list[bytes]],
) -> dict[int, bytes]:
    """Samples that take the places of leading pictures, by time."""
    known = slice_header.known(sets)
    found = {}
    for pts, units in pictures:
        like = slice_header.header(slice_header.pictured(originals[pts])[0], *known, whole=False)
        kept = [one for one in units if one[0] & 31 == 5]
        found[pts] = nal.sample(made.renumbered(kept, like.number, like.order, like=like))
    return found

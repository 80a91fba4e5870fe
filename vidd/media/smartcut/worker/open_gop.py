"""How encoded frames continue into a keyframe of an open GOP in H.264.

ITU-T H.264 8.2.1 (picture order count), 8.2.5 (reference marking).

A non-IDR keyframe does not reset frame numbering, and its leading pictures may be used as references. So the lead-in
is encoded apart, then renumbered here under the source's own sequence parameters so that the keyframe's number is the
next, and each leading picture is replaced by an intra picture that bears its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from vidd.media.bitstream import nal, parameter_sets, slice_header
from vidd.media.bitstream.nal import BadUnits, exp_golomb
from vidd.media.smartcut.plan import SmartCutUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Meeting:
    """How a head meets a keyframe that goes on from it: its number and order, and how many pictures lead it.

    `held` are the pictures that are references when it comes, by how many numbers they are before it.
    """

    number: int
    order: int
    leading: int
    held: tuple[int, ...] = ()

    def since(self, over: slice_header.Sps) -> int:
        """How many pictures there must be from the head's last IDR picture on, so that the keyframe's number is next.

        And so many that all references there can be are of them: those after the keyframe may put some away by number.
        """
        ring, least = 1 << over.number_bits, over.references + 4
        return self.number + -(-max(0, least - self.number) // ring) * ring

    def markings(self, over: slice_header.Sps) -> list[str]:
        """What each of those pictures forgets, so that in the end just those are held that are in the source."""
        count = self.since(over)
        kept = {count - age for age in self.held}
        if any(one < 0 for one in kept) or (count - 1) not in kept:
            raise BadUnits("a reference is older than its head")
        held: list[int] = []
        markings = []
        for at in range(count):
            forgotten = [one for one in held if one not in kept]
            markings.append(
                "1" + "".join(exp_golomb(1) + exp_golomb(at - one - 1) for one in forgotten) + exp_golomb(0)
                if at
                else ""
            )
            held = [*(one for one in held if one in kept), at]
        return markings

    def orders(self, over: slice_header.Sps) -> list[int]:
        """The orders of those pictures: from 0 in even steps, so that the keyframe's is the next but the leading ones."""
        count = self.since(over)
        if over.order != 0:
            return [2 * at for at in range(count)]
        ring = 1 << over.order_bits
        last = 2 * (count - 1)
        total = last + (self.order - 2 * (self.leading + 1) - last) % ring
        orders = [at * total // max(1, count - 1) // 2 * 2 for at in range(count)]
        orders[-1] = total if count > 1 else 0
        steps = [later - earlier for earlier, later in pairwise(orders)]
        if total % 2 or (count == 1 and total) or any(not 0 < step < ring // 2 for step in steps):
            raise BadUnits("its keyframe's place among the pictures cannot be reached")
        return orders


class References:
    """Which pictures are references, by their numbers without wrapping, as a stream's pictures pass (8.2.5)."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._last = 0

    def ages(self, number: int, over: slice_header.Sps) -> tuple[int, ...]:
        """By how many numbers the references are before a picture with this one."""
        here = self._whole(number, over)
        return tuple(here - one for one in self._held)

    def take(self, slice_: slice_header.Slice, over: slice_header.Sps) -> None:
        """The next picture in the order of decoding."""
        if slice_.idr:
            self._held, self._last = [], 0
        if not slice_.reference:
            return
        here = self._whole(slice_.number, over)
        if slice_.forgets is not None:
            self._held = [each for each in self._held if here - each not in slice_.forgets]
        elif len(self._held) >= max(1, over.references):
            self._held.remove(min(self._held))
        self._held.append(here)
        self._last = here

    def _whole(self, number: int, over: slice_header.Sps) -> int:
        return self._last + (number - self._last) % (1 << over.number_bits)


def meeting(
    sets: parameter_sets.Sets, units: list[bytes], leading: int, references: References | None = None
) -> tuple[slice_header.Sps, Meeting]:
    """How one meets the keyframe that these units are; and its sequence. BadUnits or KeyError where that is unknown."""
    sequences, pictures = slice_header.parameters_by_id(sets)
    parts = slice_header.slices_of(units)
    if any(unit[0] & 31 in {2, 3, 4} for unit in units) or not parts:
        raise BadUnits("its slices come in parts")
    slice_ = slice_header.parse_slice(parts[0], sequences, pictures, with_data=False)
    over = sequences[pictures[slice_header.pps_id_of(parts[0])].sequence]
    if not slice_.reference or any(
        slice_header.parse_slice(part, sequences, pictures, with_data=False).kind != 2 for part in parts
    ):
        raise BadUnits("its keyframe is not all intra")
    return over, Meeting(
        slice_.number, slice_.order, leading, references.ages(slice_.number, over) if references else ()
    )


class Encoded:
    """What the encoder made for a bridge: its sets under its own names, and the slices' headers read with them."""

    def __init__(self, sets: parameter_sets.Sets, over: slice_header.Sps) -> None:
        self._over = over
        self._known = slice_header.parameters_by_id(sets)
        (mine,) = self._known[0].values()
        same = ("size", "chroma", "depth", "frames_only")
        if any(getattr(mine, one) != getattr(over, one) for one in same) or mine.references > over.references:
            raise SmartCutUnavailable("The encoder's pictures do not fit under the source's own parameters.")
        self.sets = parameter_sets.Sets((), (), tuple(slice_header.with_sps_id(one, over.name) for one in sets.pps))

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
            slice_header.write_slice(
                slice_header.parse_slice(unit, *self._known),
                self._over,
                number=number,
                order=order,
                name=name,
                like=like,
                marking=marking,
            )
            if unit[0] & 31 in {1, 5}
            else unit
            for unit in units
        ]


class Passing:
    """The source's pictures as they pass before the keyframe."""

    def __init__(self, sets: parameter_sets.Sets) -> None:
        self._sequences, self._pictures = slice_header.parameters_by_id(sets)
        self.held = References()

    def take(self, units: list[bytes]) -> None:
        """The next picture's units."""
        first = slice_header.slices_of(units)[0]
        over = self._sequences[self._pictures[slice_header.pps_id_of(first)].sequence]
        self.held.take(slice_header.parse_slice(first, self._sequences, self._pictures, with_data=False), over)


def head(
    pictures: Iterable[tuple[int, list[bytes]]],
    count: int,
    made: Encoded,
    over: slice_header.Sps,
    meeting: Meeting,
) -> Iterator[tuple[int, list[bytes]]]:
    """The head's pictures (time, units), numbered so that the keyframe is the next; there are `count`."""
    since, orders, markings = meeting.since(over), meeting.orders(over), meeting.markings(over)
    last, at, name = count - since, 0, 0
    for place, (pts, units) in enumerate(pictures):
        idr = any(unit[0] & 31 == 5 for unit in units)
        if idr != (place in {0, last}) or not all(one[0] >> 5 & 3 for one in slice_header.slices_of(units)):
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
    known = slice_header.parameters_by_id(sets)
    found = {}
    for pts, units in pictures:
        like = slice_header.parse_slice(slice_header.slices_of(originals[pts])[0], *known, with_data=False)
        kept = [unit for unit in units if unit[0] & 31 == 5]
        found[pts] = nal.to_sample(made.renumbered(kept, like.number, like.order, like=like))
    return found

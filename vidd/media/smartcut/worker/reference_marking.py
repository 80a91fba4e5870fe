"""How encoded pictures meet a keyframe of an open GOP in H.264. Pure.

ITU-T H.264 8.2.1 (order of pictures), 8.2.5 (marking of references).

Such a keyframe is no IDR picture: what comes after it counts its pictures from those before it, and its leading
pictures may be references. So the head goes on under the source's own sequence parameters, numbered so that the
keyframe's number is the next, and each leading picture is replaced by an intra picture that bears its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from vidd.media.bitstream import slice_header
from vidd.media.bitstream.nal import BadUnits, code

if TYPE_CHECKING:
    from vidd.media.bitstream.parameter_sets import Sets


@dataclass(frozen=True, slots=True)
class Meeting:
    """How a head meets a keyframe that goes on from it: its number and order, and how many pictures lead it.

    `held` are the pictures that are references when it comes, by how many numbers they are before it.
    """

    number: int
    order: int
    leading: int
    held: tuple[int, ...] = ()

    def since(self, over: slice_header.Sequence) -> int:
        """How many pictures there must be from the head's last IDR picture on, so that the keyframe's number is next.

        And so many that all references there can be are of them: those after the keyframe may put some away by number.
        """
        ring, least = 1 << over.number_bits, over.references + 4
        return self.number + -(-max(0, least - self.number) // ring) * ring

    def markings(self, over: slice_header.Sequence) -> list[str]:
        """What each of those pictures forgets, so that in the end just those are held that are in the source."""
        count = self.since(over)
        kept = {count - age for age in self.held}
        if any(one < 0 for one in kept) or (count - 1) not in kept:
            raise BadUnits("a reference is older than its head")
        held: list[int] = []
        markings = []
        for at in range(count):
            forgotten = [one for one in held if one not in kept]
            markings.append("1" + "".join(code(1) + code(at - one - 1) for one in forgotten) + code(0) if at else "")
            held = [*(one for one in held if one in kept), at]
        return markings

    def orders(self, over: slice_header.Sequence) -> list[int]:
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
        if total % 2 or (count == 1 and total) or any(not 0 < one < ring // 2 for one in steps):
            raise BadUnits("its keyframe's place among the pictures cannot be reached")
        return orders


class References:
    """Which pictures are references, by their numbers without wrapping, as a stream's pictures pass (8.2.5)."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._last = 0

    def ages(self, number: int, over: slice_header.Sequence) -> tuple[int, ...]:
        """By how many numbers the references are before a picture with this one."""
        here = self._whole(number, over)
        return tuple(here - one for one in self._held)

    def take(self, one: slice_header.Slice, over: slice_header.Sequence) -> None:
        """The next picture in the order of decoding."""
        if one.idr:
            self._held, self._last = [], 0
        if not one.reference:
            return
        here = self._whole(one.number, over)
        if one.forgets is not None:
            self._held = [each for each in self._held if here - each not in one.forgets]
        elif len(self._held) >= max(1, over.references):
            self._held.remove(min(self._held))
        self._held.append(here)
        self._last = here

    def _whole(self, number: int, over: slice_header.Sequence) -> int:
        return self._last + (number - self._last) % (1 << over.number_bits)


def meeting(
    sets: Sets, units: list[bytes], leading: int, references: References | None = None
) -> tuple[slice_header.Sequence, Meeting]:
    """How one meets the keyframe that these units are; and its sequence. BadUnits or KeyError where that is unknown."""
    sequences, pictures = slice_header.known(sets)
    parts = slice_header.pictured(units)
    if any(unit[0] & 31 in {2, 3, 4} for unit in units) or not parts:
        raise BadUnits("its slices come in parts")
    one = slice_header.header(parts[0], sequences, pictures, whole=False)
    over = sequences[pictures[slice_header.owner(parts[0])].sequence]
    if not one.reference or any(
        slice_header.header(each, sequences, pictures, whole=False).kind != 2 for each in parts
    ):
        raise BadUnits("its keyframe is not all intra")
    return over, Meeting(one.number, one.order, leading, references.ages(one.number, over) if references else ())

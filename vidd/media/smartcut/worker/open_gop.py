"""How encoded frames continue into a keyframe of an open GOP in H.264.

ITU-T H.264 8.2.1 (picture order count), 8.2.5 (reference marking).

A non-IDR keyframe does not reset frame numbering, and its leading frames may be used as references. So the lead-in
is encoded apart, then renumbered here under the source's own sequence parameters so that the keyframe's number is the
next, and each leading frame is replaced by an intra frame with its numbers.
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
class ReferenceMarking:
    """What a non-IDR keyframe expects of the frames before it: its number and order, how many leading frames it has.

    `held` are the frames that are references when it is decoded, by how many numbers they are before it.
    """

    number: int
    order: int
    leading: int
    held: tuple[int, ...] = ()

    def frames_needed(self, sps: slice_header.Sps) -> int:
        """How many frames the lead-in must have from its last IDR frame on, so that the keyframe's number is next.

        They are enough for all references to be among them, since frames after the keyframe may unmark some by number.
        """
        ring, least = 1 << sps.number_bits, sps.references + 4
        return self.number + -(-max(0, least - self.number) // ring) * ring

    def markings(self, sps: slice_header.Sps) -> list[str]:
        """The references that each of those frames unmarks, as bits, so that in the end the same are held as in the source.

        BadUnits if a reference would have to be older than the lead-in.
        """
        count = self.frames_needed(sps)
        kept = {count - age for age in self.held}
        if any(index < 0 for index in kept) or (count - 1) not in kept:
            raise BadUnits("a reference is older than the lead-in")
        held: list[int] = []
        markings = []
        for at in range(count):
            unmarked = [index for index in held if index not in kept]
            operations = "".join(exp_golomb(1) + exp_golomb(at - index - 1) for index in unmarked)
            markings.append("1" + operations + exp_golomb(0) if at else "")
            held = [*(index for index in held if index in kept), at]
        return markings

    def orders(self, sps: slice_header.Sps) -> list[int]:
        """The orders of those frames: even numbers from 0, so that the keyframe's is the next after the leading frames.

        BadUnits if that is not possible.
        """
        count = self.frames_needed(sps)
        if sps.order != 0:
            return [2 * at for at in range(count)]
        ring = 1 << sps.order_bits
        last = 2 * (count - 1)
        total = last + (self.order - 2 * (self.leading + 1) - last) % ring
        orders = [at * total // max(1, count - 1) // 2 * 2 for at in range(count)]
        orders[-1] = total if count > 1 else 0
        steps = [later - earlier for earlier, later in pairwise(orders)]
        if total % 2 or (count == 1 and total) or any(not 0 < step < ring // 2 for step in steps):
            raise BadUnits("the keyframe's order cannot be reached")
        return orders


class References:
    """Which frames are references, by their numbers without wrapping, while a stream is decoded (8.2.5)."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._last = 0

    def ages(self, number: int, sps: slice_header.Sps) -> tuple[int, ...]:
        """By how many numbers the references are before a frame with this number."""
        newest = self._unwrap(number, sps)
        return tuple(newest - held for held in self._held)

    def take(self, slice_: slice_header.Slice, sps: slice_header.Sps) -> None:
        """Take the next frame in the order of decoding."""
        if slice_.idr:
            self._held, self._last = [], 0
        if not slice_.reference:
            return
        newest = self._unwrap(slice_.number, sps)
        if slice_.forgets is not None:
            self._held = [number for number in self._held if newest - number not in slice_.forgets]
        elif len(self._held) >= max(1, sps.references):
            self._held.remove(min(self._held))
        self._held.append(newest)
        self._last = newest

    def _unwrap(self, number: int, sps: slice_header.Sps) -> int:
        return self._last + (number - self._last) % (1 << sps.number_bits)


def reference_marking(
    sets: parameter_sets.Sets, units: list[bytes], leading: int, references: References | None = None
) -> tuple[slice_header.Sps, ReferenceMarking]:
    """The SPS of the keyframe that these units are, and its reference marking; BadUnits or KeyError if unknown."""
    sps_by_id, pps_by_id = slice_header.parameters_by_id(sets)
    parts = slice_header.slices_of(units)
    if any(unit[0] & 31 in {2, 3, 4} for unit in units) or not parts:
        raise BadUnits("its slices are partitioned")
    slice_ = slice_header.parse_slice(parts[0], sps_by_id, pps_by_id, with_data=False)
    sps = sps_by_id[pps_by_id[slice_header.pps_id_of(parts[0])].sps_id]
    if not slice_.reference or any(
        slice_header.parse_slice(part, sps_by_id, pps_by_id, with_data=False).kind != 2 for part in parts
    ):
        raise BadUnits("the keyframe is not all intra")
    return sps, ReferenceMarking(
        slice_.number, slice_.order, leading, references.ages(slice_.number, sps) if references else ()
    )


class EncodedFrames:
    """Frames of an encoder, whose slices are written again under the SPS of the source."""

    def __init__(self, sets: parameter_sets.Sets, sps: slice_header.Sps) -> None:
        self._sps = sps
        self._known = slice_header.parameters_by_id(sets)
        (own,) = self._known[0].values()
        same = ("size", "chroma", "depth", "frames_only")
        if any(getattr(own, field) != getattr(sps, field) for field in same) or own.references > sps.references:
            raise SmartCutUnavailable("The encoder's frames do not fit the source's parameter sets.")
        self.sets = parameter_sets.Sets((), (), tuple(slice_header.with_sps_id(pps, sps.id) for pps in sets.pps))

    def renumber(
        self,
        units: Iterable[bytes],
        number: int,
        order: int,
        *,
        idr_id: int = 0,
        like: slice_header.Slice | None = None,
        marking: str = "",
    ) -> list[bytes]:
        """A frame's units with other numbers, or in the place of another frame."""
        return [
            slice_header.write_slice(
                slice_header.parse_slice(unit, *self._known),
                self._sps,
                number=number,
                order=order,
                idr_id=idr_id,
                like=like,
                marking=marking,
            )
            if unit[0] & 31 in {1, 5}
            else unit
            for unit in units
        ]


class ReferenceTracker:
    """Follows the references of the source up to the keyframe."""

    def __init__(self, sets: parameter_sets.Sets) -> None:
        self._sps_by_id, self._pps_by_id = slice_header.parameters_by_id(sets)
        self.references = References()

    def take(self, units: list[bytes]) -> None:
        """Take the units of the next frame."""
        first = slice_header.slices_of(units)[0]
        sps = self._sps_by_id[self._pps_by_id[slice_header.pps_id_of(first)].sps_id]
        self.references.take(slice_header.parse_slice(first, self._sps_by_id, self._pps_by_id, with_data=False), sps)


def renumber_lead_in(
    frames: Iterable[tuple[int, list[bytes]]],
    count: int,
    encoded: EncodedFrames,
    sps: slice_header.Sps,
    marking: ReferenceMarking,
) -> Iterator[tuple[int, list[bytes]]]:
    """The `count` frames of the lead-in (time, units), numbered so that the keyframe's number is the next."""
    since, orders, markings = marking.frames_needed(sps), marking.orders(sps), marking.markings(sps)
    last, at, idr_id = count - since, 0, 0
    for place, (pts, units) in enumerate(frames):
        idr = any(unit[0] & 31 == 5 for unit in units)
        if idr != (place in {0, last}) or not all(slice_[0] >> 5 & 3 for slice_ in slice_header.slices_of(units)):
            raise SmartCutUnavailable("The encoder did not make the lead-in as it was told to.")
        if idr:
            at, idr_id = 0, int(place > 0)
        if place >= last:
            yield pts, encoded.renumber(units, at, orders[at], idr_id=idr_id, marking=markings[at])
        else:
            yield pts, encoded.renumber(units, at, 2 * at, idr_id=idr_id)
        at += 1


def replace_leading(
    frames: Iterable[tuple[int, list[bytes]]],
    encoded: EncodedFrames,
    sets: parameter_sets.Sets,
    originals: dict[int, list[bytes]],
) -> dict[int, bytes]:
    """Samples that replace the leading frames, by time."""
    known = slice_header.parameters_by_id(sets)
    found = {}
    for pts, units in frames:
        like = slice_header.parse_slice(slice_header.slices_of(originals[pts])[0], *known, with_data=False)
        slices = [unit for unit in units if unit[0] & 31 == 5]
        found[pts] = nal.to_sample(encoded.renumber(slices, like.number, like.order, like=like))
    return found

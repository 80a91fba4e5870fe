"""Reads slice headers of H.264, and writes a slice again with other numbers or in another picture's place. Pure.

ITU-T H.264 7.3.2.1 (sequence), 7.3.2.2 (picture parameters), 7.3.3 (slice header).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.bitstream.nal import BadUnits, Bits, bit_text, escape, exp_golomb, to_bytes, unescape

if TYPE_CHECKING:
    from vidd.media.bitstream.parameter_sets import Sets

_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
_FIVE = 5


@dataclass(frozen=True, slots=True)
class Sps:
    """The part of an SPS that reading a slice header needs, and the size in macroblocks."""

    id: int
    profile: int
    number_bits: int
    order: int
    order_bits: int
    references: int
    size: tuple[int, int]
    frames_only: bool
    chroma: int
    depth: tuple[int, int]
    matrices: bool
    planes_apart: bool


def parse_sps(unit: bytes) -> Sps:
    """Read an SPS; BadUnits if it uses what cannot be written again."""
    bits = Bits(unit, 1)
    profile = bits.read(8)
    bits.read(16)
    sps_id = bits.read_ue()
    chroma, depth, matrices, apart = 1, (8, 8), False, False
    if profile in _HIGH:
        chroma = bits.read_ue()
        apart = chroma == 3 and bool(bits.read(1))
        depth = (8 + bits.read_ue(), 8 + bits.read_ue())
        matrices = bool(bits.read(1)) or bool(bits.read(1))
        if matrices:
            raise BadUnits("it has scaling matrices of its own")
    number_bits = bits.read_ue() + 4
    order, order_bits = bits.read_ue(), 0
    if order == 0:
        order_bits = bits.read_ue() + 4
    elif order == 1:
        bits.read(1)
        bits.read_se()
        bits.read_se()
        for _ in range(bits.read_ue()):
            bits.read_se()
    references = bits.read_ue()
    bits.read(1)
    size = (bits.read_ue() + 1, bits.read_ue() + 1)
    frames_only = bool(bits.read(1))
    return Sps(
        sps_id, profile, number_bits, order, order_bits, references, size, frames_only, chroma, depth, matrices, apart
    )


@dataclass(frozen=True, slots=True)
class Pps:
    """The part of a PPS that reading a slice header needs."""

    id: int
    sps_id: int
    cabac: bool
    order_present: bool
    active: tuple[int, int]
    weighted: bool
    weighted_both: int
    deblocking: bool
    redundant: bool


def parse_pps(unit: bytes) -> Pps:
    """Read a PPS; BadUnits if it uses slice groups."""
    bits = Bits(unit, 1)
    pps_id, sps_id = bits.read_ue(), bits.read_ue()
    cabac, order_present = bool(bits.read(1)), bool(bits.read(1))
    if bits.read_ue():
        raise BadUnits("it uses slice groups")
    active = (bits.read_ue() + 1, bits.read_ue() + 1)
    weighted, both = bool(bits.read(1)), bits.read(2)
    for _ in range(3):
        bits.read_se()
    deblocking = bool(bits.read(1))
    bits.read(1)
    return Pps(pps_id, sps_id, cabac, order_present, active, weighted, both, deblocking, bool(bits.read(1)))


def with_sps_id(unit: bytes, sps_id: int) -> bytes:
    """The PPS, referring to another SPS."""
    text = bit_text(unit[1:])
    bits = Bits(unit, 1)
    pps_id, old = bits.read_ue(), bits.read_ue()
    rest = text[len(exp_golomb(pps_id)) + len(exp_golomb(old)) :]
    return unit[:1] + escape(to_bytes(exp_golomb(pps_id) + exp_golomb(sps_id) + rest))


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice: the numbers of its picture, how references are marked after it (`marking`, as bits), and its `data`.

    `forgets` are the references that it unmarks, by how many numbers they are before it; None if the oldest goes.
    `start`, `middle` and `rest` are bits of the header: up to the number, from after the picture's order to the
    marking, and the rest.
    """

    reference: int
    idr: bool
    kind: int
    number: int
    order: int
    marking: str
    forgets: tuple[int, ...] | None
    start: str
    middle: str
    rest: str
    data: bytes | str


def parse_slice(unit: bytes, sps_by_id: dict[int, Sps], pps_by_id: dict[int, Pps], *, with_data: bool = True) -> Slice:
    """Read a slice; its data is needed only to write it again. BadUnits or KeyError if that is not possible."""
    idr, reference = unit[0] & 31 == _FIVE, unit[0] >> 5 & 3
    part = unit if with_data else unit[:400]
    bits = Bits(part, 1)
    bits.read_ue()
    kind = bits.read_ue() % 5
    pps = pps_by_id[bits.read_ue()]
    sps = sps_by_id[pps.sps_id]
    if sps.planes_apart or not sps.frames_only or sps.order == 1:
        raise BadUnits("its frames are coded as fields, or numbered in a rare way")
    start_end = bits.position
    number = bits.read(sps.number_bits)
    if idr:
        bits.read_ue()
    order = bits.read(sps.order_bits) if sps.order == 0 else 0
    if sps.order == 0 and pps.order_present:
        bits.read_se()
    middle_start = bits.position
    if pps.redundant:
        bits.read_ue()
    _references(bits, pps, sps, kind)
    middle_end = bits.position
    forgets = _forgets(bits, idr=idr) if reference else None
    marking_end = bits.position
    if pps.cabac and kind not in {2, 4}:
        bits.read_ue()
    bits.read_se()
    if kind in {3, 4}:
        raise BadUnits("it has switching slices")
    if pps.deblocking and bits.read_ue() != 1:
        bits.read_se()
        bits.read_se()
    end = bits.position
    text = bits.text
    data: bytes | str = ""
    if with_data:
        data = unescape(unit)[1 + (end + 7) // 8 :] if pps.cabac else bit_text(unit[1:])[end:]
    return Slice(
        reference,
        idr,
        kind,
        number,
        order,
        text(middle_end, marking_end),
        forgets,
        text(0, start_end),
        text(middle_start, middle_end),
        text(marking_end, end),
        data,
    )


def _forgets(bits: Bits, *, idr: bool) -> tuple[int, ...] | None:
    """The references that a picture unmarks (7.3.3.3), by how many numbers before it; None if the oldest goes."""
    if idr:
        bits.read(2)
        return None
    if not bits.read(1):
        return None
    forgets = []
    while operation := bits.read_ue():
        if operation != 1:
            raise BadUnits("it has long-term references")
        forgets.append(bits.read_ue() + 1)
    return tuple(forgets)


def _references(bits: Bits, pps: Pps, sps: Sps, kind: int) -> None:
    if kind == 1:
        bits.read(1)
    active = list(pps.active)
    if kind in {0, 1, 3} and bits.read(1):
        active[0] = bits.read_ue() + 1
        if kind == 1:
            active[1] = bits.read_ue() + 1
    lists = {0: 1, 1: 2, 3: 1}.get(kind, 0)
    for _ in range(lists):
        if bits.read(1):
            while bits.read_ue() != 3:
                bits.read_ue()
    if (pps.weighted and kind in {0, 3}) or (pps.weighted_both == 1 and kind == 1):
        _weights(bits, active[:lists], (1, 2) if sps.chroma else (1,))


def _weights(bits: Bits, active: list[int], planes: tuple[int, ...]) -> None:
    """pred_weight_table (7.3.3.2)."""
    for _ in planes:
        bits.read_ue()
    for _ in range(sum(active)):
        for values in planes:
            if bits.read(1):
                for _ in range(2 * values):
                    bits.read_se()


def write_slice(
    slice_: Slice,
    sps: Sps,
    *,
    number: int,
    order: int,
    idr_id: int = 0,
    like: Slice | None = None,
    marking: str = "",
) -> bytes:
    """The slice with another number and order under another SPS; `like` puts it in another picture's place.

    `idr_id` (idr_pic_id) differs from that of the IDR picture before it; `marking` replaces the slice's own.
    An IDR slice in the place of another picture becomes an ordinary intra slice.
    """
    idr, reference, marking = slice_.idr, slice_.reference, marking or slice_.marking
    if like is not None:
        idr, reference, marking = False, like.reference, like.marking
    head = slice_.start + f"{number % (1 << sps.number_bits):0{sps.number_bits}b}"
    if idr:
        head += exp_golomb(idr_id)
    if sps.order == 0:
        head += f"{order % (1 << sps.order_bits):0{sps.order_bits}b}"
    head += slice_.middle + marking + slice_.rest
    first = bytes([reference << 5 | (_FIVE if idr else 1)])
    if isinstance(slice_.data, str):
        return first + escape(to_bytes(head + slice_.data))
    head += "1" * (-len(head) % 8)
    return first + escape(int(head, 2).to_bytes(len(head) // 8, "big") + slice_.data)


def parameters_by_id(sets: Sets) -> tuple[dict[int, Sps], dict[int, Pps]]:
    """The SPS and the PPS by their ids."""
    sequences = {sps.id: sps for sps in map(parse_sps, sets.sps)}
    return sequences, {pps.id: pps for pps in map(parse_pps, sets.pps)}


def slices_of(units: list[bytes]) -> list[bytes]:
    """The slices among units."""
    return [unit for unit in units if unit[0] & 31 in {1, _FIVE}]


def pps_id_of(unit: bytes) -> int:
    """The id of the PPS that a slice refers to."""
    bits = Bits(unit[:64], 1)
    bits.read_ue()
    bits.read_ue()
    return bits.read_ue()

"""Slice headers of H.264 and the parameters they are read with; a slice is written again in another picture's place. Pure.

ITU-T H.264 7.3.2.1 (sequence), 7.3.2.2 (picture parameters), 7.3.3 (slice header).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.media.bitstream.nal import BadUnits, Bits, closed, code, escaped, text_of, unescaped

if TYPE_CHECKING:
    from vidd.media.bitstream.parameter_sets import Sets

_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
_FIVE = 5


@dataclass(frozen=True, slots=True)
class Sequence:
    """What of an SPS a slice header needs, and the size in macroblocks."""

    name: int
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


def sequence(unit: bytes) -> Sequence:
    """Read an SPS."""
    bits = Bits(unit, 1)
    profile = bits.take(8)
    bits.take(16)
    name = bits.number()
    chroma, depth, matrices, apart = 1, (8, 8), False, False
    if profile in _HIGH:
        chroma = bits.number()
        apart = chroma == 3 and bool(bits.take(1))
        depth = (8 + bits.number(), 8 + bits.number())
        matrices = bool(bits.take(1)) or bool(bits.take(1))
        if matrices:
            raise BadUnits("it scales by matrices of its own")
    number_bits = bits.number() + 4
    order, order_bits = bits.number(), 0
    if order == 0:
        order_bits = bits.number() + 4
    elif order == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.number()):
            bits.signed()
    references = bits.number()
    bits.take(1)
    size = (bits.number() + 1, bits.number() + 1)
    frames_only = bool(bits.take(1))
    return Sequence(
        name, profile, number_bits, order, order_bits, references, size, frames_only, chroma, depth, matrices, apart
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """What of a PPS a slice header needs."""

    name: int
    sequence: int
    cabac: bool
    order_present: bool
    active: tuple[int, int]
    weighted: bool
    weighted_both: int
    deblocking: bool
    redundant: bool


def picture(unit: bytes) -> Picture:
    """Read a PPS."""
    bits = Bits(unit, 1)
    name, sequence_name = bits.number(), bits.number()
    cabac, order_present = bool(bits.take(1)), bool(bits.take(1))
    if bits.number():
        raise BadUnits("it uses slice groups")
    active = (bits.number() + 1, bits.number() + 1)
    weighted, both = bool(bits.take(1)), bits.take(2)
    for _ in range(3):
        bits.signed()
    deblocking = bool(bits.take(1))
    bits.take(1)
    return Picture(name, sequence_name, cabac, order_present, active, weighted, both, deblocking, bool(bits.take(1)))


def pointed(unit: bytes, sequence_name: int) -> bytes:
    """A PPS that belongs to another SPS."""
    text = text_of(unit[1:])
    bits = Bits(unit, 1)
    name, old = bits.number(), bits.number()
    rest = text[len(code(name)) + len(code(old)) :]
    return unit[:1] + escaped(closed(code(name) + code(sequence_name) + rest))


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice header: the numbers of its picture, and how references are marked after it (as bits).

    `ends` are bits of the header: up to the number, from after the picture's order to the marking, the rest.
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


def header(unit: bytes, sequences: dict[int, Sequence], pictures: dict[int, Picture], *, whole: bool = True) -> Slice:
    """Read a slice; `whole` also its data, which is needed to write it again."""
    idr, reference = unit[0] & 31 == _FIVE, unit[0] >> 5 & 3
    part = unit if whole else unit[:400]
    bits = Bits(part, 1)
    bits.number()
    kind = bits.number() % 5
    about = pictures[bits.number()]
    over = sequences[about.sequence]
    if over.planes_apart or not over.frames_only or over.order == 1:
        raise BadUnits("its pictures are fields, or are numbered in a rare way")
    start_end = bits.at
    number = bits.take(over.number_bits)
    if idr:
        bits.number()
    order = bits.take(over.order_bits) if over.order == 0 else 0
    if over.order == 0 and about.order_present:
        bits.signed()
    middle_start = bits.at
    if about.redundant:
        bits.number()
    _references(bits, about, over, kind)
    middle_end = bits.at
    forgets = _forgets(bits, idr=idr) if reference else None
    marking_end = bits.at
    if about.cabac and kind not in {2, 4}:
        bits.number()
    bits.signed()
    if kind in {3, 4}:
        raise BadUnits("it has switching slices")
    if about.deblocking and bits.number() != 1:
        bits.signed()
        bits.signed()
    end = bits.at
    text = bits.text
    data: bytes | str = ""
    if whole:
        data = unescaped(unit)[1 + (end + 7) // 8 :] if about.cabac else text_of(unit[1:])[end:]
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
    """What a picture unmarks (7.3.3.3), by how many numbers before it; None where the oldest goes by itself."""
    if idr:
        bits.take(2)
        return None
    if not bits.take(1):
        return None
    forgets = []
    while operation := bits.number():
        if operation != 1:
            raise BadUnits("it keeps references for long")
        forgets.append(bits.number() + 1)
    return tuple(forgets)


def _references(bits: Bits, about: Picture, over: Sequence, kind: int) -> None:
    if kind == 1:
        bits.take(1)
    active = list(about.active)
    if kind in {0, 1, 3} and bits.take(1):
        active[0] = bits.number() + 1
        if kind == 1:
            active[1] = bits.number() + 1
    lists = {0: 1, 1: 2, 3: 1}.get(kind, 0)
    for _ in range(lists):
        if bits.take(1):
            while bits.number() != 3:
                bits.number()
    if (about.weighted and kind in {0, 3}) or (about.weighted_both == 1 and kind == 1):
        _weights(bits, active[:lists], (1, 2) if over.chroma else (1,))


def _weights(bits: Bits, active: list[int], planes: tuple[int, ...]) -> None:
    """pred_weight_table (7.3.3.2)."""
    for _ in planes:
        bits.number()
    for _ in range(sum(active)):
        for values in planes:
            if bits.take(1):
                for _ in range(2 * values):
                    bits.signed()


def written(
    slice_: Slice,
    over: Sequence,
    *,
    number: int,
    order: int,
    name: int = 0,
    like: Slice | None = None,
    marking: str = "",
) -> bytes:
    """The slice with another number and order under another sequence; `like` gives it another picture's place.

    `name` tells an IDR picture from the one before it; `marking` says otherwise what is forgotten after it.
    An IDR slice in the place of another picture becomes an ordinary intra one.
    """
    idr, reference, marking = slice_.idr, slice_.reference, marking or slice_.marking
    if like is not None:
        idr, reference, marking = False, like.reference, like.marking
    head = slice_.start + f"{number % (1 << over.number_bits):0{over.number_bits}b}"
    if idr:
        head += code(name)
    if over.order == 0:
        head += f"{order % (1 << over.order_bits):0{over.order_bits}b}"
    head += slice_.middle + marking + slice_.rest
    first = bytes([reference << 5 | (_FIVE if idr else 1)])
    if isinstance(slice_.data, str):
        return first + escaped(closed(head + slice_.data))
    head += "1" * (-len(head) % 8)
    return first + escaped(int(head, 2).to_bytes(len(head) // 8, "big") + slice_.data)


def known(sets: Sets) -> tuple[dict[int, Sequence], dict[int, Picture]]:
    """The parameter sets by their ids."""
    sequences = {one.name: one for one in map(sequence, sets.sps)}
    return sequences, {one.name: one for one in map(picture, sets.pps)}


def pictured(units: list[bytes]) -> list[bytes]:
    """The slices among units."""
    return [unit for unit in units if unit[0] & 31 in {1, _FIVE}]


def owner(unit: bytes) -> int:
    """The name of the PPS that a slice belongs to."""
    bits = Bits(unit[:64], 1)
    bits.number()
    bits.number()
    return bits.number()

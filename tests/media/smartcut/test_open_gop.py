"""How encoded frames continue into a keyframe of an open GOP: numbers, order and references."""

import pytest

from vidd.media.bitstream import nal, slice_header
from vidd.media.bitstream.nal import BadUnits, Bits
from vidd.media.smartcut.worker.open_gop import ReferenceMarking, References


def marking_of(number: int, order: int, leading: int, references: int = 2, held: tuple[int, ...] = (1,)):
    sps = slice_header.Sps(0, 100, 4, 0, 6, references, (6, 4), True, 1, (8, 8), False, False)
    return ReferenceMarking(number, order, leading, held), sps


@pytest.mark.parametrize(("number", "order", "leading"), [(3, 8, 1), (0, 0, 0), (15, 62, 3), (9, 34, 2)])
def test_a_head_is_numbered_so_that_the_keyframe_is_next(number, order, leading):
    marking, sps = marking_of(number, order, leading)
    count, orders = marking.frames_needed(sps), marking.orders(sps)
    assert count % 16 == number
    assert len(orders) == count
    assert orders[0] == 0
    assert orders == sorted(set(orders))
    assert (orders[-1] + 2 * (leading + 1)) % 64 == order


def test_a_head_forgets_what_the_source_had_forgotten():
    marking, sps = marking_of(10, 40, 0, references=4, held=(1, 2, 5))
    held: list[int] = []
    for at, operations in enumerate(marking.markings(sps)):
        if operations:
            bits = Bits(nal.to_bytes(operations), 0)
            assert bits.read(1) == 1
            while bits.read_ue():
                held.remove(at - bits.read_ue() - 1)
        held.append(at)
        assert len(held) <= 4
    assert sorted(marking.frames_needed(sps) - index for index in held) == [1, 2, 5]


def test_a_reference_from_before_the_head_cannot_be_held():
    marking, sps = marking_of(10, 40, 0, held=(1, 12))
    with pytest.raises(BadUnits):
        marking.markings(sps)


def test_references_slide_and_are_forgotten_as_the_standard_says():
    _, sps = marking_of(0, 0, 0)
    passing = References()

    def take(number: int, forgets: tuple[int, ...] | None = None, *, idr: bool = False) -> None:
        passing.take(slice_header.Slice(1, idr, 0, number, 0, "", forgets, "", "", "", ""), sps)

    take(0, idr=True)
    take(1)
    take(2)
    assert passing.ages(3, sps) == (2, 1)
    take(3, (2,))
    assert passing.ages(4, sps) == (2, 1)
    for number in (*range(4, 16), 0, 1):
        take(number)
    assert passing.ages(2, sps) == (2, 1)

"""How encoded frames continue into a keyframe of an open GOP: numbers, order and references."""

import pytest

from vidd.media.bitstream import nal, slice_header
from vidd.media.bitstream.nal import BadUnits, Bits
from vidd.media.smartcut.worker.open_gop import Meeting, References


def meeting(number: int, order: int, leading: int, references: int = 2, held: tuple[int, ...] = (1,)):
    over = slice_header.Sps(0, 100, 4, 0, 6, references, (6, 4), True, 1, (8, 8), False, False)
    return Meeting(number, order, leading, held), over


@pytest.mark.parametrize(("number", "order", "leading"), [(3, 8, 1), (0, 0, 0), (15, 62, 3), (9, 34, 2)])
def test_a_head_is_numbered_so_that_the_keyframe_is_next(number, order, leading):
    met, over = meeting(number, order, leading)
    count, orders = met.since(over), met.orders(over)
    assert count % 16 == number
    assert len(orders) == count
    assert orders[0] == 0
    assert orders == sorted(set(orders))
    assert (orders[-1] + 2 * (leading + 1)) % 64 == order


def test_a_head_forgets_what_the_source_had_forgotten():
    met, over = meeting(10, 40, 0, references=4, held=(1, 2, 5))
    held: list[int] = []
    for at, marking in enumerate(met.markings(over)):
        if marking:
            bits = Bits(nal.to_bytes(marking), 0)
            assert bits.read(1) == 1
            while bits.read_ue():
                held.remove(at - bits.read_ue() - 1)
        held.append(at)
        assert len(held) <= 4
    assert sorted(met.since(over) - one for one in held) == [1, 2, 5]


def test_a_reference_from_before_the_head_cannot_be_held():
    met, over = meeting(10, 40, 0, held=(1, 12))
    with pytest.raises(BadUnits):
        met.markings(over)


def test_references_slide_and_are_forgotten_as_the_standard_says():
    _, over = meeting(0, 0, 0)
    passing = References()

    def take(number: int, forgets: tuple[int, ...] | None = None, *, idr: bool = False) -> None:
        passing.take(slice_header.Slice(1, idr, 0, number, 0, "", forgets, "", "", "", ""), over)

    take(0, idr=True)
    take(1)
    take(2)
    assert passing.ages(3, over) == (2, 1)
    take(3, (2,))
    assert passing.ages(4, over) == (2, 1)
    for number in (*range(4, 16), 0, 1):
        take(number)
    assert passing.ages(2, over) == (2, 1)

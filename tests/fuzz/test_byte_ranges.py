"""Lists of byte ranges against sets of bytes, which cannot be wrong."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from vidd.model.byte_ranges import merge, split, subtract, total_size

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def bytes_of(ranges):
    return {at for start, end in ranges for at in range(start, end)}


@given(RANGES, RANGES)
def test_merged_ranges_hold_the_same_bytes_in_order_and_do_not_touch(first, second):
    found = merge(first, second)
    assert bytes_of(found) == bytes_of(first) | bytes_of(second)
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(found))
    assert total_size(found) == len(bytes_of(found))


@given(RANGES, st.integers(0, 10))
def test_a_gap_that_may_be_closed_is_closed_and_no_other(ranges, gap):
    found = merge(ranges, gap=gap)
    assert bytes_of(ranges) <= bytes_of(found)
    assert all(start - end > gap for (_, end), (start, _) in itertools.pairwise(found))


@given(RANGES, RANGES)
def test_what_is_missing_is_wanted_and_not_there(wanted, there):
    found = subtract(wanted, there)
    assert bytes_of(found) == bytes_of(wanted) - bytes_of(there)
    assert found == merge(found)


@given(RANGES.map(merge), st.integers(1, 20))
def test_pieces_are_the_same_bytes_and_none_is_longer(ranges, size):
    found = list(split(ranges, size))
    assert bytes_of(found) == bytes_of(ranges)
    assert all(0 < end - start <= size for start, end in found)

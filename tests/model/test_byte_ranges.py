import random

import pytest

from vidd.model.byte_ranges import merge, split, subtract, total_size


def test_stretches_that_touch_or_are_near_become_one():
    assert merge([(8, 9), (0, 3), (3, 5)], [(2, 4), (6, 6)]) == [(0, 5), (8, 9)]
    assert merge([(0, 5), (8, 9)], gap=3) == [(0, 9)]
    assert merge([(0, 9), (2, 3)]) == [(0, 9)]


@pytest.mark.parametrize(
    ("wanted", "there", "left"),
    [
        ([(0, 10)], [], [(0, 10)]),
        ([(0, 10)], [(0, 10)], []),
        ([(0, 10)], [(3, 5)], [(0, 3), (5, 10)]),
        ([(2, 8)], [(0, 3), (7, 20)], [(3, 7)]),
        ([(0, 4), (6, 9)], [(2, 7)], [(0, 2), (7, 9)]),
    ],
)
def test_what_is_missing_is_what_is_not_there(wanted, there, left):
    assert subtract(wanted, there) == left


def test_what_is_missing_and_what_is_there_make_up_what_was_wanted():
    chance = random.Random(3)

    def some():
        return [(at, at + chance.randrange(30)) for at in (chance.randrange(200) for _ in range(6))]

    for _ in range(300):
        wanted, there = some(), some()
        want = {byte for a, b in wanted for byte in range(a, b)}
        have = {byte for a, b in there for byte in range(a, b)}
        assert {byte for a, b in subtract(wanted, there) for byte in range(a, b)} == want - have


def test_pieces_are_no_larger_than_asked_and_leave_nothing_out():
    cut = list(split([(0, 10), (20, 21)], 4))
    assert cut == [(0, 4), (4, 8), (8, 10), (20, 21)]
    assert total_size(cut) == 11

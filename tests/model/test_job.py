import pytest
from builders.engine import START, job

from vidd.model.job import MEANING, MOVES, IllegalMove, State, new_id


def test_every_state_has_a_sentence_and_a_row_in_the_table():
    assert set(MEANING) == set(MOVES) == set(State)
    assert all(sentence.endswith(".") for sentence in MEANING.values())


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_only_the_moves_of_the_table_are_made(before, after):
    one = job(state=before)
    if after is before or after in MOVES[before]:
        assert one.evolve(state=after).state is after
    else:
        with pytest.raises(IllegalMove, match=f"{before} cannot become {after}"):
            one.evolve(state=after)
    assert one.state is before


def test_every_state_can_be_reached_from_seen():
    reached, edge = set(), {State.SEEN}
    while edge:
        reached |= edge
        edge = {after for before in edge for after in MOVES[before]} - reached
    assert reached == set(State)


def test_ids_sort_by_time_and_are_sixteen_easy_characters():
    ids = [new_id(START.replace(second=second)) for second in range(60)]
    assert ids == sorted(ids)
    assert all(len(one) == 16 and one.isalnum() and one == one.lower() for one in ids)


def test_ids_of_one_millisecond_and_of_a_clock_that_is_set_back_sort_by_arrival():
    ids = [new_id(START)]
    for step in range(1000):
        ids.append(new_id(START if step < 500 else START.replace(hour=3), ids[-1]))
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {16}

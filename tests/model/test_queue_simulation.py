import math
import random

import pytest

from vidd.model.queue_simulation import JobWork, PartWork, simulate

ENCODE, UPLOAD, FREE = ("encodes", "uploads", None)


def work(job, *parts, priority=0, **more):
    return JobWork(job, priority, [PartWork(pool, seconds) for pool, seconds in parts], **more)


def ends(*works, jobs=4, background=4, **pools):
    return simulate(works, jobs=jobs, background=background, pools={"encodes": 1, "uploads": 2, **pools})


def test_jobs_that_share_a_slot_end_one_after_the_other():
    assert ends(work("a", (ENCODE, 10)), work("b", (ENCODE, 20)), work("c", (ENCODE, 30))) == {
        "a": 10,
        "b": 30,
        "c": 60,
    }


def test_what_needs_other_slots_runs_beside_it():
    found = ends(work("a", (ENCODE, 10), (UPLOAD, 100)), work("b", (ENCODE, 10), (UPLOAD, 100)), work("c", (FREE, 5)))
    assert found == {"a": 110, "b": 120, "c": 5}


def test_no_more_jobs_run_than_may():
    assert ends(work("a", (FREE, 10)), work("b", (FREE, 10)), work("c", (FREE, 10)), jobs=2) == {
        "a": 10,
        "b": 10,
        "c": 20,
    }


def test_the_most_urgent_job_goes_first_and_one_that_runs_keeps_its_slot():
    works = work("a", (ENCODE, 10)), work("b", (ENCODE, 10), priority=5)
    assert ends(*works) == {"b": 10, "a": 20}
    running = work("a", (ENCODE, 10), running=True, started=True)
    assert ends(running, works[1]) == {"a": 10, "b": 20}


def test_few_jobs_of_low_priority_run_beside_others():
    low = [work(f"low{number}", (FREE, 10), priority=-1) for number in range(2)]
    assert ends(*low, work("z", (FREE, 10)), background=1) == {"z": 10, "low0": 10, "low1": 20}


def test_a_waiting_job_starts_at_its_time():
    assert ends(work("a", (ENCODE, 10), after=60), work("b", (ENCODE, 5))) == {"a": 70, "b": 5}


def test_nobody_knows_the_end_of_a_job_whose_part_never_ran_nor_of_those_behind_it():
    unknown = work("a", (ENCODE, math.inf), (UPLOAD, 1))
    assert ends(unknown, work("b", (ENCODE, 10)), work("c", (UPLOAD, 7))) == {"c": 7}
    assert ends(unknown, work("b", (ENCODE, 10)), encodes=2) == {"b": 10}


def test_a_job_with_nothing_left_ends_now():
    assert ends(work("a", running=True)) == {"a": 0}


@pytest.mark.parametrize("seed", range(5))
def test_no_end_is_before_a_jobs_own_work_and_the_last_not_before_the_work_of_a_slot(seed):
    chance = random.Random(seed)
    works = [
        work(
            f"{number:03}",
            *[(chance.choice([ENCODE, UPLOAD, FREE]), chance.uniform(0, 50)) for _ in range(chance.randrange(5))],
            priority=chance.randrange(-2, 3),
            after=chance.choice([0.0, 30.0]),
        )
        for number in range(60)
    ]
    found = ends(*works, jobs=7, background=3)
    assert found.keys() == {each.id for each in works}
    for each in works:
        assert found[each.id] >= each.after + sum(part.seconds for part in each.parts) - 1e-6
    encodes = sum(part.seconds for each in works for part in each.parts if part.pool == ENCODE)
    assert max(found.values()) >= encodes - 1e-6

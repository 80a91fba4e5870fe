from datetime import timedelta

from builders.engine import START

from vidd.model.retry import RetryRule, next_try

RULE = RetryRule(attempts=5, first=10, longest=60, total=1000, jitter=0.5)


def wait(attempt, *, chance=0.5, after=None, passed=0.0, rule=RULE):
    now = START + timedelta(seconds=passed)
    at = next_try(rule, attempt=attempt, since=START, now=now, after=after, chance=chance)
    return None if at is None else (at - now).total_seconds()


def test_the_wait_doubles_up_to_its_bound():
    assert [wait(attempt) for attempt in (1, 2, 3, 4)] == [10, 20, 40, 60]


def test_jitter_spreads_a_wait_around_its_middle():
    assert (wait(1, chance=0.0), wait(1, chance=1.0)) == (5, 15)


def test_the_other_sides_wish_is_kept_but_never_shortens():
    assert wait(1, after=3600) == 3600
    assert wait(3, after=1) == 40


def test_attempts_and_total_time_are_bounded():
    assert wait(5) is None
    assert wait(1, passed=999) is not None
    assert wait(1, passed=1000) is None


def test_a_large_attempt_does_not_overflow():
    assert wait(10_000, rule=RetryRule(attempts=1 << 30, longest=60, jitter=0)) == 60

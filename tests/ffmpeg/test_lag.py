"""How much later one piece of sound comes than another."""

import math
import random
from array import array

import pytest

from vidd.ffmpeg import lag


def beeps(seconds: float, every: float) -> array:
    """A tenth of a second of a tone at every stroke, and silence."""
    count = round(seconds * lag.RATE)
    return array("h", (round(8000 * math.sin(at * 0.8)) if at / lag.RATE % every < 0.1 else 0 for at in range(count)))


@pytest.mark.parametrize("late", [0, 90, 320])
def test_what_repeats_itself_is_found_where_it_should_be_and_not_a_stroke_away(late):
    source = beeps(3.2, 1.0)
    heard = source[8000 - late : 8000 - late + 9600]
    # An encoder makes the right place a little less like it than the wrong ones.
    for at in range(8000, 9000):
        source[at] = source[at] * (9 if at % 200 < 100 else 11) // 10
    found, strange = lag.sound_lag(heard, source, 8000)
    assert found == pytest.approx(late / lag.RATE, abs=0.001)
    assert not strange


def test_what_does_not_repeat_itself_is_found_far_off_too():
    chance = random.Random(1)
    loud = [chance.uniform(0, 9000) for _ in range(80)]
    source = array("h", (round(loud[at // 320] * math.sin(at * at * 1e-5)) for at in range(25600)))
    assert lag.sound_lag(source[3000:12600], source, 8000)[0] == pytest.approx(5000 / lag.RATE, abs=0.001)

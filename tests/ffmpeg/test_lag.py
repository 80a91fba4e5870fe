from random import Random

from vidd.ffmpeg.lag import RATE, sound_lag

SPEECH = [round(Random(at // 400).random() ** 3 * 12000 * (1 if at % 9 < 4 else -1)) for at in range(4 * RATE)]
STEPS = [9000 if at % RATE < 400 and at % 8 < 4 else -9000 if at % RATE < 400 else 0 for at in range(4 * RATE)]


def test_sound_that_comes_later_than_in_its_source_is_found_to_the_sample():
    assert sound_lag(SPEECH[RATE - 800 : 2 * RATE - 800], SPEECH, RATE) == (0.1, False)


def test_steps_that_return_each_second_are_where_they_should_be_and_not_one_further():
    for expected in (0, RATE, 2 * RATE):
        assert sound_lag(STEPS[:RATE], STEPS, expected) == (0.0, False)

"""How much later something is heard or seen."""

import math
import random

import pytest

from vidd.media.verify.worker import av_sync
from vidd.media.verify.worker.av_sync import RATE


def speech(seconds, seed):
    """Noise that comes and goes as syllables do."""
    chance, loud, made, before = random.Random(seed), 0.0, [], 0.0
    wanted = 0.0
    for number in range(int(seconds * RATE)):
        if number % 900 == 0:
            wanted = chance.choice([0.0, 0.2, 0.6, 1.0])
        loud += (wanted - loud) * 0.005
        before = 0.8 * before + chance.gauss(0, 3000)
        made.append(round(before * loud))
    return made


SOURCE = speech(4.0, 1)
PIECE = SOURCE[RATE : RATE + round(1.2 * RATE)]


@pytest.mark.parametrize("milliseconds", [0, 2, 20, 100, -100, 480])
def test_speech_is_found_to_the_sample(milliseconds):
    found, _ = av_sync.audio_lag(PIECE, SOURCE, RATE + milliseconds * RATE // 1000)
    assert found == pytest.approx(milliseconds / 1000, abs=0.0005)


def test_speech_at_another_volume_and_with_noise_in_it_is_found():
    chance = random.Random(2)
    changed = [round(sample * 0.1 + chance.gauss(0, 20)) for sample in PIECE]
    assert av_sync.audio_lag(changed, SOURCE, RATE)[0] == pytest.approx(0, abs=0.002)


def test_sound_whose_waves_were_made_up_anew_is_found_by_its_loudness():
    chance = random.Random(3)
    made_up = [abs(sample) * chance.choice([-1, 1]) for sample in PIECE]
    assert av_sync.audio_lag(made_up, SOURCE, RATE + 400)[0] == pytest.approx(0.05, abs=0.005)


def test_other_speech_is_like_nothing_in_the_source():
    assert av_sync.audio_lag(speech(1.2, 99), SOURCE, RATE) == (None, True)


def test_silence_tells_nothing():
    assert av_sync.audio_lag([0] * RATE, SOURCE, RATE) == (None, False)
    assert av_sync.audio_lag([], SOURCE, 0) == (None, False)
    assert av_sync.audio_lag(PIECE, [], 0) == (None, False)


def test_a_tone_can_only_be_told_to_be_where_it_should():
    tone = [round(8000 * math.sin(2 * math.pi * 440 * at / RATE)) for at in range(4 * RATE)]
    assert av_sync.audio_lag(tone[RATE : 2 * RATE], tone, RATE) == (0.0, False)
    found, _ = av_sync.audio_lag(tone[RATE : 2 * RATE], tone, RATE + 5)
    assert found == pytest.approx(0.0006, abs=0.0002)


def pictures(step):
    """A bright square that moves over a grey ground."""
    made = []
    for number in range(15):
        one = bytearray([60]) * (lag_cells := 64 * 36)
        for row in range(10, 20):
            one[row * 64 + step * number % 50 : row * 64 + step * number % 50 + 8] = b"\xc8" * 8
        assert len(one) == lag_cells
        made.append((number / 25, bytes(one)))
    return made


def test_a_picture_is_found_by_what_moves_in_it():
    there = pictures(2)
    assert av_sync.frame_lag(there[7][1], there, 7 / 25) == 0
    assert av_sync.frame_lag(there[7][1], there, 10 / 25) == pytest.approx(0.12)
    lighter = bytes(min(255, cell + 3) for cell in there[7][1])
    assert av_sync.frame_lag(lighter, there, 10 / 25) == pytest.approx(0.12)


def test_where_nothing_moves_a_picture_cannot_be_placed():
    there = pictures(0)
    assert av_sync.frame_lag(there[7][1], there, 10 / 25) is None
    assert av_sync.frame_lag(there[7][1], [], 0.0) is None


STEPS = [9000 * (1 if at % 8 < 4 else -1) if at % RATE < 400 else 0 for at in range(4 * RATE)]


@pytest.mark.parametrize("expected", [0, RATE, 2 * RATE])
def test_steps_that_return_each_second_are_where_they_should_be_and_not_one_further(expected):
    assert av_sync.audio_lag(STEPS[:RATE], STEPS, expected) == (0.0, False)


def test_a_tone_that_fades_is_not_taken_for_its_own_beginning():
    tone = [0] * 800 + [round(8000 * math.sin(2 * math.pi * 440 * at / RATE)) for at in range(3 * RATE)]
    fading = [round(one * min(1.0, 0.3 + at / RATE)) for at, one in enumerate(tone[RATE : 2 * RATE])]
    found, _ = av_sync.audio_lag(fading, tone, RATE)
    assert found == pytest.approx(0.0, abs=0.001)

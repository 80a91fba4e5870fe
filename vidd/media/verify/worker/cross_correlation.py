"""How much later one piece of sound, or one picture, comes than another. Pure; samples in, seconds out.

Sound is compared by its loudness curve first, which finds the place among many, and then wave by wave, which finds it
to the sample. Both are normalised, so that another volume does no harm.
"""

from __future__ import annotations

from itertools import accumulate
from math import sqrt
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE = 8000
"""Samples a second of the sound that is compared, mono."""
# Samples: the window of a loudness curve, its two steps, what waves are compared, and half of a low voice's wave.
_WINDOW, _COARSE, _FINE, _WAVES, _HALF_A_WAVE = 160, 32, 8, RATE // 2, 24
_FEWEST = 50
# What is nearly as like where it should be as it is this far off is not a shift.
_FAR, _AS_ALIKE = RATE // 4, 0.95
# A curve that swings by less than this share of its mean (a tone, a hum, noise) looks the same everywhere.
_FLAT = 0.12
# Of two different pieces of speech some second is always a little alike.
_ALIKE, _UNLIKE, _SURELY, _NEARLY = 0.8, 0.7, 0.7, 0.98
# Quieter than this (of 32768) is noise of two encoders rather than what is heard.
_FAINT = 20
# How much clearer the best picture must be than those further off: 1.0 would be a still.
_CLEARER, _BESIDE, _SAME = 1.25, 0.06, 1.1


def sound_lag(heard: Sequence[int], source: Sequence[int], expected: int) -> tuple[float | None, bool]:
    """Seconds by which `heard` comes later than in `source`, which has it at the sample `expected` if all is right.

    None where nothing is heard, where it sounds the same everywhere, or where nothing in `source` is like it; the
    second is true only in the last of these cases.
    """
    curve, within = _curve(heard, _COARSE), _curve(source, _COARSE)
    if len(curve) < _FEWEST or len(within) < len(curve) or sum(curve) / len(curve) < _FAINT * _WINDOW:
        return None, False
    here = max(0, min(len(within) - len(curve), expected // _COARSE))
    # Where a tone fades, what is heard swings though its source does not.
    if _is_flat(curve) or _is_flat(within[here : here + len(curve)]):
        return _of_a_tone(heard, source, expected), False
    likeness, last = _Likeness(curve, within), len(within) - len(curve)
    alike, best = likeness.best(range(last + 1))
    if alike < _ALIKE:
        return None, alike < _UNLIKE
    if abs(best * _COARSE - expected) > _FAR:
        # Steps, clapping and beeps are like themselves a moment later; then they are where they should be.
        close, near = likeness.best(_around(expected // _COARSE, 2, last))
        best = near if close >= alike * _AS_ALIKE else best
    curve, within = _curve(heard, _FINE), _curve(source, _FINE)
    around = _around(best * _COARSE // _FINE, 3 * _COARSE // _FINE, len(within) - len(curve))
    place = _Likeness(curve, within).best(around)[1] * _FINE
    # The waves of half a second are enough, and take a fraction of the time.
    skip = max(0, len(heard) - _WAVES) // 2
    surely, exact = _Likeness(heard[skip : skip + _WAVES], source[skip:]).best(
        _around(place, _HALF_A_WAVE, len(source) - len(heard))
    )
    # An encoder that makes up noise keeps its loudness and not its waves.
    return (expected - (exact if surely >= _SURELY else place)) / RATE, False


def _around(place: int, reach: int, last: int) -> range:
    return range(max(0, place - reach), min(last, place + reach) + 1)


def picture_lag(seen: bytes, source: Sequence[tuple[float, bytes]], expected: float) -> float | None:
    """Seconds by which a picture comes later than in `source` (time, thumbnail); None where it does not stand out."""
    apart = [(sum(abs(a - b) for a, b in zip(seen, one, strict=True)), time) for time, one in source]
    if not apart:
        return None
    best, place = min(apart)
    others = [value for value, time in apart if abs(time - place) > _BESIDE]
    if not others or min(others) < max(best, len(seen) / 8) * _CLEARER:
        return None
    # Neighbours may be as like it as two encodings are; then it is where it should be.
    alike = [time for value, time in apart if value <= best * _SAME and abs(time - place) <= _BESIDE]
    return min((expected - time for time in alike), key=abs)


def _curve(samples: Sequence[int], hop: int) -> list[int]:
    """How loud it is, over a window that is longer than a wave of a voice, every so many samples."""
    sums = [0, *accumulate(map(abs, samples))]
    return [sums[at + _WINDOW] - sums[at] for at in range(0, len(samples) - _WINDOW + 1, hop)]


def _is_flat(curve: Sequence[float]) -> bool:
    mean = sum(curve) / len(curve)
    return sqrt(sum((one - mean) ** 2 for one in curve) / len(curve)) < _FLAT * mean


def _of_a_tone(heard: Sequence[int], source: Sequence[int], expected: int) -> float | None:
    """A tone can be told to be where it should be, within its own period, and nothing else."""
    around = _around(expected, _COARSE, len(source) - len(heard))
    likeness = _Likeness(heard[:_WAVES], source)
    alike = [(likeness.at(place), place) for place in around]
    top = max(alike, default=(0.0, 0))[0]
    if top < _SURELY:
        return None
    return min(((expected - place) / RATE for value, place in alike if value > _NEARLY * top), key=abs)


class _Likeness:
    """Pearson's correlation of a piece with each part of a longer one, whose sums are made once."""

    def __init__(self, one: Sequence[float], other: Sequence[int]) -> None:
        self._one, self._other, self._length = one, other, len(one)
        self._sums = [0, *accumulate(other)]
        self._squares = [0, *accumulate(map(mul, other, other))]
        self._mean = sum(one) / max(1, self._length)
        self._spread = sum(map(mul, one, one)) / max(1, self._length) - self._mean**2

    def at(self, place: int) -> float:
        """1: the same, 0: nothing in common."""
        length, end = self._length, place + self._length
        its = (self._sums[end] - self._sums[place]) / length
        spread = self._spread * ((self._squares[end] - self._squares[place]) / length - its**2)
        product = sum(map(mul, self._one, self._other[place:end])) / length - self._mean * its
        return product / sqrt(spread) if spread > 0 else 0.0

    def best(self, places: range) -> tuple[float, int]:
        """How well it fits at best, and where."""
        return max(((self.at(place), place) for place in places), default=(0.0, 0))

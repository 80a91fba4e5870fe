"""Whether sound and picture still belong together: what a file holds, compared with the source it was made of.

Sound is found in the source by what is heard. A picture is found by its packet where that was copied, else by what is
seen where something moves, else by its time alone. Audio is compared by its loudness curve first, which finds the
place among many, and then wave by wave, which finds it to the sample. Both are normalised, so that another volume
does no harm.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from contextlib import suppress
from itertools import accumulate
from math import sqrt
from operator import mul
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import av
from av.audio.resampler import AudioResampler

from vidd.media.probe.worker.reader import EXACT_CONTAINERS, opened, picture_streams
from vidd.media.verify.worker.thumbnail import thumbnails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from av.container import InputContainer

# Seconds of sound that are compared at a point, and how far off they are looked for.
_PIECE, _REACH = 1.2, 1.0
# How far from a point pictures are compared, and how far off one is looked for by what is seen.
_NEAR, _FURTHER = 0.5, 0.3
# How far from a point its nearest keyframe may be: encoders set one every ten seconds, if nothing else asks for it.
_KEY_NEAR = 15.0
_LEAST = 0.25
# Points closer than this are one.
_TOGETHER = 0.6
_ENOUGH, _FAINTEST = 3, 0.1
_SHORTEST = 16
# What a resampler holds back; more is a hole in the sound.
_LOOSE = 0.03

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


def offsets(
    path: Path, name: str, origin: Mapping[str, Any], points: Sequence[float], keys: Sequence[tuple[float, bytes]]
) -> dict[str, Any]:
    """At each of `points` (seconds of the result): how much later than in the source sound and picture come there.

    `origin` has the source's `path`, its `start` (seconds), where in the result that is (`at`) and ends (`end`), and
    how long it is faded there (`fade`). `keys` are thumbnails of the result's keyframes (time, thumbnail). `lost` says
    that sound was heard that is nowhere there.
    """
    with opened(path, name) as made, opened(Path(origin["path"]), name) as source:
        for stream in picture_streams(source):
            stream.codec_context.options = {"skip_loop_filter": "all"}
            stream.codec_context.thread_count = 1
        pair = _Pair(made, source, origin)
        lit = [key for key in keys if pair.gain(key[0]) >= 1]
        found, unlike = [], []
        for point in _apart(points):
            sound, strange = pair.sound(point)
            picture, by = pair.picture(point, lit)
            unlike.append(strange)
            found.append({"at": point, "sound": sound, "picture": picture, "by": by})
        lost = sum(unlike) > 1 and all(one["sound"] is None for one in found)
        return {"offset": found, "lost": lost}


def _apart(points: Sequence[float]) -> list[float]:
    kept: list[float] = []
    for point in sorted(points):
        if not kept or point - kept[-1] >= _TOGETHER:
            kept.append(point)
    return kept


class _Pair:
    """A result and its source; `origin` as for `offsets`."""

    def __init__(self, made: InputContainer, source: InputContainer, origin: Mapping[str, Any]) -> None:
        self._made, self._source, self._origin = made, source, origin
        self._shift = float(origin["start"] - origin["at"])
        self._known: dict[float, float | None] = {}

    def gain(self, time: float) -> float:
        """How far the fades let sound and picture through: 0 outside of what the source has, 1 where nothing fades."""
        since, left, fade = time - self._origin["at"], self._origin["end"] - time, self._origin["fade"]
        if min(since, left) < 0:
            return 0.0
        return min(1.0, since / fade, left / fade) if fade else 1.0

    def sound(self, point: float) -> tuple[float | None, bool]:
        """By how much the first track comes later; whether it is like nothing in the source."""
        heard = _samples(self._made, point, point + _PIECE)
        if min(self.gain(point), self.gain(point + _PIECE)) < 1:
            # Other volumes do no harm to a comparison, but volumes that change do.
            gains = [max(_FAINTEST, self.gain(point + at / RATE)) for at in range(len(heard))]
            heard = array("l", (round(one / gain) for one, gain in zip(heard, gains, strict=True)))
        if len(heard) < _LEAST * RATE:
            return None, False
        begin = max(0.0, point + self._shift - _REACH)
        there = _samples(self._source, begin, point + self._shift + _PIECE + _REACH)
        return sound_lag(heard, there, round((point + self._shift - begin) * RATE))

    def picture(self, point: float, keys: Sequence[tuple[float, bytes]]) -> tuple[float | None, str]:
        """By how much pictures here come later, and how that was found out: packets, seen, times."""
        mine, theirs = _packets(self._made, point), _packets(self._source, point + self._shift)
        # AVI and its like do not say when a picture is shown; what is made up instead is another thing after each seek.
        sure = self._source.format.name.split(",")[0] in EXACT_CONTAINERS
        here, there = _once(mine), _once(theirs)
        same = [time + self._shift - there[digest] for digest, time in here.items() if digest in there]
        if sure and len(same) >= _ENOUGH:
            return median(same), "packets"
        key = min(keys, key=lambda one: abs(one[0] - point), default=None)
        if sure and key is not None and abs(key[0] - point) < _KEY_NEAR and (seen := self._seen(*key)) is not None:
            return seen, "seen"
        nearest = [min((time + self._shift - other for other, _ in theirs), key=abs) for time, _ in mine if theirs]
        return (median(nearest), "times") if nearest else (None, "times")

    def _seen(self, time: float, picture: bytes) -> float | None:
        if time not in self._known:
            at = time + self._shift
            there = list(thumbnails(self._source, picture_streams(self._source)[0], at - _FURTHER, at + _FURTHER))
            self._known[time] = picture_lag(picture, there, at)
        return self._known[time]


def _begin(container: InputContainer) -> float:
    return (container.start_time or 0) / av.time_base


def _seek(container: InputContainer, seconds: float, stream: Any) -> None:
    at = max(0.0, seconds) + _begin(container)
    with suppress(av.FFmpegError):
        container.seek(int(at / stream.time_base), stream=stream, backward=True)


def _samples(container: InputContainer, begin: float, end: float) -> array[int]:
    """The first track's sound between two times, mono; silence where there is none."""
    streams = [audio_stream for audio_stream in container.streams.audio if audio_stream.codec_context is not None]
    found = array("h", bytes(2 * max(0, round((end - begin) * RATE))))
    if not streams:
        return found[:0]
    stream, resampler = streams[0], AudioResampler("s16", "mono", RATE)
    stream.codec_context.flush_buffers()
    # A codec needs a packet or two before the first to be right.
    _seek(container, begin - 0.2, stream)
    place: int | None = None
    for packet in container.demux(stream):
        if packet.pts is not None and float(packet.pts * packet.time_base) - _begin(container) > end:
            break
        with suppress(av.FFmpegError):
            for frame in packet.decode():
                at = ((frame.time or 0.0) - _begin(container) - begin) * RATE
                if place is None or abs(at - place) > _LOOSE * RATE:
                    place = round(at)
                frame.pts = None
                for audio_frame in resampler.resample(frame):
                    place = _written(found, array("h", bytes(audio_frame.planes[0])[: 2 * audio_frame.samples]), place)
    return found[: max(0, place or 0)]


def _written(into: array[int], piece: array[int], place: int) -> int:
    """Put a piece where it belongs, as far as that is inside; returns where the next one goes."""
    first, last = max(0, place), min(len(into), place + len(piece))
    if first < last:
        into[first:last] = piece[first - place : last - place]
    return place + len(piece)


def _once(packets: Sequence[tuple[float, int | None]]) -> dict[int, float]:
    """The times of those that are like no other: pictures in which nothing moves may have the same bytes."""
    times = Counter(digest for _, digest in packets)
    return {digest: time for time, digest in packets if digest is not None and times[digest] == 1}


def _packets(container: InputContainer, at: float) -> list[tuple[float, int | None]]:
    """(time, sum of the bytes) of the pictures around a time; no sum of those too short to be told apart."""
    stream = picture_streams(container)[0]
    _seek(container, at - _NEAR, stream)
    found = []
    for packet in container.demux(stream):
        if packet.pts is None or packet.is_discard:
            continue
        time = float(packet.pts * packet.time_base) - _begin(container)
        if abs(time - at) <= _NEAR:
            found.append((time, zlib.crc32(bytes(packet)) if packet.size >= _SHORTEST else None))
        if packet.dts is not None and float(packet.dts * packet.time_base) - _begin(container) > at + _NEAR:
            break
    return found


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

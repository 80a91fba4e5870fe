"""Measures whether audio and video are in sync as they are in the source that a file was made of.

Audio is found in the source by cross-correlation. A frame is found by its packet if that was copied, else by its
thumbnail if something moves, else by its time alone. Audio is compared by its loudness curve first, which finds the
place among many, and then sample by sample. Both are normalised, so that another volume does no harm.
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

from vidd.media.probe.worker.reader import EXACT_CONTAINERS, open_media, video_streams
from vidd.media.verify.worker.thumbnail import thumbnails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from av.container import InputContainer

# Seconds of audio that are compared at a point, how far off they are searched, and the least that is enough.
_COMPARED, _REACH, _LEAST_COMPARED = 1.2, 1.0, 0.25
# Seconds around a point in which packets are compared, and how far off a thumbnail is searched.
_NEAR, _THUMBNAIL_REACH = 0.5, 0.3
# How far from a point its nearest keyframe may be: encoders set one every ten seconds unless told otherwise.
_KEYFRAME_REACH = 15.0
# Points closer than this (seconds) are one.
_SAME_POINT = 0.6
# How many packets must be the same, and how small (bytes) a packet may be to be told from others.
_LEAST_SAME_PACKETS, _LEAST_PACKET_BYTES = 3, 16
# The least gain of a fade that is undone.
_LEAST_GAIN = 0.1
# Seconds that a resampler holds back; more is a hole in the audio.
_RESAMPLER_DELAY = 0.03

RATE = 8000
"""Samples a second of the audio that is compared, mono."""
# Samples: the window of a loudness curve, its two steps, how many are compared one by one, and half of a low voice's wave.
_WINDOW, _COARSE, _FINE, _SAMPLES, _HALF_A_WAVE = 160, 32, 8, RATE // 2, 24
_LEAST_CURVE = 50
# A place this far off must correlate clearly better than the expected one.
_FAR, _AS_GOOD = RATE // 4, 0.95
# A curve that swings by less than this share of its mean (a tone, a hum, noise) looks the same everywhere.
_FLAT = 0.12
# Correlations: of curves that are the same, that have nothing in common, and of samples that are the same. Of two
# different pieces of speech some second is always a little alike.
_SAME_CURVE, _OTHER_CURVE, _SAME_SAMPLES = 0.8, 0.7, 0.7
_NEARLY_BEST = 0.98
# Quieter than this (of 32768) is the noise of two encoders.
_FAINT = 20
# How much clearer the best frame must be than those further than `_BESIDE` seconds off (1.0 would be a frozen video),
# and how much worse one beside it may be to be as good.
_CLEARER, _BESIDE, _SAME_FRAME = 1.25, 0.06, 1.1


def measure_sync(
    path: Path, name: str, origin: Mapping[str, Any], points: Sequence[float], keys: Sequence[tuple[float, bytes]]
) -> dict[str, Any]:
    """At each of `points` (seconds of the result): how much later than in the source audio and video come (`offset`).

    `origin` has the source's `path`, its `start` (seconds), where in the result that is (`at`) and ends (`end`), and
    how long it is faded there (`fade`). `keys` are thumbnails of the result's keyframes (time, thumbnail). `lost` says
    that the result's audio is nowhere in the source. Refused if the source cannot be read.
    """
    with open_media(path, name) as result, open_media(Path(origin["path"]), name) as source:
        for stream in video_streams(source):
            stream.codec_context.options = {"skip_loop_filter": "all"}
            stream.codec_context.thread_count = 1
        comparison = _Comparison(result, source, origin)
        unfaded = [(time, thumbnail) for time, thumbnail in keys if comparison.gain(time) >= 1]
        rows, foreign = [], []
        for point in _distinct(points):
            audio, is_foreign = comparison.audio_lag(point)
            video, method = comparison.video_lag(point, unfaded)
            foreign.append(is_foreign)
            # The keys of the stored record.
            rows.append({"at": point, "sound": audio, "picture": video, "by": method})
        return {"offset": rows, "lost": sum(foreign) > 1 and all(row["sound"] is None for row in rows)}


def _distinct(points: Sequence[float]) -> list[float]:
    distinct: list[float] = []
    for point in sorted(points):
        if not distinct or point - distinct[-1] >= _SAME_POINT:
            distinct.append(point)
    return distinct


class _Comparison:
    """A result and its source; `origin` as for `measure_sync`."""

    def __init__(self, result: InputContainer, source: InputContainer, origin: Mapping[str, Any]) -> None:
        self._result, self._source, self._origin = result, source, origin
        self._shift = float(origin["start"] - origin["at"])
        self._lags: dict[float, float | None] = {}

    def gain(self, time: float) -> float:
        """The gain of the fades at a time: 0 outside of what the source has, 1 where nothing fades."""
        since, left, fade = time - self._origin["at"], self._origin["end"] - time, self._origin["fade"]
        if min(since, left) < 0:
            return 0.0
        return min(1.0, since / fade, left / fade) if fade else 1.0

    def audio_lag(self, point: float) -> tuple[float | None, bool]:
        """By how many seconds the first track comes later; whether it is like nothing in the source."""
        result = _samples(self._result, point, point + _COMPARED)
        if min(self.gain(point), self.gain(point + _COMPARED)) < 1:
            # Another volume does no harm to a comparison, but one that changes does.
            gains = [max(_LEAST_GAIN, self.gain(point + index / RATE)) for index in range(len(result))]
            result = array("l", (round(sample / gain) for sample, gain in zip(result, gains, strict=True)))
        if len(result) < _LEAST_COMPARED * RATE:
            return None, False
        begin = max(0.0, point + self._shift - _REACH)
        source = _samples(self._source, begin, point + self._shift + _COMPARED + _REACH)
        return audio_lag(result, source, round((point + self._shift - begin) * RATE))

    def video_lag(self, point: float, keys: Sequence[tuple[float, bytes]]) -> tuple[float | None, str]:
        """By how many seconds the result's frames come later, and how that was found out: packets, seen (thumbnails), times."""
        result, source = _packets(self._result, point), _packets(self._source, point + self._shift)
        # AVI and its like do not say when a frame is shown, and what is made up instead differs after each seek.
        exact = self._source.format.name.split(",")[0] in EXACT_CONTAINERS
        unique_result, unique_source = _unique(result), _unique(source)
        same = [
            time + self._shift - unique_source[checksum]
            for checksum, time in unique_result.items()
            if checksum in unique_source
        ]
        if exact and len(same) >= _LEAST_SAME_PACKETS:
            return median(same), "packets"
        key = min(keys, key=lambda key: abs(key[0] - point), default=None)
        if exact and key is not None and abs(key[0] - point) < _KEYFRAME_REACH:
            lag = self._keyframe_lag(*key)
            if lag is not None:
                return lag, "seen"
        nearest = [min((time + self._shift - other for other, _ in source), key=abs) for time, _ in result if source]
        return (median(nearest), "times") if nearest else (None, "times")

    def _keyframe_lag(self, time: float, thumbnail: bytes) -> float | None:
        if time not in self._lags:
            at = time + self._shift
            stream = video_streams(self._source)[0]
            around = list(thumbnails(self._source, stream, at - _THUMBNAIL_REACH, at + _THUMBNAIL_REACH))
            self._lags[time] = frame_lag(thumbnail, around, at)
        return self._lags[time]


def _begin(container: InputContainer) -> float:
    return (container.start_time or 0) / av.time_base


def _seek(container: InputContainer, seconds: float, stream: Any) -> None:
    at = max(0.0, seconds) + _begin(container)
    with suppress(av.FFmpegError):
        container.seek(int(at / stream.time_base), stream=stream, backward=True)


def _samples(container: InputContainer, begin: float, end: float) -> array[int]:
    """The first track's audio between two times, mono; silence where there is none."""
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    samples = array("h", bytes(2 * max(0, round((end - begin) * RATE))))
    if not streams:
        return samples[:0]
    stream, resampler = streams[0], AudioResampler("s16", "mono", RATE)
    stream.codec_context.flush_buffers()
    # A codec needs a packet or two before the first to be right.
    _seek(container, begin - 0.2, stream)
    index: int | None = None
    for packet in container.demux(stream):
        if packet.pts is not None and float(packet.pts * packet.time_base) - _begin(container) > end:
            break
        with suppress(av.FFmpegError):
            for frame in packet.decode():
                at = ((frame.time or 0.0) - _begin(container) - begin) * RATE
                if index is None or abs(at - index) > _RESAMPLER_DELAY * RATE:
                    index = round(at)
                frame.pts = None
                for resampled in resampler.resample(frame):
                    part = array("h", bytes(resampled.planes[0])[: 2 * resampled.samples])
                    index = _insert(samples, part, index)
    return samples[: max(0, index or 0)]


def _insert(samples: array[int], part: array[int], index: int) -> int:
    """Overwrite samples from an index on, as far as they reach; returns the index after the part."""
    first, last = max(0, index), min(len(samples), index + len(part))
    if first < last:
        samples[first:last] = part[first - index : last - index]
    return index + len(part)


def _unique(packets: Sequence[tuple[float, int | None]]) -> dict[int, float]:
    """The times of packets that are like no other, by their checksums; frames without movement may have the same bytes."""
    counts = Counter(checksum for _, checksum in packets)
    return {checksum: time for time, checksum in packets if checksum is not None and counts[checksum] == 1}


def _packets(container: InputContainer, at: float) -> list[tuple[float, int | None]]:
    """(time, checksum) of the video packets around a time; no checksum of those too small to be told apart."""
    stream = video_streams(container)[0]
    _seek(container, at - _NEAR, stream)
    found = []
    for packet in container.demux(stream):
        if packet.pts is None or packet.is_discard:
            continue
        time = float(packet.pts * packet.time_base) - _begin(container)
        if abs(time - at) <= _NEAR:
            found.append((time, zlib.crc32(bytes(packet)) if packet.size >= _LEAST_PACKET_BYTES else None))
        if packet.dts is not None and float(packet.dts * packet.time_base) - _begin(container) > at + _NEAR:
            break
    return found


def audio_lag(samples: Sequence[int], source: Sequence[int], expected: int) -> tuple[float | None, bool]:
    """Seconds by which `samples` come later than in `source`, which has them at the index `expected` if all is right.

    None if they are silent, sound the same everywhere, or are like nothing in `source`; the second value is true only
    in the last case.
    """
    curve, within = _loudness_curve(samples, _COARSE), _loudness_curve(source, _COARSE)
    if len(curve) < _LEAST_CURVE or len(within) < len(curve) or sum(curve) / len(curve) < _FAINT * _WINDOW:
        return None, False
    start = max(0, min(len(within) - len(curve), expected // _COARSE))
    # A tone that fades swings though its source does not.
    if _is_flat(curve) or _is_flat(within[start : start + len(curve)]):
        return _tone_lag(samples, source, expected), False
    correlation, last = _Correlation(curve, within), len(within) - len(curve)
    best, index = correlation.best(range(last + 1))
    if best < _SAME_CURVE:
        return None, best < _OTHER_CURVE
    if abs(index * _COARSE - expected) > _FAR:
        # Steps, clapping and beeps are like themselves a moment later; then they are where they are expected.
        near_best, near = correlation.best(_around(expected // _COARSE, 2, last))
        index = near if near_best >= best * _AS_GOOD else index
    curve, within = _loudness_curve(samples, _FINE), _loudness_curve(source, _FINE)
    around = _around(index * _COARSE // _FINE, 3 * _COARSE // _FINE, len(within) - len(curve))
    place = _Correlation(curve, within).best(around)[1] * _FINE
    # Half a second of samples is enough, and takes a fraction of the time.
    skip = max(0, len(samples) - _SAMPLES) // 2
    best, exact = _Correlation(samples[skip : skip + _SAMPLES], source[skip:]).best(
        _around(place, _HALF_A_WAVE, len(source) - len(samples))
    )
    # An encoder that makes up noise keeps its loudness and not its samples.
    return (expected - (exact if best >= _SAME_SAMPLES else place)) / RATE, False


def frame_lag(thumbnail: bytes, source: Sequence[tuple[float, bytes]], expected: float) -> float | None:
    """Seconds by which a frame comes later than in `source` (time, thumbnail); None if it does not stand out there."""
    distances = [(sum(abs(a - b) for a, b in zip(thumbnail, other, strict=True)), time) for time, other in source]
    if not distances:
        return None
    best, place = min(distances)
    others = [distance for distance, time in distances if abs(time - place) > _BESIDE]
    if not others or min(others) < max(best, len(thumbnail) / 8) * _CLEARER:
        return None
    # Neighbours may be as like it as two encodings of one frame are; then it is where it is expected.
    as_good = [time for distance, time in distances if distance <= best * _SAME_FRAME and abs(time - place) <= _BESIDE]
    return min((expected - time for time in as_good), key=abs)


def _around(index: int, reach: int, last: int) -> range:
    return range(max(0, index - reach), min(last, index + reach) + 1)


def _loudness_curve(samples: Sequence[int], step: int) -> list[int]:
    """The loudness over a window that is longer than a wave of a voice, every `step` samples."""
    sums = [0, *accumulate(map(abs, samples))]
    return [sums[index + _WINDOW] - sums[index] for index in range(0, len(samples) - _WINDOW + 1, step)]


def _is_flat(curve: Sequence[float]) -> bool:
    mean = sum(curve) / len(curve)
    return sqrt(sum((level - mean) ** 2 for level in curve) / len(curve)) < _FLAT * mean


def _tone_lag(samples: Sequence[int], source: Sequence[int], expected: int) -> float | None:
    """The lag of a tone, which is known only within its own period."""
    correlation = _Correlation(samples[:_SAMPLES], source)
    values = [(correlation.at(index), index) for index in _around(expected, _COARSE, len(source) - len(samples))]
    best = max(values, default=(0.0, 0))[0]
    if best < _SAME_SAMPLES:
        return None
    return min(((expected - index) / RATE for value, index in values if value > _NEARLY_BEST * best), key=abs)


class _Correlation:
    """Pearson's correlation of a part with each part of a longer series, whose sums are computed once."""

    def __init__(self, part: Sequence[float], series: Sequence[int]) -> None:
        self._part, self._series, self._length = part, series, len(part)
        self._sums = [0, *accumulate(series)]
        self._squares = [0, *accumulate(map(mul, series, series))]
        self._mean = sum(part) / max(1, self._length)
        self._variance = sum(map(mul, part, part)) / max(1, self._length) - self._mean**2

    def at(self, index: int) -> float:
        """1: the same, 0: nothing in common."""
        length, end = self._length, index + self._length
        mean = (self._sums[end] - self._sums[index]) / length
        variances = self._variance * ((self._squares[end] - self._squares[index]) / length - mean**2)
        covariance = sum(map(mul, self._part, self._series[index:end])) / length - self._mean * mean
        return covariance / sqrt(variances) if variances > 0 else 0.0

    def best(self, indices: range) -> tuple[float, int]:
        """The best correlation, and where it is."""
        return max(((self.at(index), index) for index in indices), default=(0.0, 0))

"""Sound tracks, decoded once: how loud they are, and where they are silent. Runs in a child; never imported by the daemon."""

from __future__ import annotations

from contextlib import suppress
from math import log10
from typing import TYPE_CHECKING, Any

import av
from av.audio.resampler import AudioResampler
from av.filter import Graph

from vidd.media.verify import runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream

# EBU Tech 3341: the momentary loudness is that of the last 0.4 s, told ten times a second.
_WINDOW = 0.4
_LEVEL = "lavfi.r128.M"
_HOLE = 0.1
_NOTHING_HEARD = -70.0


class Heard:
    """One track. Feed it `take`, in order, then ask for its `loudness` (EBU R128) and where it is `silent`."""

    def __init__(self, stream: AudioStream, begin: float) -> None:
        self.stream, self._begin = stream, begin
        stream.codec_context.thread_count = 1
        self._graph: Graph | None = None
        self._shape: tuple[Any, ...] = ()
        self._like: tuple[Any, ...] = ()
        self._resampler: AudioResampler | None = None
        self._levels: list[tuple[float, float]] = []
        self._gaps: list[tuple[float, float]] = []
        self._last: dict[str, str] = {}
        self._pushed, self._pulled, self._shift, self._end = 0.0, 0.0, 0.0, 0.0

    def take(self, frames: Iterable[Any]) -> None:
        """The next decoded pieces."""
        for frame in frames:
            self._place(frame)
            fit = self._fitted(frame)
            if self._graph is None:
                self._graph = self._made(frame)
            for audio_frame in fit:
                audio_frame.pts = None
                self._graph.push(audio_frame)
                self._pushed += audio_frame.samples / audio_frame.sample_rate
        # Asking after each piece would cost as much as the measuring.
        if self._pushed - self._pulled > 1:
            self._pull()

    def _place(self, frame: AudioFrame) -> None:
        """The measuring counts samples, so a hole in the sound must be added to its time."""
        time = self._end if frame.time is None else frame.time - self._begin
        if time - self._end > _HOLE:
            self._pull()
            self._gaps.append((self._end, time))
            self._shift += time - self._end
        self._end = max(self._end, time + frame.samples / frame.sample_rate)

    def _fitted(self, frame: AudioFrame) -> list[AudioFrame]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        self._like = self._like or shape
        if shape == self._like:
            return [frame]
        if shape != self._shape:
            self._shape, self._resampler = shape, AudioResampler(*self._like)
        return self._resampler.resample(frame) if self._resampler else []

    @staticmethod
    def _made(frame: AudioFrame) -> Graph:
        graph = Graph()
        graph.threads = 1
        source = graph.add_abuffer(sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout)
        meter = graph.add("ebur128", "metadata=1:peak=sample:framelog=quiet")
        graph.link_nodes(source, meter, graph.add("abuffersink")).configure()
        return graph

    def _pull(self) -> None:
        while self._graph is not None:
            try:
                frame: Any = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            self._pulled += frame.samples / frame.sample_rate
            # The last one may be too short for a level.
            if _LEVEL in frame.metadata:
                self._last = frame.metadata
                self._levels.append((self._pulled + self._shift, float(self._last[_LEVEL])))

    def close(self) -> None:
        """No more comes."""
        if self._graph is not None:
            with suppress(av.EOFError):
                self._graph.push(None)
            self._pull()

    def loudness(self) -> dict[str, float] | None:
        """`integrated` (LUFS), `range` (LU), `peak` of the samples (dBFS); None where nothing was heard at all."""
        if not self._last:
            return None
        peak = float(self._last.get("lavfi.r128.sample_peak", 0.0))
        return {
            "integrated": round(max(_NOTHING_HEARD, float(self._last["lavfi.r128.I"])), 1),
            "range": round(float(self._last["lavfi.r128.LRA"]), 1),
            "peak": round(decibels(peak), 1),
        }

    def silent(self, end: float) -> list[runs.Stretch]:
        """Where nothing is heard, up to the picture's `end`."""
        found = sorted([*runs.silent(self._levels, _WINDOW, max(end, self._end)), *self._gaps])
        joined: list[list[float]] = []
        for first, last in found:
            if joined and first <= joined[-1][1] + _HOLE:
                joined[-1][1] = max(last, joined[-1][1])
            else:
                joined.append([first, last])
        return [(first, last) for first, last in joined if last - first >= 1.0]


def decibels(level: float) -> float:
    """A level, 1.0 being full scale, in dBFS; -120 for nothing."""
    return max(-120.0, 20 * log10(level)) if level > 0 else -120.0

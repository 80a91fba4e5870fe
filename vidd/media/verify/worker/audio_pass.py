"""Measures how loud an audio track is and where it is silent, decoding it once."""

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

# EBU Tech 3341: the momentary loudness is that of the last 0.4 s, given ten times a second.
_WINDOW = 0.4
_LEVEL = "lavfi.r128.M"
_HOLE, _LEAST_SILENCE = 0.1, 1.0
# The gate of EBU R128.
_GATE = -70.0


class AudioPass:
    """One track: give its frames to `take`, in order, then ask for its `loudness` (EBU R128) and where it is `silent`."""

    def __init__(self, stream: AudioStream, begin: float) -> None:
        self.stream, self._begin = stream, begin
        stream.codec_context.thread_count = 1
        self._graph: Graph | None = None
        # Format, layout and rate of the first frame, to which others are resampled, and of the last of those.
        self._shape: tuple[Any, ...] = ()
        self._other_shape: tuple[Any, ...] = ()
        self._resampler: AudioResampler | None = None
        self._levels: list[tuple[float, float]] = []
        self._gaps: list[tuple[float, float]] = []
        self._last: dict[str, str] = {}
        self._pushed, self._pulled, self._shift, self._end = 0.0, 0.0, 0.0, 0.0

    def take(self, frames: Iterable[Any]) -> None:
        """Take the next decoded frames."""
        for frame in frames:
            self._note_time(frame)
            resampled = self._resample(frame)
            if self._graph is None:
                self._graph = self._make_graph(frame)
            for audio_frame in resampled:
                audio_frame.pts = None
                self._graph.push(audio_frame)
                self._pushed += audio_frame.samples / audio_frame.sample_rate
        # Pulling after each frame would cost as much as the measuring.
        if self._pushed - self._pulled > 1:
            self._pull()

    def _note_time(self, frame: AudioFrame) -> None:
        """The filter counts samples, so the length of a hole in the audio must be added to its times."""
        time = self._end if frame.time is None else frame.time - self._begin
        if time - self._end > _HOLE:
            self._pull()
            self._gaps.append((self._end, time))
            self._shift += time - self._end
        self._end = max(self._end, time + frame.samples / frame.sample_rate)

    def _resample(self, frame: AudioFrame) -> list[AudioFrame]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        self._shape = self._shape or shape
        if shape == self._shape:
            return [frame]
        if shape != self._other_shape:
            self._other_shape, self._resampler = shape, AudioResampler(*self._shape)
        return self._resampler.resample(frame) if self._resampler else []

    @staticmethod
    def _make_graph(frame: AudioFrame) -> Graph:
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
            # The last frame may be too short for a level.
            if _LEVEL in frame.metadata:
                self._last = frame.metadata
                self._levels.append((self._pulled + self._shift, float(self._last[_LEVEL])))

    def close(self) -> None:
        """Measure what is left; no more frames come."""
        if self._graph is not None:
            with suppress(av.EOFError):
                self._graph.push(None)
            self._pull()

    def loudness(self) -> dict[str, float] | None:
        """`integrated` (LUFS), `range` (LU), `peak` of the samples (dBFS); None if there is no audio at all."""
        if not self._last:
            return None
        peak = float(self._last.get("lavfi.r128.sample_peak", 0.0))
        return {
            "integrated": round(max(_GATE, float(self._last["lavfi.r128.I"])), 1),
            "range": round(float(self._last["lavfi.r128.LRA"]), 1),
            "peak": round(decibels(peak), 1),
        }

    def silent(self, end: float) -> list[runs.Span]:
        """Where the track is silent, up to the video's `end`."""
        found = sorted([*runs.silent(self._levels, _WINDOW, max(end, self._end)), *self._gaps])
        joined: list[list[float]] = []
        for first, last in found:
            if joined and first <= joined[-1][1] + _HOLE:
                joined[-1][1] = max(last, joined[-1][1])
            else:
                joined.append([first, last])
        return [(first, last) for first, last in joined if last - first >= _LEAST_SILENCE]


def decibels(level: float) -> float:
    """A level, 1.0 being full scale, in dBFS; -120 for nothing."""
    return max(-120.0, 20 * log10(level)) if level > 0 else -120.0

"""Encodes a task video: the frames of a task, playable in browsers. Never imported by the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from vidd.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame


@dataclass(frozen=True, slots=True)
class TaskVideoSettings:
    """Settings of x264; `keyframes` is the most frames from one keyframe to the next, `threads` 0 means one per core."""

    crf: int
    preset: str
    keyframes: int
    threads: int


class TaskVideo:
    """An MP4 file (H.264) of frames of one size (yuv420p, even sides), at `rate` frames a second, the first at 0."""

    def __init__(self, path: Path, rate: Fraction, settings: TaskVideoSettings) -> None:
        self._path, self._rate = path, rate
        # The index at the front, so that a browser plays the file while it loads.
        self._output = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        # With its macroblock tree x264 is not deterministic, and a video that is made again after a kill must be the same.
        options = {"crf": str(settings.crf), "preset": settings.preset, "threads": str(settings.threads), "mbtree": "0"}
        self._stream = self._output.add_stream("libx264", rate=rate, options=options)
        self._stream.pix_fmt = "yuv420p"
        # PyAV's default, slice threads, makes files larger.
        self._stream.codec_context.thread_type = "FRAME"
        self._stream.gop_size = settings.keyframes
        self._stream.time_base = self._stream.codec_context.time_base = 1 / rate
        self.frames = 0

    def add(self, frame: VideoFrame) -> None:
        """Encode the next frame."""
        if not self.frames:
            context = self._stream.codec_context
            self._stream.width, self._stream.height = frame.width, frame.height
            context.color_range = 1
            context.colorspace = frame.colorspace
            context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
        frame.pts, frame.time_base = self.frames, 1 / self._rate
        frame.pict_type = av.video.frame.PictureType.NONE
        self._output.mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Write the last frames; Refused where the file does not contain every frame exactly once."""
        self._output.mux(self._stream.encode(None))
        self._output.close()
        with av.open(f"file:{self._path}") as video:
            times = sorted(packet.pts for packet in video.demux(video.streams.video[0]) if packet.pts is not None)
            step = 1 / (self._rate * Fraction(video.streams.video[0].time_base or 1))
            expected = [round(number * step) for number in range(self.frames)]
        if times != expected:
            raise Refused(
                f"The task video {self._path.name} has {len(times)} frames instead of {self.frames}: check the disk."
            )

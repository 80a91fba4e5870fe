"""The film of a task: its frames one after another, playable in browsers. Never imported by the daemon."""

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
class Look:
    """What x264 is told; `keyframes` is the most frames from one keyframe to the next, `threads` 0 for as many as there are cores."""

    crf: int
    preset: str
    keyframes: int
    threads: int


class Film:
    """An MP4 file (H.264) of pictures of one size (yuv420p, even sides), `rate` of them a second, the first at 0."""

    def __init__(self, path: Path, rate: Fraction, look: Look) -> None:
        self._path, self._rate = path, rate
        # The index at the front, so that a browser plays what it has not whole yet.
        self._output = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        # With its macroblock tree x264 does not make the same of the same pictures every time, and a film that is made
        # anew after a kill is to be the same.
        options = {"crf": str(look.crf), "preset": look.preset, "threads": str(look.threads), "mbtree": "0"}
        self._stream = self._output.add_stream("libx264", rate=rate, options=options)
        self._stream.pix_fmt = "yuv420p"
        # Threads that share one picture are PyAV's choice, and make files larger.
        self._stream.codec_context.thread_type = "FRAME"
        self._stream.gop_size = look.keyframes
        self._stream.time_base = self._stream.codec_context.time_base = 1 / rate
        self.frames = 0

    def add(self, frame: VideoFrame) -> None:
        """The next frame."""
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
        """Write what is left; Refused where the file does not hold each frame once."""
        self._output.mux(self._stream.encode(None))
        self._output.close()
        with av.open(f"file:{self._path}") as made:
            times = sorted(one.pts for one in made.demux(made.streams.video[0]) if one.pts is not None)
            step = 1 / (self._rate * Fraction(made.streams.video[0].time_base or 1))
            wanted = [round(number * step) for number in range(self.frames)]
        if times != wanted:
            raise Refused(
                f"The film {self._path.name} holds {len(times)} frames instead of {self.frames}: check the disk."
            )

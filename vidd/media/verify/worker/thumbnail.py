"""Reduces frames to the thumbnails that `vidd.media.verify.runs` compares."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import ceil, floor
from typing import TYPE_CHECKING, TypeAlias

import av
from av.video.reformatter import Interpolation

from vidd.media.verify import runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


Covered: TypeAlias = Sequence[float]
"""Where a watermark lies: left, top, width and height as shares of the frame."""


def shown_at(frame: VideoFrame, stream: VideoStream) -> float:
    """When a frame is shown (seconds). Not frame.time: frames that a decoder held to the end have no time base."""
    return float((frame.pts or 0) * (stream.time_base or 0))


def thumbnail_of(frame: VideoFrame, covered: Covered | None = None) -> bytes:
    """A small grey copy of a frame, in which what a watermark has `covered` is black."""
    small = frame.reformat(runs.WIDTH, runs.HEIGHT, "gray", interpolation=Interpolation.AREA)
    if covered is None:
        return bytes(small.planes[0])
    cells, (left, top, width, height) = bytearray(small.planes[0]), covered
    # A cell more on each side: an encoder smears the mark.
    first, last = (
        max(0, floor(left * runs.WIDTH) - 1),
        min(runs.WIDTH, ceil((left + width) * runs.WIDTH) + 1),
    )
    for row in range(max(0, floor(top * runs.HEIGHT) - 1), min(runs.HEIGHT, ceil((top + height) * runs.HEIGHT) + 1)):
        start = row * runs.WIDTH
        cells[start + first : start + last] = bytes(last - first)
    return bytes(cells)


def thumbnails(
    container: InputContainer, stream: VideoStream, start: float, end: float, covered: Covered | None = None
) -> Iterator[tuple[float, bytes]]:
    """(time, thumbnail) of the frames from `start` to `end` (seconds from the file's start), in the order they are shown."""
    begin = (container.start_time or 0) / av.time_base
    stream.codec_context.flush_buffers()
    with suppress(av.FFmpegError):
        # Half a millisecond more, since the time of a keyframe may have been rounded down.
        container.seek(int((max(0.0, start) + begin + 0.0005) / (stream.time_base or 1)), stream=stream, backward=True)
    for packet in container.demux(stream):
        with suppress(av.FFmpegError):
            for frame in packet.decode():
                time = shown_at(frame, stream) - begin
                if time > end + 1e-6:
                    return
                if time >= start - 1e-6:
                    yield time, thumbnail_of(frame, covered)

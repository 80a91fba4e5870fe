"""What decoding around the joins of a cut shows. Runs in the probe's child; never imported by the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import av.logging

from vidd.ffmpeg.reader import opened, picture_streams

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

_BEYOND = 0.5
"""Seconds of the GOP behind a join that are decoded; what the join spoils shows in its first pictures."""


def joins(path: Path, name: str, places: Sequence[float]) -> dict[str, Any]:
    """For each place (seconds): its `packets` and `pictures` from the keyframe before to a little after; `complaints`."""
    with opened(path, name) as container, av.logging.Capture(local=False) as logs:
        stream = picture_streams(container)[0]
        found = [_around(container, stream, place) for place in places]
        complaints = [text.strip() for level, _, text in logs if level <= av.logging.ERROR]
        return {"joins": found, "complaints": complaints[:20]}


def _around(container: InputContainer, stream: VideoStream, place: float) -> dict[str, Any]:
    stream.codec_context.flush_buffers()
    # The keyframe at the join itself would hide what the pictures before it do to those after it.
    container.seek(int(max(0.0, place - 0.1) * av.time_base), backward=True)
    packets, pictures, failed = 0, 0, 0
    first: int | None = None
    for packet in container.demux(stream):
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            continue
        if first is None:
            first = time
        if time < first:
            # Leading pictures of an open GOP that reading begins in refer to what comes before it.
            continue
        if packet.is_keyframe and packets and float(time * packet.time_base) > place + _BEYOND:
            break
        if packet.is_discard:
            continue
        packets += 1
        try:
            pictures += len(packet.decode())
        except av.FFmpegError:
            failed += 1
    try:
        pictures += len(stream.codec_context.decode(None))
    except av.FFmpegError:
        failed += 1
    return {"at": place, "packets": packets, "pictures": pictures, "failed": failed}

"""What decoding around the joins of a cut shows. Runs in the probe's child; never imported by the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import av.logging

from vidd.media.bitstream import nal, parameter_sets
from vidd.media.probe.worker.reader import opened, picture_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SLACK = 1e-6
_BEYOND = 0.5
"""Seconds of the GOP behind a join that are decoded; what the join spoils shows in its first pictures."""


def joins(path: Path, name: str, places: Sequence[float]) -> dict[str, Any]:
    """For each place (seconds): its `packets` and `pictures` from the keyframe before to a little after; `complaints`."""
    with opened(path, name) as container, av.logging.Capture(local=False) as logs:
        stream = picture_streams(container)[0]
        found, complaints = [], []
        for place in places:
            one, heard = _around(container, stream, place, logs)
            found.append(one)
            complaints += [text.strip() for level, _, text in logs[heard:] if level <= av.logging.ERROR]
        return {"joins": found, "complaints": complaints[:20]}


def _around(
    container: InputContainer, stream: VideoStream, place: float, logs: list[tuple[int, str, str]]
) -> tuple[dict[str, Any], int]:
    """What is found around a place, and from which line of the log on complaints speak of it.

    Where reading begins with a keyframe that speaks of earlier pictures, only what comes from the place on counts.
    """
    stream.codec_context.flush_buffers()
    # The keyframe at the join itself would hide what the pictures before it do to those after it.
    container.seek(int(max(0.0, place - 0.1) * av.time_base), backward=True)
    found = {"at": place, "packets": 0, "pictures": 0, "failed": 0}
    first: int | None = None
    since, heard = place, None
    for packet in container.demux(stream):
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            continue
        seconds = float(time * packet.time_base)
        if first is None:
            first = time
            since = seconds if _begins_anew(stream, bytes(packet)) else place
        if time < first:
            # Leading pictures of an open GOP that reading begins in refer to what comes before it.
            continue
        if heard is None and seconds >= since - _SLACK:
            heard = len(logs)
        if packet.is_keyframe and found["packets"] and seconds > place + _BEYOND:
            break
        if packet.is_discard:
            continue
        found["packets"] += seconds >= since - _SLACK
        _decode(packet.decode, since, stream.time_base, found)
    _decode(lambda: stream.codec_context.decode(None), since, stream.time_base, found)
    return found, len(logs) if heard is None else heard


def _decode(decode: Callable[[], Sequence[VideoFrame]], since: float, ticks: Any, found: dict[str, Any]) -> None:
    try:
        # A frame that comes at the end does not say its clock.
        found["pictures"] += sum(
            video_frame.pts is None or float(video_frame.pts * ticks) >= since - _SLACK for video_frame in decode()
        )
    except av.FFmpegError:
        found["failed"] += 1


def _begins_anew(stream: VideoStream, data: bytes) -> bool:
    """Whether a decoder can begin with this keyframe without losing or missing anything."""
    context = stream.codec_context
    if context.codec.canonical_name != "h264":
        return True
    try:
        _, size = parameter_sets.of_header("h264", context.extradata or b"")
        return nal.kind_h264(nal.measured(data, size) if size else nal.annex_b(data)) == "idr"
    except (nal.BadUnits, IndexError):
        return True

"""Decodes a file around the joins of a cut, to see whether all frames there decode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import av.logging

from vidd.media.bitstream import nal, parameter_sets
from vidd.media.probe.worker.reader import open_media, video_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SLACK = 1e-6
_BEYOND = 0.5
"""Seconds of the GOP behind a join that are decoded; what the join spoils shows in its first frames."""


def decode_joins(path: Path, name: str, times: Sequence[float]) -> dict[str, Any]:
    """What decodes around each of `times` (seconds).

    `joins` has for each the number of `packets` from the keyframe before it to a little after, how many `pictures` were
    decoded and how often decoding `failed`; `complaints` is what the decoder logged.
    """
    with open_media(path, name) as container, av.logging.Capture(local=False) as logs:
        stream = video_streams(container)[0]
        found, complaints = [], []
        for time in times:
            join, first_line = _decode_around(container, stream, time, logs)
            found.append(join)
            complaints += [text.strip() for level, _, text in logs[first_line:] if level <= av.logging.ERROR]
        return {"joins": found, "complaints": complaints[:20]}


def _decode_around(
    container: InputContainer, stream: VideoStream, join: float, logs: list[tuple[int, str, str]]
) -> tuple[dict[str, Any], int]:
    """What was found around a join, and from which line of the log on complaints are about it.

    If reading begins with a keyframe whose frames refer to earlier ones, only what comes from the join on counts.
    """
    stream.codec_context.flush_buffers()
    # The keyframe at the join itself would hide what the frames before it do to those after it.
    container.seek(int(max(0.0, join - 0.1) * av.time_base), backward=True)
    found = {"at": join, "packets": 0, "pictures": 0, "failed": 0}
    first: int | None = None
    since, first_line = join, None
    for packet in container.demux(stream):
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            continue
        seconds = float(time * packet.time_base)
        if first is None:
            first = time
            since = seconds if _starts_clean(stream, bytes(packet)) else join
        if time < first:
            # A leading frame of an open GOP refers to what comes before where reading began.
            continue
        if first_line is None and seconds >= since - _SLACK:
            first_line = len(logs)
        if packet.is_keyframe and found["packets"] and seconds > join + _BEYOND:
            break
        if packet.is_discard:
            continue
        found["packets"] += seconds >= since - _SLACK
        _count_frames(packet.decode, since, stream.time_base, found)
    _count_frames(lambda: stream.codec_context.decode(None), since, stream.time_base, found)
    return found, len(logs) if first_line is None else first_line


def _count_frames(decode: Callable[[], Sequence[VideoFrame]], since: float, ticks: Any, found: dict[str, Any]) -> None:
    try:
        # A frame that a decoder held to the end has no time base.
        found["pictures"] += sum(frame.pts is None or float(frame.pts * ticks) >= since - _SLACK for frame in decode())
    except av.FFmpegError:
        found["failed"] += 1


def _starts_clean(stream: VideoStream, data: bytes) -> bool:
    """Whether a decoder that starts with this keyframe loses and misses nothing."""
    context = stream.codec_context
    if context.codec.canonical_name != "h264":
        return True
    try:
        _, size = parameter_sets.sets_of_header("h264", context.extradata or b"")
        return nal.kind_h264(nal.split_by_length(data, size) if size else nal.split_by_start_code(data)) == "idr"
    except (nal.BadUnits, IndexError):
        return True

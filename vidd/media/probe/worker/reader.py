"""Opens foreign media with PyAV and describes it.

Every refusal is a sentence for the operator and shows the file's name escaped, since the name is foreign too.
"""

from __future__ import annotations

import stat
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.logging
from av.stream import Disposition

from vidd.display_text import quoted
from vidd.errors import Refused, RetryLater
from vidd.media.ffmpeg.formats import FORMATS
from vidd.model.media import Audio, Media, Video

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

# Off by default, but the reason of a refusal is only in the log. Another file may end in the same message again.
av.logging.set_level(av.logging.ERROR)
av.logging.set_skip_repeated(False)

_MOST_STREAMS = 64
# How many packets are read to find out whether the rate varies, and by how many frames may be reordered.
_PACKETS_READ, _MOST_REORDERED = 300, 16
# AVFieldOrder: larger values are the orders of two fields.
PROGRESSIVE = 1
EXACT_CONTAINERS = ("mov", "matroska", "mpegts")
"""Containers (the first of ffmpeg's names) that give every frame a time of its own."""


@contextmanager
def open_media(path: Path, name: str) -> Iterator[InputContainer]:
    """Open a file; Refused or RetryLater if that is not possible."""
    shown = quoted(name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{shown} is no file: send the recording itself.")
        if not status.st_size:
            raise Refused(f"The file {shown} is empty (0 bytes): its recording or upload failed; send it again.")
        # A playlist or a concat script could make us open other files, so only real containers are read.
        limits = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}
        with av.logging.Capture(local=False) as logs, av.open(f"file:{path}", options=limits) as container:
            if len(container.streams) > _MOST_STREAMS:
                raise Refused(
                    f"The file {shown} has {len(container.streams)} streams: send it with {_MOST_STREAMS} at most."
                )
            yield container
    except av.FFmpegError as error:
        raise _refusal(path, shown, error, " ".join(text for _, _, text in logs)) from None
    except (FileNotFoundError, PermissionError) as error:
        raise Refused(f"The file {shown} cannot be opened: {error.strerror}.") from None
    except OSError as error:
        raise RetryLater(f"The file {shown} could not be read: {error}.") from None


def _refusal(path: Path, shown: str, error: av.FFmpegError, logs: str) -> Refused:
    with path.open("rb") as file:
        head = file.read(1024)
    if b"\0" not in head and _is_text(head):
        return Refused(f"The file {shown} is a text and no video: send the recording itself.")
    if "moov atom not found" in logs and head[4:8] in {b"ftyp", b"wide", b"mdat", b"free", b"skip"}:
        return Refused(
            f"The file {shown} was cut off: its index (moov), written last, is missing; send it again, whole."
        )
    return Refused(
        f"The file {shown} cannot be read as a video ({error.strerror}): send it as MP4, MOV, MKV, WebM, TS or AVI."
    )


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and error.reason == "unexpected end of data"
    return True


def describe(path: Path, name: str) -> Media:
    """What a file holds; Refused if it is no video."""
    with open_media(path, name) as container:
        return media_of(container, path, name)


def media_of(container: InputContainer, path: Path, name: str) -> Media:
    """What an open file holds; Refused if it is no video."""
    streams = video_streams(container)
    if not streams:
        audio = f"{len(container.streams.audio)} audio" if container.streams.audio else "none that can be played"
        raise Refused(
            f"The file {quoted(name)} has no video stream (streams: {audio}): send the recording with its video."
        )
    size = path.stat().st_size
    _refuse_cut_off(container, size, name)
    start = (container.start_time or 0) / av.time_base
    sound_tracks = tuple(_audio(stream) for stream in container.streams.audio)
    videos = tuple(_video(container, stream) for stream in streams[:1])
    lengths = [video.duration or 0.0 for video in videos] + [
        sound_track.duration or 0.0 for sound_track in sound_tracks
    ]
    duration = container.duration / av.time_base if container.duration else max(lengths)
    return Media(container.format.name, duration, size, videos, sound_tracks, start)


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams, without cover images and those that there is no decoder for."""
    return [
        video_stream
        for video_stream in container.streams.video
        if not video_stream.disposition & Disposition.attached_pic and video_stream.codec_context is not None
    ]


def _refuse_cut_off(container: InputContainer, size: int, name: str) -> None:
    """An index at the front (moov) survives a broken upload and lists bytes that never came."""
    if not container.format.name.startswith("mov"):
        return
    entries = [stream.index_entries for stream in (*container.streams.video, *container.streams.audio)]
    last = max((index_entry.pos + index_entry.size for entry in entries for index_entry in entry[-8:]), default=0)
    if last > size:
        raise Refused(
            f"The file {quoted(name)} was cut off: its index lists {last} bytes, and {size} came; send it again, whole."
        )


def _seconds(stream: Stream, time: int | None) -> float | None:
    return None if time is None or stream.time_base is None else float(time * stream.time_base)


def _audio(stream: AudioStream) -> Audio:
    context = stream.codec_context
    return Audio(
        codec=context.codec.canonical_name if context is not None else "unknown",
        rate=context.sample_rate if context is not None else 0,
        channels=context.channels if context is not None else 0,
        duration=_seconds(stream, stream.duration),
        start=_seconds(stream, stream.start_time) or 0.0,
        language=stream.language if stream.language != "und" else None,
        layout=context.layout.name if context is not None else "",
    )


def _video(container: InputContainer, stream: VideoStream) -> Video:
    times, rotation, fields = _read_packets(container, stream)
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return Video(
        codec=stream.codec_context.codec.canonical_name,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        rate=float(rate) if rate else 0.0,
        duration=_seconds(stream, stream.duration),
        start=_seconds(stream, stream.start_time) or 0.0,
        frames=stream.frames or None,
        rotation=rotation,
        variable=_varies(times),
        pixel_format=stream.codec_context.pix_fmt or "unknown",
        aspect=_aspect(stream),
        colours=_colours(stream.codec_context),
        interlaced=fields or stream.codec_context.field_order > PROGRESSIVE,
    )


def _aspect(stream: VideoStream) -> str:
    # Players follow the container rather than the stream.
    found = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return f"{found.numerator}:{found.denominator}" if found else "1:1"


def _colours(context: VideoCodecContext) -> tuple[int, int, int, int]:
    """Primaries, transfer, matrix and range."""
    return (
        int(context.color_primaries),
        int(context.color_trc),
        int(context.colorspace),
        int(context.color_range),
    )


def _read_packets(container: InputContainer, stream: VideoStream) -> tuple[list[int], int, bool]:
    """The times of the first packets, in order; and of the first frame its rotation (clockwise) and whether it has fields."""
    indexed = stream.frames and len(stream.index_entries) >= stream.frames
    times = [entry.timestamp for entry in stream.index_entries[: 8 * _PACKETS_READ]] if indexed else []
    rotation: int | None = None
    complete, fields = True, False
    for number, packet in enumerate(container.demux(stream)):
        if number >= _PACKETS_READ or (indexed and rotation is not None):
            complete = False
            break
        if not indexed and packet.size and (time := packet.pts if packet.pts is not None else packet.dts) is not None:
            times.append(time)
        if rotation is None:
            with suppress(av.FFmpegError):
                for frame in packet.decode()[:1]:
                    rotation, fields = -frame.rotation % 360, frame.interlaced_frame
    # Where reading stopped, frames are missing that are decoded later and shown earlier.
    return sorted(times)[: None if complete or indexed else -_MOST_REORDERED], rotation or 0, fields


def _varies(times: list[int]) -> bool:
    """Whether frame distances differ by more than the rounding of two ticks, or a twentieth."""
    distances = [later - earlier for earlier, later in pairwise(times)]
    return bool(distances) and max(distances) - min(distances) > max(2, min(distances) / 20)

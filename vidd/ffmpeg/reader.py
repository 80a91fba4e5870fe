"""What the probe's child does: open foreign media with PyAV, and answer questions about it. Never imported by the daemon.

Every refusal is a sentence for the operator and shows the file's name escaped, since the name is foreign too.
"""

from __future__ import annotations

import stat
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.logging
from av.stream import Disposition

from vidd.errors import AgainLater, Refused
from vidd.ffmpeg.formats import FORMATS
from vidd.model.media import Audio, Media, Video

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

# Off by default; the reason of a refusal is only in the log. Repetitions count: another file may end the same way.
av.logging.set_level(av.logging.ERROR)
av.logging.set_skip_repeated(False)

_MOST_STREAMS = 64
_LOOKED_AT = 300
_FIRST_PICTURES = 12
# How far before a wanted time a seek may have to go until a keyframe comes.
_BACK = (1.0, 5.0, 20.0, 60.0, 300.0)


@contextmanager
def opened(path: Path, name: str) -> Iterator[InputContainer]:
    """A file, open; Refused or AgainLater with a sentence where it cannot be."""
    shown = ascii(name)
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
        raise _unreadable(path, shown, error, " ".join(text for _, _, text in logs)) from None
    except (FileNotFoundError, PermissionError) as error:
        raise Refused(f"The file {shown} cannot be opened: {error.strerror}.") from None
    except OSError as error:
        raise AgainLater(f"The file {shown} could not be read: {error}.") from None


def _unreadable(path: Path, shown: str, error: av.FFmpegError, logs: str) -> Refused:
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
    """What a file holds; Refused where that is no video."""
    with opened(path, name) as container:
        return _describe(container, path, name)


def _describe(container: InputContainer, path: Path, name: str) -> Media:
    pictures = picture_streams(container)
    if not pictures:
        sound = f"{len(container.streams.audio)} audio" if container.streams.audio else "none that can be played"
        raise Refused(f"The file {name!a} has no video stream (streams: {sound}): send the recording with picture.")
    size = path.stat().st_size
    _refuse_cut_off(container, size, name)
    start = (container.start_time or 0) / av.time_base
    sound_tracks = tuple(_audio(stream) for stream in container.streams.audio)
    videos = tuple(_video(container, stream) for stream in pictures[:1])
    lengths = [one.duration or 0.0 for one in videos] + [one.duration or 0.0 for one in sound_tracks]
    duration = container.duration / av.time_base if container.duration else max(lengths)
    return Media(container.format.name, duration, size, videos, sound_tracks, start)


def picture_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams, without cover pictures and such that no decoder is known for."""
    return [
        one
        for one in container.streams.video
        if not one.disposition & Disposition.attached_pic and one.codec_context is not None
    ]


def _refuse_cut_off(container: InputContainer, size: int, name: str) -> None:
    """An index at the front (moov) survives a broken upload and speaks of bytes that never came."""
    if not container.format.name.startswith("mov"):
        return
    entries = [stream.index_entries for stream in (*container.streams.video, *container.streams.audio)]
    last = max((one.pos + one.size for each in entries for one in each[-8:]), default=0)
    if last > size:
        raise Refused(
            f"The file {name!a} was cut off: its index speaks of {last} bytes, and {size} came; send it again, whole."
        )


def _seconds(stream: Stream, time: int | None) -> float | None:
    return None if time is None or stream.time_base is None else float(time * stream.time_base)


def _audio(stream: AudioStream) -> Audio:
    context = stream.codec_context
    return Audio(
        codec=context.name if context is not None else "unknown",
        rate=context.sample_rate if context is not None else 0,
        channels=context.channels if context is not None else 0,
        duration=_seconds(stream, stream.duration),
        start=_seconds(stream, stream.start_time) or 0.0,
        language=stream.language if stream.language != "und" else None,
    )


def _video(container: InputContainer, stream: VideoStream) -> Video:
    times, rotation = _looked_at(container, stream)
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return Video(
        codec=stream.codec_context.name,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        rate=float(rate) if rate else 0.0,
        duration=_seconds(stream, stream.duration),
        start=_seconds(stream, stream.start_time) or 0.0,
        frames=stream.frames or None,
        rotation=rotation,
        variable=_varies(times),
        pixel_format=stream.codec_context.pix_fmt or "unknown",
    )


def _looked_at(container: InputContainer, stream: VideoStream) -> tuple[list[int], int]:
    """The times of the first packets, and the rotation (clockwise), which only a decoded frame tells."""
    indexed = stream.frames and len(stream.index_entries) >= stream.frames
    times = [entry.timestamp for entry in stream.index_entries[: 8 * _LOOKED_AT]] if indexed else []
    rotation: int | None = None
    for number, packet in enumerate(container.demux(stream)):
        if number >= _LOOKED_AT or (indexed and rotation is not None):
            break
        if not indexed and packet.size and (time := packet.pts if packet.pts is not None else packet.dts) is not None:
            times.append(time)
        if rotation is None:
            with suppress(av.FFmpegError):
                rotation = next((-frame.rotation % 360 for frame in packet.decode()), None)
    return times, rotation or 0


def _varies(times: list[int]) -> bool:
    """Whether frame distances differ by more than the rounding of two ticks, or a twentieth."""
    ordered = sorted(times)
    distances = [later - earlier for earlier, later in pairwise(ordered)]
    return bool(distances) and max(distances) - min(distances) > max(2, min(distances) / 20)


def seek_point(path: Path, name: str, start: float) -> float:
    """Where to seek (seconds from the file's start) so that a keyframe comes at or before `start`; 0 in doubt.

    Transport streams have no index: a seek in them lands anywhere.
    """
    with opened(path, name) as container:
        stream = picture_streams(container)[0]
        begin = container.start_time or 0
        for back in _BACK:
            point = start - back
            if point <= 0:
                break
            try:
                container.seek(begin + int(point * av.time_base), backward=True)
            except av.FFmpegError:
                continue
            if _keyframe_by(container, stream, begin / av.time_base + start):
                return point
        return 0.0


def _keyframe_by(container: InputContainer, stream: VideoStream, latest: float) -> bool:
    for packet in container.demux(stream):
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or float(time * packet.time_base) > latest:
            return False
        if packet.is_keyframe:
            return True
    return False


def count(path: Path, name: str, start: float, end: float) -> int:
    """How many pictures are shown from `start` to before `end` (seconds from the file's start), without decoding."""
    with opened(path, name) as container:
        stream = picture_streams(container)[0]
        begin = (container.start_time or 0) / av.time_base
        if start > 0:
            container.seek(int((begin + max(0.0, start - 1)) * av.time_base), backward=True)
        shown = 0
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard or not packet.size:
                continue
            time = float(packet.pts * packet.time_base) - begin
            if time > end + 5:
                break
            # Half a tick's slack: the wanted times are decimal, the packets' are fractions.
            shown += start - 1e-6 <= time < end - 1e-6
        return shown


def measure(path: Path, name: str) -> dict[str, Any]:
    """What a finished file really holds: its media, and what decoding its first and last pictures and sound shows."""
    with opened(path, name) as container, av.logging.Capture(local=False) as logs:
        for picture in picture_streams(container):
            # Nobody sees these pictures: those that no other depends on, and the last filter, are left out.
            picture.codec_context.skip_frame = "NONREF"
            picture.codec_context.options = {"skip_loop_filter": "all"}
        media = _describe(container, path, name)
        stream = picture_streams(container)[0]
        tracks = [stream, *(one for one in container.streams.audio if one.codec_context is not None)]
        container.seek(int((media.start + media.duration) * av.time_base), backward=True)
        complaints: list[str] = []
        last, decoded = _pictures(container, tracks, complaints)
        first = last
        if not last or last[0][0] > media.video[0].start + 0.001:
            container.seek(container.start_time or 0, backward=True)
            first, more = _pictures(container, tracks, complaints, _FIRST_PICTURES)
            decoded += more
        complaints += [text.strip() for level, _, text in logs if level <= av.logging.ERROR]
        return {
            "media": media.to_json(),
            "first": first[0][0] if first and decoded else None,
            "end": last[-1][0] + last[-1][1] if last and decoded else None,
            "last_distance": last[-1][1] if last else None,
            "decoded": decoded,
            "complaints": complaints[:20],
        }


def _pictures(
    container: InputContainer, tracks: list[Any], complaints: list[str], limit: int | None = None
) -> tuple[list[tuple[float, float]], int]:
    """(time, distance) of the pictures from here on, and how many were decoded, with the sound beside them."""
    pictures: list[tuple[float, float]] = []
    decoded = 0
    for packet in container.demux(tracks):
        try:
            decoded += sum(isinstance(frame, av.VideoFrame) for frame in packet.decode())
        except av.FFmpegError as error:
            complaints.append(str(error.strerror))
        if packet.stream is tracks[0] and packet.pts is not None:
            pictures.append((float(packet.pts * packet.time_base), float((packet.duration or 0) * packet.time_base)))
        if limit is not None and len(pictures) >= limit:
            break
    return sorted(pictures), decoded

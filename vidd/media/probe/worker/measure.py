"""Measures times and counts frames in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import av.logging

from vidd.media.bitstream.field_pairs import FieldPairs
from vidd.media.probe.worker.reader import media_of, open_media, video_streams

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

_FIRST_FRAMES = 12
# Seconds before a wanted time that a seek may have to go until a keyframe comes.
_BACK = (1.0, 5.0, 20.0, 60.0, 300.0)


def seek_point(path: Path, name: str, start: float) -> float:
    """Where to seek (seconds from the file's start) so that a keyframe comes at or before `start`; 0 in doubt.

    Transport streams have no index: a seek in them lands anywhere.
    """
    with open_media(path, name) as container:
        stream = video_streams(container)[0]
        begin = container.start_time or 0
        for back in _BACK:
            point = start - back
            if point <= 0:
                break
            try:
                container.seek(begin + int(point * av.time_base), backward=True)
            except av.FFmpegError:
                continue
            if _has_keyframe_by(container, stream, begin / av.time_base + start):
                return point
        return 0.0


def _has_keyframe_by(container: InputContainer, stream: VideoStream, latest: float) -> bool:
    for packet in container.demux(stream):
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or float(time * packet.time_base) > latest:
            return False
        if packet.is_keyframe:
            return True
    return False


def count_frames(path: Path, name: str, start: float, end: float) -> int:
    """How many frames are shown from `start` to before `end` (seconds from the file's start), without decoding."""
    with open_media(path, name) as container:
        stream = video_streams(container)[0]
        begin = (container.start_time or 0) / av.time_base
        if start > 0:
            container.seek(int((begin + max(0.0, start - 1)) * av.time_base), backward=True)
        halves, fields = 0, FieldPairs(stream)
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard or not packet.size:
                continue
            time = float(packet.pts * packet.time_base) - begin
            if time > end + 5:
                break
            # Some slack: the wanted times are decimal, those of packets are fractions.
            if start - 1e-6 <= time < end - 1e-6:
                halves += 1 if fields.is_single_field(packet) else 2
        return (halves + 1) // 2


def measure(path: Path, name: str) -> dict[str, Any]:
    """What a finished file holds, after decoding its first and last frames and the audio beside them.

    `media`; `first` and `end` of the video, and `last_distance`, the length of its last frame (seconds, None if nothing
    decodes); how many frames were `decoded`; `complaints` of the decoders.
    """
    with open_media(path, name) as container, av.logging.Capture(local=False) as logs:
        for video_stream in video_streams(container):
            # For speed: no deblocking, and no frames that no other frame needs.
            video_stream.codec_context.skip_frame = "NONREF"
            video_stream.codec_context.options = {"skip_loop_filter": "all"}
        media = media_of(container, path, name)
        stream = video_streams(container)[0]
        tracks = [
            stream,
            *(audio_stream for audio_stream in container.streams.audio if audio_stream.codec_context is not None),
        ]
        container.seek(int((media.start + media.duration) * av.time_base), backward=True)
        complaints: list[str] = []
        last, decoded = _decode_frames(container, tracks, complaints)
        first = last
        if not last or last[0][0] > media.video[0].start + 0.001:
            container.seek(container.start_time or 0, backward=True)
            first, more = _decode_frames(container, tracks, complaints, _FIRST_FRAMES)
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


def _decode_frames(
    container: InputContainer, tracks: list[Any], complaints: list[str], limit: int | None = None
) -> tuple[list[tuple[float, float]], int]:
    """(time, length) of the frames from here on, in seconds, and how many were decoded."""
    frames: list[tuple[float, float]] = []
    decoded = 0
    for packet in container.demux(tracks):
        try:
            decoded += sum(isinstance(frame, av.VideoFrame) for frame in packet.decode())
        except av.FFmpegError as error:
            complaints.append(str(error.strerror))
        if packet.stream is tracks[0] and packet.pts is not None:
            frames.append((float(packet.pts * packet.time_base), float((packet.duration or 0) * packet.time_base)))
        if limit is not None and len(frames) >= limit:
            break
    return sorted(frames), decoded

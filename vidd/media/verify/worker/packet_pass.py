"""One pass over a finished file: counts every packet, compares keyframes, decodes all audio.

Decoding all frames would cost a seventh of encoding them. Keyframes show what a person would notice, black and frozen
video, at a hundredth of that; `BlackSearch` decodes between them where the sizes of packets suggest it.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import av

from vidd.media.bitstream import nal
from vidd.media.ffmpeg import integrity
from vidd.media.verify import runs
from vidd.media.verify.worker.audio_pass import AudioPass
from vidd.media.verify.worker.thumbnail import shown_at, thumbnail_of, thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidd.media.verify.worker.thumbnail import Covered

# Seconds between two frames that are compared, at least; and where packets say that something moves all the time, or
# that nothing does.
_APART, _APART_STEADY = 2.0, 8.0
_ALWAYS_MOVING, _SIMILAR = 0.8, 0.1
# A packet that says that nothing changes has at most a byte for so many pixels, or 64 bytes.
_PIXELS_PER_BYTE = 1500
_MOST_DAMAGE = 20
_SAME_TIME = 1e-6
# Seconds without a change that are worth decoding, and that black video must last to be reported.
_QUIET, _LEAST_BLACK = 2.0, 0.5
# Frames that the search for black decodes at most: a share of all, and some.
_BUDGET_SHARE, _LEAST_BUDGET = 0.1, 250


class VideoPacket(NamedTuple):
    """When a packet is shown, its bytes, whether it is a keyframe, and one whose content is known."""

    time: float
    bytes: int
    key: bool
    known: bool


@dataclass
class Contents:
    """What a pass found; times are seconds from the file's start. Packets up to `tiny` bytes say that nothing changes."""

    tiny: int
    times: list[float] = field(default_factory=list)
    packets: list[VideoPacket] = field(default_factory=list)
    thumbnails: list[tuple[float, bytes]] = field(default_factory=list)
    damage: list[tuple[float, str]] = field(default_factory=list)
    disorder: list[float] = field(default_factory=list)

    @property
    def end(self) -> float:
        """When the last frame is shown."""
        return self.times[-1] if self.times else 0.0

    @property
    def apart(self) -> float:
        """The longest time between two frames that were compared."""
        at = [0.0, *(time for time, _ in self.thumbnails), self.end]
        return max(later - earlier for earlier, later in pairwise(at))


class PacketPass:
    """The pass: `run` it, then read `contents` and `tracks`."""

    def __init__(self, container: InputContainer, stream: VideoStream, covered: Covered | None = None) -> None:
        self._container, self._stream, self._covered = container, stream, covered
        self.begin = (container.start_time or 0) / av.time_base
        context = stream.codec_context
        context.thread_count = 1
        self._length_size = integrity.length_size(context.name, context.extradata)
        self.tracks = {
            audio.index: AudioPass(audio, self.begin)
            for audio in container.streams.audio
            if audio.codec_context is not None
        }
        self.contents = Contents(max(64, context.width * context.height // _PIXELS_PER_BYTE))
        # The times of keyframes that were chosen to be compared.
        self._chosen: list[float] = []
        # Since the last of them: packets with movement, packets, and its size.
        self._moving = self._since = self._key_size = 0

    def run(self) -> None:
        """Read everything once."""
        stream = self._stream
        last_dts: dict[int, int] = {}
        self._container.seek(self._container.start_time or 0, backward=True)
        for packet in self._container.demux(stream, *(track.stream for track in self.tracks.values())):
            if not packet.size:
                continue
            if packet.dts is not None:
                if packet.dts <= last_dts.get(packet.stream.index, packet.dts - 1):
                    self.contents.disorder.append(self._seconds(packet, packet.dts))
                last_dts[packet.stream.index] = packet.dts
            if packet.stream.index == stream.index:
                self._take_video(packet)
            else:
                self._take_audio(self.tracks[packet.stream.index], packet)
        for track in self.tracks.values():
            track.close()
        self.contents.times.sort()
        self.contents.thumbnails.sort()
        self._add_missing_keyframes()

    def _seconds(self, packet: Packet[Any], ticks: int) -> float:
        return float(ticks * packet.time_base) - self.begin

    def _take_audio(self, track: AudioPass, packet: Packet[Any]) -> None:
        try:
            track.take(packet.decode())
        except av.FFmpegError as error:
            self._add_damage(packet, f"its audio cannot be decoded ({error.strerror})")

    def _take_video(self, packet: Packet[Any]) -> None:
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None:
            return
        time, size = self._seconds(packet, shown), packet.size
        key = packet.is_keyframe and not self._starts_refresh(bytes(packet))
        if not packet.is_discard:
            self.contents.times.append(time)
        if self._length_size and (damage := integrity.damage(bytes(packet), self._length_size)):
            self._add_damage(packet, damage)
        self._since += not key
        self._moving += not key and size > 4 * self.contents.tiny
        chosen, known = self._choose(time, size) if key else (False, False)
        self.contents.packets.append(VideoPacket(time, size, key, known))
        if chosen:
            self._chosen.append(time)
            self._moving, self._since, self._key_size = 0, 0, size
            # A keyframe that does not decode is reported at the end.
            with suppress(av.FFmpegError):
                self._add_thumbnails([*packet.decode(), *self._stream.codec_context.decode(None)])
            # Each by itself: a decoder drops a keyframe of an open GOP whose predecessors are missing.
            self._stream.codec_context.flush_buffers()

    def _starts_refresh(self, data: bytes) -> bool:
        """Whether it only starts an intra refresh, though readers take it for a keyframe: the frame is not complete."""
        if self._stream.codec_context.codec.canonical_name != "h264" or not self._length_size:
            return False
        with suppress(nal.BadUnits, IndexError):
            return nal.kind_h264(nal.split_by_length(data, self._length_size)) == "refresh"
        return False

    def _choose(self, time: float, size: int) -> tuple[bool, bool]:
        """Whether to compare a keyframe, and whether its content is then known."""
        elapsed = time - self._chosen[-1] if self._chosen else _APART_STEADY
        if not self._moving and abs(size - self._key_size) <= _SIMILAR * self._key_size:
            return elapsed >= _APART_STEADY, True
        due = elapsed >= (_APART_STEADY if self._moving >= _ALWAYS_MOVING * self._since else _APART)
        return due, due

    def _add_damage(self, packet: Packet[Any], what: str) -> None:
        ticks = packet.pts if packet.pts is not None else packet.dts
        if len(self.contents.damage) < _MOST_DAMAGE:
            self.contents.damage.append((0.0 if ticks is None else self._seconds(packet, ticks), what))

    def _add_thumbnails(self, frames: list[VideoFrame]) -> None:
        for frame in frames:
            if frame.pts is not None and not frame.is_corrupt:
                time = shown_at(frame, self._stream) - self.begin
                self.contents.thumbnails.append((time, thumbnail_of(frame, self._covered)))

    def _add_missing_keyframes(self) -> None:
        # In other containers than MP4 and Matroska a packet may be half a frame.
        if not self._length_size:
            return
        decoded = {round(time, 3) for time, _ in self.contents.thumbnails}
        missing = [time for time in self._chosen if round(time, 3) not in decoded]
        damage = [*self.contents.damage, *((time, "a keyframe does not decode") for time in missing)]
        self.contents.damage = sorted(damage)[:_MOST_DAMAGE]


class BlackSearch:
    """Finds where black video begins and ends, and whether some hides between keyframes, within a budget of frames."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, contents: Contents, covered: Covered | None = None
    ) -> None:
        self._container, self._stream, self._contents, self._covered = container, stream, contents, covered
        self._budget = _BUDGET_SHARE * len(contents.times) + _LEAST_BUDGET

    def run(self) -> list[runs.Span]:
        """Where the video is black, to the frame as far as the budget allows."""
        samples = [(time, runs.is_black(thumbnail)) for time, thumbnail in self._contents.thumbnails]
        samples = sorted([*samples, *self._hidden()])
        times = [time for time, _ in samples]
        found = []
        for first, last in runs.runs(samples):
            before, after = bisect_left(times, first) - 1, bisect_left(times, last) + 1
            begin = self._find_change(times[before], first, black=True) if before >= 0 else 0.0
            until = times[after] if after < len(times) else self._contents.end
            found.append((begin, self._find_change(last, until, black=False)))
        return [(begin, end) for begin, end in found if end - begin >= _LEAST_BLACK]

    def _find_change(self, begin: float, end: float, *, black: bool) -> float:
        """When the first frame after `begin` is, or is no longer, black.

        If none was found it is `end`; or `begin`, the last frame that is known to be black, if the budget is used up.
        """
        for time, thumbnail in self._decode(begin, end):
            if time > begin and runs.is_black(thumbnail) is black:
                return time
        return end if black or self._budget > 0 else begin

    def _hidden(self) -> Iterator[tuple[float, bool]]:
        """Both ends of the runs without a change that no compared keyframe lies in, and whether they are black."""
        for packets in self._split_at_keyframes():
            for first, last, unchanged in quiet_runs(packets, self._contents.tiny, _QUIET):
                if unchanged and packets[0].known:
                    continue
                # What follows its keyframe without a change looks like it.
                until = packets[0].time if unchanged else (first + last) / 2
                decoded = self._decode(packets[0].time, until)
                found = next((thumbnail for time, thumbnail in decoded if unchanged or time >= first), None)
                if found is not None:
                    black = runs.is_black(found)
                    yield from ((first, black), (last, black))

    def _split_at_keyframes(self) -> Iterator[list[VideoPacket]]:
        sequence: list[VideoPacket] = []
        for packet in self._contents.packets:
            if packet.key and sequence:
                yield sequence
                sequence = []
            sequence.append(packet)
        if sequence:
            yield sequence

    def _decode(self, begin: float, end: float) -> Iterator[tuple[float, bytes]]:
        for time, thumbnail in thumbnails(self._container, self._stream, begin, end, self._covered):
            self._budget -= 1
            yield time, thumbnail
            if self._budget <= 0:
                return


def quiet_runs(packets: list[VideoPacket], tiny: int, least: float) -> Iterator[tuple[float, float, bool]]:
    """Where the packets from a keyframe on say for `least` seconds that nothing changes.

    (first time, last time, whether nothing has changed since the keyframe).
    """
    for first, last in runs.runs((packet.time, packet.bytes <= tiny) for packet in packets):
        if last - first >= least:
            yield first, last, all(packet.bytes <= 2 * tiny for packet in packets[1:] if packet.time < first)


def read_contents(
    container: InputContainer, stream: VideoStream, covered: Covered | None = None
) -> tuple[dict[str, Any], list[tuple[float, bytes]]]:
    """What a file holds, as plain JSON types, and the thumbnails of keyframes with their times."""
    packet_pass = PacketPass(container, stream, covered)
    packet_pass.run()
    contents = packet_pass.contents
    tracks = [packet_pass.tracks.get(audio.index) for audio in container.streams.audio]
    duplicates = [later for earlier, later in pairwise(contents.times) if later - earlier < _SAME_TIME]
    return {
        "frames": len(contents.times),
        "disorder": [*duplicates, *contents.disorder][:_MOST_DAMAGE],
        "damage": contents.damage,
        "compared": len(contents.thumbnails),
        "apart": round(contents.apart, 3),
        "black": BlackSearch(container, stream, contents, covered).run(),
        "frozen": runs.frozen(contents.thumbnails),
        "silent": [track.silent(contents.end) if track else [] for track in tracks],
        "loudness": [track.loudness() if track else None for track in tracks],
    }, contents.thumbnails

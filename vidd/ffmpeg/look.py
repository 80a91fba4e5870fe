"""One pass over a finished file: every packet counted, keyframes looked at, all sound heard. Runs in a child only.

Decoding all pictures would cost a seventh of encoding them. Keyframes show what a person would notice, black and frozen
pictures, at a hundredth of it; between keyframes that are far apart the sizes of the packets say where to look closer.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
from av.video.reformatter import Interpolation

from vidd.ffmpeg import intact, stretches
from vidd.ffmpeg.hear import Heard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Seconds between two pictures that are looked at, at least; where keyframes come later than that, what lies between.
_APART, _FAR = 2.0, 3.0
# A packet for so many pixels may have a byte at most, and 64 in all, to say that nothing changes.
_PIXELS_PER_BYTE = 1500
# Pictures decoded to look between keyframes and to find the ends of a black stretch, at most, as a share of all.
_CLOSER, _AT_LEAST = 0.1, 250
_MOST_DAMAGE = 20
_TOGETHER = 1e-6
# Nobody minds a black picture that is as short as this (seconds).
_SEEN = 0.5


@dataclass
class Seen:
    """What a pass found; times are seconds from the file's start."""

    times: list[float] = field(default_factory=list)
    sizes: list[tuple[float, int, bool]] = field(default_factory=list)
    thumbnails: list[tuple[float, bytes]] = field(default_factory=list)
    damage: list[tuple[float, str]] = field(default_factory=list)
    disorder: list[float] = field(default_factory=list)


class Look:
    """The pass; `run` it, then ask."""

    def __init__(self, container: InputContainer, stream: VideoStream, pixels: int) -> None:
        self._container, self._stream = container, stream
        self._begin = (container.start_time or 0) / av.time_base
        self._tiny = max(64, pixels // _PIXELS_PER_BYTE)
        self._length_size = intact.length_size(stream.codec_context.name, stream.codec_context.extradata)
        self.heard = [Heard(one, self._begin) for one in container.streams.audio if one.codec_context is not None]
        self.seen = Seen()
        self._asked: list[float] = []

    def run(self) -> None:
        """Read everything once."""
        stream, tracks = self._stream, {one.stream.index: one for one in self.heard}
        stream.codec_context.thread_count = 1
        next_look = float("-inf")
        last: dict[int, int] = {}
        self._container.seek(self._container.start_time or 0, backward=True)
        for packet in self._container.demux(stream, *(one.stream for one in self.heard)):
            if packet.dts is not None and packet.size:
                if packet.dts <= last.get(packet.stream.index, packet.dts - 1):
                    self.seen.disorder.append(self._time(packet, packet.dts))
                last[packet.stream.index] = packet.dts
            if packet.stream.index != stream.index:
                self._hear(tracks[packet.stream.index], packet)
            elif self._count(packet, next_look):
                next_look = self.seen.sizes[-1][0] + _APART
        with suppress(av.FFmpegError):
            self._keep(stream.codec_context.decode(None))
        for one in self.heard:
            one.close()
        self.seen.times.sort()
        self.seen.thumbnails.sort()
        got = {round(time, 3) for time, _ in self.seen.thumbnails}
        # In other containers than MP4 and Matroska a packet may be half a picture.
        lost = [time for time in self._asked if round(time, 3) not in got] if self._length_size else []
        self.seen.damage += [(time, "a keyframe does not decode") for time in lost]
        self.seen.damage = sorted(self.seen.damage)[:_MOST_DAMAGE]

    def _time(self, packet: Packet[Any], at: int) -> float:
        return float(at * packet.time_base) - self._begin

    def _hear(self, track: Heard, packet: Packet[Any]) -> None:
        try:
            track.take(packet.decode())
        except av.FFmpegError as error:
            self._damaged(packet, f"its sound cannot be decoded ({error.strerror})")

    def _count(self, packet: Packet[Any], next_look: float) -> bool:
        """Note a packet of the picture; whether it was looked at."""
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None or not packet.size:
            return False
        time = self._time(packet, shown)
        if not packet.is_discard:
            self.seen.times.append(time)
        self.seen.sizes.append((time, packet.size, packet.is_keyframe))
        if self._length_size and (wrong := intact.damage(bytes(packet), self._length_size)):
            self._damaged(packet, wrong)
        if not packet.is_keyframe or time < next_look:
            return False
        self._asked.append(time)
        # One that does not decode is missed at the end.
        with suppress(av.FFmpegError):
            self._keep(packet.decode())
        return True

    def _damaged(self, packet: Packet[Any], what: str) -> None:
        at = packet.pts if packet.pts is not None else packet.dts
        if len(self.seen.damage) < _MOST_DAMAGE:
            self.seen.damage.append((0.0 if at is None else self._time(packet, at), what))

    def _keep(self, frames: list[VideoFrame]) -> None:
        for frame in frames:
            if frame.pts is not None and not frame.is_corrupt:
                self.seen.thumbnails.append((self._shown(frame), thumbnail(frame)))

    def _shown(self, frame: VideoFrame) -> float:
        # Not frame.time: those that a decoder still held at the end know no time base.
        return float((frame.pts or 0) * (self._stream.time_base or 0)) - self._begin

    def black(self) -> list[stretches.Stretch]:
        """Where the picture is black, to the picture where its ends can be found."""
        budget = _CLOSER * len(self.seen.times) + _AT_LEAST
        hidden, budget = self._between(budget)
        looked = sorted([*((time, stretches.is_black(one)) for time, one in self.seen.thumbnails), *hidden])
        found = []
        times = [time for time, _ in looked]
        for first, last in stretches.runs(looked):
            before, after = bisect_left(times, first) - 1, bisect_left(times, last) + 1
            begin, end = (first, last)
            if budget > 0:
                begin, used = self._turn(times[before], first, black=True) if before >= 0 else (0.0, 0)
                budget -= used
            if budget > 0:
                until = times[after] if after < len(times) else self.end
                end, used = self._turn(last, until, black=False)
                budget -= used
            found.append((begin, end))
        return [one for one in found if one[1] - one[0] >= _SEEN]

    def still(self) -> list[stretches.Stretch]:
        """Where the picture stands still, from keyframe to keyframe, and to the end where nothing follows."""
        return stretches.still(self.seen.thumbnails)

    @property
    def end(self) -> float:
        """When the last picture comes."""
        return self.seen.times[-1] if self.seen.times else 0.0

    @property
    def apart(self) -> float:
        """The longest time between two pictures that were looked at."""
        at = [0.0, *(time for time, _ in self.seen.thumbnails), self.end]
        return max(later - earlier for earlier, later in pairwise(at))

    def _between(self, budget: float) -> tuple[list[tuple[float, bool]], float]:
        """Pictures in quiet runs that no look fell into, and whether they are black; what is left of the budget.

        Both ends of a run are given, since nothing changes between them.
        """
        found: list[tuple[float, bool]] = []
        for begin, sizes in self._gaps():
            for first, last in stretches.quiet_runs(sizes, self._tiny, _APART):
                if budget <= 0:
                    return found, budget
                middle = (first + last) / 2
                for time, picture in self._decoded(begin, middle):
                    budget -= 1
                    if time >= first:
                        black = stretches.is_black(picture)
                        found += [(time, black), (max(time, last), black)]
                        break
        return found, budget

    def _gaps(self) -> Iterator[tuple[float, list[tuple[float, int]]]]:
        looked = [time for time, _ in self.seen.thumbnails]
        for begin, end in pairwise([*looked, self.end]):
            if end - begin > _FAR:
                yield begin, [(time, size) for time, size, _ in self.seen.sizes if begin <= time < end]

    def _turn(self, begin: float, end: float, *, black: bool) -> tuple[float, int]:
        """When the first picture after `begin` is, or is no longer, black; how many were decoded to find it."""
        used = 0
        for time, picture in self._decoded(begin, end):
            used += 1
            if time > begin and stretches.is_black(picture) is black:
                return time, used
        return end, used

    def _decoded(self, begin: float, end: float) -> Iterator[tuple[float, bytes]]:
        """Pictures from the keyframe at or before `begin` to `end`, in the order they are shown, without those nothing depends on."""
        stream = self._stream
        stream.codec_context.flush_buffers()
        self._container.seek(int((begin + self._begin + 0.0005) * av.time_base), backward=True)
        for packet in self._container.demux(stream):
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    time = self._shown(frame)
                    if time > end + 1e-6:
                        return
                    if time >= begin - 1e-6:
                        yield time, thumbnail(frame)


def thumbnail(frame: VideoFrame) -> bytes:
    """A picture as `stretches` looks at it."""
    small = frame.reformat(stretches.WIDTH, stretches.HEIGHT, "gray", interpolation=Interpolation.AREA)
    return bytes(small.planes[0])


def look(container: InputContainer, stream: VideoStream) -> tuple[dict[str, Any], list[tuple[float, bytes]]]:
    """All of it as plain JSON types, and the thumbnails of keyframes with their times."""
    one = Look(container, stream, stream.codec_context.width * stream.codec_context.height)
    one.run()
    seen, heard = one.seen, {each.stream.index: each for each in one.heard}
    tracks = [heard.get(each.index) for each in container.streams.audio]
    double = [later for earlier, later in pairwise(seen.times) if later - earlier < _TOGETHER]
    return {
        "pictures": len(seen.times),
        "disorder": [*double, *seen.disorder][:_MOST_DAMAGE],
        "damage": seen.damage,
        "looked": len(seen.thumbnails),
        "apart": round(one.apart, 3),
        "black": one.black(),
        "frozen": one.still(),
        "silent": [each.silent(one.end) if each else [] for each in tracks],
        "loudness": [each.loudness() if each else None for each in tracks],
    }, seen.thumbnails

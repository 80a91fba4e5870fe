"""One pass over a finished file: every packet counted, keyframes looked at, all sound heard. Runs in a child only.

Decoding all pictures would cost a seventh of encoding them. Keyframes show what a person would notice, black and frozen
pictures, at a hundredth of it; `BlackSearch` looks between them where the sizes of packets say that it should.
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
from vidd.media.verify.worker.audio_pass import Heard
from vidd.media.verify.worker.thumbnail import shown_at, thumbnail, thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vidd.media.verify.worker.thumbnail import Covered

# Seconds between two pictures that are looked at, at least; and where packets say that something moves all the time,
# or that nothing does.
_APART, _STEADY = 2.0, 8.0
_ALWAYS, _SIMILAR = 0.8, 0.1
# A packet may have a byte for so many pixels at most, and 64 in all, to say that nothing changes.
_PIXELS_PER_BYTE = 1500
_MOST_DAMAGE = 20
_TOGETHER = 1e-6
# Seconds without a change that are worth it, and that a black picture lasts at least to be one.
_QUIET, _SEEN = 2.0, 0.5
# Pictures that are decoded for it at most: a share of all, and some.
_SHARE, _AT_LEAST = 0.1, 250


class Size(NamedTuple):
    """A packet of the picture: when it is shown, its bytes, whether it is a keyframe, and one whose picture is known."""

    time: float
    bytes: int
    key: bool
    known: bool


@dataclass
class Seen:
    """What a pass found; times are seconds from the file's start. `tiny` packets say that nothing changes."""

    tiny: int
    times: list[float] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    thumbnails: list[tuple[float, bytes]] = field(default_factory=list)
    damage: list[tuple[float, str]] = field(default_factory=list)
    disorder: list[float] = field(default_factory=list)

    @property
    def end(self) -> float:
        """When the last picture comes."""
        return self.times[-1] if self.times else 0.0

    @property
    def apart(self) -> float:
        """The longest time between two pictures that were looked at."""
        at = [0.0, *(time for time, _ in self.thumbnails), self.end]
        return max(later - earlier for earlier, later in pairwise(at))


class Look:
    """The pass; `run` it, then read `seen` and `heard`."""

    def __init__(self, container: InputContainer, stream: VideoStream, covered: Covered | None = None) -> None:
        self._container, self._stream, self._covered = container, stream, covered
        self.begin = (container.start_time or 0) / av.time_base
        context = stream.codec_context
        context.thread_count = 1
        self._length_size = integrity.length_size(context.name, context.extradata)
        self.heard = [
            Heard(audio_stream, self.begin)
            for audio_stream in container.streams.audio
            if audio_stream.codec_context is not None
        ]
        self.seen = Seen(max(64, context.width * context.height // _PIXELS_PER_BYTE))
        self._asked: list[float] = []
        self._moving = self._since = self._key = 0

    def run(self) -> None:
        """Read everything once."""
        stream, tracks = self._stream, {one.stream.index: one for one in self.heard}
        last: dict[int, int] = {}
        self._container.seek(self._container.start_time or 0, backward=True)
        for packet in self._container.demux(stream, *(one.stream for one in self.heard)):
            if not packet.size:
                continue
            if packet.dts is not None:
                if packet.dts <= last.get(packet.stream.index, packet.dts - 1):
                    self.seen.disorder.append(self._time(packet, packet.dts))
                last[packet.stream.index] = packet.dts
            if packet.stream.index == stream.index:
                self._count(packet)
            else:
                self._hear(tracks[packet.stream.index], packet)
        for one in self.heard:
            one.close()
        self.seen.times.sort()
        self.seen.thumbnails.sort()
        self._miss()

    def _time(self, packet: Packet[Any], at: int) -> float:
        return float(at * packet.time_base) - self.begin

    def _hear(self, track: Heard, packet: Packet[Any]) -> None:
        try:
            track.take(packet.decode())
        except av.FFmpegError as error:
            self._damaged(packet, f"its sound cannot be decoded ({error.strerror})")

    def _count(self, packet: Packet[Any]) -> None:
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None:
            return
        time, size = self._time(packet, shown), packet.size
        key = packet.is_keyframe and not self._renews(bytes(packet))
        if not packet.is_discard:
            self.seen.times.append(time)
        if self._length_size and (wrong := integrity.damage(bytes(packet), self._length_size)):
            self._damaged(packet, wrong)
        self._since += not key
        self._moving += not key and size > 4 * self.seen.tiny
        looked, known = self._choice(time, size) if key else (False, False)
        self.seen.sizes.append(Size(time, size, key, known))
        if looked:
            self._asked.append(time)
            self._moving, self._since, self._key = 0, 0, size
            # One that does not decode is missed at the end.
            with suppress(av.FFmpegError):
                self._keep([*packet.decode(), *self._stream.codec_context.decode(None)])
            # Each by itself: a keyframe of an open GOP is thrown away where those before it are missing.
            self._stream.codec_context.flush_buffers()

    def _renews(self, data: bytes) -> bool:
        """Whether it is no keyframe, though readers take it for one: the picture is right only some pictures later."""
        if self._stream.codec_context.codec.canonical_name != "h264" or not self._length_size:
            return False
        with suppress(nal.BadUnits, IndexError):
            return nal.kind_h264(nal.measured(data, self._length_size)) == "renewing"
        return False

    def _choice(self, time: float, size: int) -> tuple[bool, bool]:
        """Whether a keyframe is to be looked at, and whether its picture is then known."""
        elapsed = time - self._asked[-1] if self._asked else _STEADY
        if not self._moving and abs(size - self._key) <= _SIMILAR * self._key:
            return elapsed >= _STEADY, True
        due = elapsed >= (_STEADY if self._moving >= _ALWAYS * self._since else _APART)
        return due, due

    def _damaged(self, packet: Packet[Any], what: str) -> None:
        at = packet.pts if packet.pts is not None else packet.dts
        if len(self.seen.damage) < _MOST_DAMAGE:
            self.seen.damage.append((0.0 if at is None else self._time(packet, at), what))

    def _keep(self, frames: list[VideoFrame]) -> None:
        for frame in frames:
            if frame.pts is not None and not frame.is_corrupt:
                self.seen.thumbnails.append(
                    (shown_at(frame, self._stream) - self.begin, thumbnail(frame, self._covered))
                )

    def _miss(self) -> None:
        """In other containers than MP4 and Matroska a packet may be half a picture."""
        got = {round(time, 3) for time, _ in self.seen.thumbnails}
        lost = [time for time in self._asked if round(time, 3) not in got] if self._length_size else []
        found = [*self.seen.damage, *((time, "a keyframe does not decode") for time in lost)]
        self.seen.damage = sorted(found)[:_MOST_DAMAGE]


class BlackSearch:
    """Decodes parts of a file of which `seen` is known, as long as its budget lasts."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, seen: Seen, covered: Covered | None = None
    ) -> None:
        self._container, self._stream, self._seen, self._covered = container, stream, seen, covered
        self._budget = _SHARE * len(seen.times) + _AT_LEAST

    def black(self) -> list[runs.Stretch]:
        """Where the picture is black, to the picture where the budget allows it."""
        looked = [(time, runs.is_black(one)) for time, one in self._seen.thumbnails]
        looked = sorted([*looked, *self._hidden()])
        times = [time for time, _ in looked]
        found = []
        for first, last in runs.runs(looked):
            before, after = bisect_left(times, first) - 1, bisect_left(times, last) + 1
            begin = self._turn(times[before], first, black=True) if before >= 0 else 0.0
            until = times[after] if after < len(times) else self._seen.end
            found.append((begin, self._turn(last, until, black=False)))
        return [one for one in found if one[1] - one[0] >= _SEEN]

    def _turn(self, begin: float, end: float, *, black: bool) -> float:
        """When the first picture after `begin` is, or is no longer, black; `end` where none is or the budget is used up."""
        for time, picture in self._decoded(begin, end):
            if time > begin and runs.is_black(picture) is black:
                return time
        return end if black or self._budget > 0 else begin

    def _hidden(self) -> Iterator[tuple[float, bool]]:
        """Both ends of the runs in which nothing changes and that no look fell into, and whether they are black."""
        for sizes in self._sequences():
            for first, last, same in quiet_runs(sizes, self._seen.tiny, _QUIET):
                if same and sizes[0].known:
                    continue
                # What follows its keyframe without a change is seen there.
                upto = sizes[0].time if same else (first + last) / 2
                picture = next((one for time, one in self._decoded(sizes[0].time, upto) if same or time >= first), None)
                if picture is not None:
                    black = runs.is_black(picture)
                    yield from ((first, black), (last, black))

    def _sequences(self) -> Iterator[list[Size]]:
        sequence: list[Size] = []
        for size in self._seen.sizes:
            if size.key and sequence:
                yield sequence
                sequence = []
            sequence.append(size)
        if sequence:
            yield sequence

    def _decoded(self, begin: float, end: float) -> Iterator[tuple[float, bytes]]:
        for one in thumbnails(self._container, self._stream, begin, end, self._covered):
            self._budget -= 1
            yield one
            if self._budget <= 0:
                return


def quiet_runs(sizes: list[Size], tiny: int, least: float) -> Iterator[tuple[float, float, bool]]:
    """Where packets from a keyframe on say for `least` seconds that nothing changes; and whether nothing has since it."""
    for first, last in runs.runs((size.time, size.bytes <= tiny) for size in sizes):
        if last - first >= least:
            yield first, last, all(size.bytes <= 2 * tiny for size in sizes[1:] if size.time < first)


def look(
    container: InputContainer, stream: VideoStream, covered: Covered | None = None
) -> tuple[dict[str, Any], list[tuple[float, bytes]]]:
    """All of it as plain JSON types, and the thumbnails of keyframes with their times."""
    one = Look(container, stream, covered)
    one.run()
    seen, heard = one.seen, {each.stream.index: each for each in one.heard}
    tracks = [heard.get(audio_stream.index) for audio_stream in container.streams.audio]
    double = [later for earlier, later in pairwise(seen.times) if later - earlier < _TOGETHER]
    return {
        "pictures": len(seen.times),
        "disorder": [*double, *seen.disorder][:_MOST_DAMAGE],
        "damage": seen.damage,
        "looked": len(seen.thumbnails),
        "apart": round(seen.apart, 3),
        "black": BlackSearch(container, stream, seen, covered).black(),
        "frozen": runs.still(seen.thumbnails),
        "silent": [track.silent(seen.end) if track else [] for track in tracks],
        "loudness": [track.loudness() if track else None for track in tracks],
    }, seen.thumbnails

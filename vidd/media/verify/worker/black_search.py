"""A closer look: where a black picture begins and ends, and whether one hides between keyframes. Runs in a child only."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from vidd.media.verify import runs as verify_runs
from vidd.media.verify.worker.thumbnail import thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from vidd.media.verify.worker.packet_pass import Seen, Size
    from vidd.media.verify.worker.thumbnail import Covered

# Seconds without a change that are worth it, and that a black picture lasts at least to be one.
_QUIET, _SEEN = 2.0, 0.5
# Pictures that are decoded for it at most: a share of all, and some.
_SHARE, _AT_LEAST = 0.1, 250


class Closer:
    """Decodes parts of a file of which `seen` is known, as long as its budget lasts."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, seen: Seen, covered: Covered | None = None
    ) -> None:
        self._container, self._stream, self._seen, self._covered = container, stream, seen, covered
        self._budget = _SHARE * len(seen.times) + _AT_LEAST

    def black(self) -> list[verify_runs.Stretch]:
        """Where the picture is black, to the picture where the budget allows it."""
        looked = [(time, verify_runs.is_black(one)) for time, one in self._seen.thumbnails]
        looked = sorted([*looked, *self._hidden()])
        times = [time for time, _ in looked]
        found = []
        for first, last in verify_runs.runs(looked):
            before, after = bisect_left(times, first) - 1, bisect_left(times, last) + 1
            begin = self._turn(times[before], first, black=True) if before >= 0 else 0.0
            until = times[after] if after < len(times) else self._seen.end
            found.append((begin, self._turn(last, until, black=False)))
        return [one for one in found if one[1] - one[0] >= _SEEN]

    def _turn(self, begin: float, end: float, *, black: bool) -> float:
        """When the first picture after `begin` is, or is no longer, black; `end` where none is or the budget is used up."""
        for time, picture in self._decoded(begin, end):
            if time > begin and verify_runs.is_black(picture) is black:
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
                    black = verify_runs.is_black(picture)
                    yield from ((first, black), (last, black))

    def _sequences(self) -> Iterator[list[Size]]:
        sequence: list[Size] = []
        for one in self._seen.sizes:
            if one.key and sequence:
                yield sequence
                sequence = []
            sequence.append(one)
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
    for first, last in verify_runs.runs((one.time, one.bytes <= tiny) for one in sizes):
        if last - first >= least:
            yield first, last, all(one.bytes <= 2 * tiny for one in sizes[1:] if one.time < first)

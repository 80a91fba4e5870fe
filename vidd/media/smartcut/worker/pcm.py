"""Holds the audio of a clip in memory, for the seams of copied AAC."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from pathlib import Path

_BYTES = 4


@dataclass(frozen=True, slots=True)
class Samples:
    """A plane of 32-bit floats for each channel, all of `count` samples."""

    planes: tuple[bytes, ...]
    count: int

    def between(self, begin: int, end: int) -> list[bytes]:
        """Each channel's samples from `begin` to before `end`, which may reach beyond both ends: silence is there."""
        low, high = (min(max(0, sample), self.count) for sample in (begin, end))
        before, behind = bytes((min(end, 0) - min(begin, 0)) * _BYTES), max(0, end - max(begin, self.count))
        return [before + plane[low * _BYTES : high * _BYTES] + bytes(behind * _BYTES) for plane in self.planes]


def silence(channels: int) -> Samples:
    """No audio at all."""
    return Samples((b"",) * channels, 0)


def read(path: Path) -> Samples:
    """All of a WAV file of floats."""
    mixed = array("f")
    with av.open(str(path)) as container:
        channels = container.streams.audio[0].codec_context.channels
        for frame in container.decode(audio=0):
            mixed.frombytes(bytes(frame.planes[0])[: frame.samples * channels * _BYTES])
    return Samples(tuple(mixed[channel::channels].tobytes() for channel in range(channels)), len(mixed) // channels)

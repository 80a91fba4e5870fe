"""Asks a child what a media file holds; foreign media is never opened in the daemon itself.

Starting the child costs a few hundred milliseconds and a question a few, so the daemon keeps one (`Encoder.shared`).
"""

from __future__ import annotations

import os
from math import floor
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.model.media import Media
from vidd.processes.worker_client import JsonLinesProcess, WorkerDied, retry_if_interrupted, worker_argv

if TYPE_CHECKING:
    from pathlib import Path

    from vidd.ports import Encoder

# Address space, not memory in use: a damaged file may claim any size, and must not take the machine with it.
MEMORY = 8 << 30


class MediaReader:
    """A child that answers questions about media files. `name` is what the operator knows a file by; paths are absolute."""

    module = "vidd.media.probe.worker.main"

    def __init__(self, *, nice: int = 0, timeout: float = 60.0) -> None:
        self.nice, self.timeout = nice, timeout
        self.worker = JsonLinesProcess(worker_argv(self.module), memory=MEMORY, nice=nice)

    async def ask(self, ask: str, path: Path, name: str | None, **more: Any) -> dict[str, Any]:
        """The answer; Refused if the file cannot be used or crashes the child, RetryLater if it took too long."""
        shown = name or path.name
        question = {"ask": ask, "path": os.fspath(path), "name": shown, **more}
        try:
            with retry_if_interrupted(f"reading the file {quoted(shown)}", self.timeout):
                return await self.worker.ask(question, timeout=self.timeout)
        except WorkerDied as died:
            raise Refused(
                f"The file {quoted(shown)} crashes the media reader ({died}): encode the file anew."
            ) from None

    async def close(self) -> None:
        """End the child."""
        await self.worker.close()


class Prober(MediaReader):
    """Answers short questions about media files."""

    async def probe(self, path: Path, name: str | None = None) -> Media:
        """What the file holds; Refused if it is no video that vidd can process."""
        return Media.from_json((await self.ask("describe", path, name))["media"])

    async def seek_point(self, path: Path, start: float, name: str | None = None) -> float:
        """Seconds from the file's start to seek to, so that a keyframe comes at or before `start`."""
        point: float = (await self.ask("seek_point", path, name, start=start))["point"]
        return point

    async def count(self, path: Path, start: float, end: float, name: str | None = None) -> int:
        """How many frames lie from `start` to before `end`, in seconds from the file's start."""
        number: int = (await self.ask("count", path, name, start=start, end=end))["number"]
        return number

    async def segment(self, path: Path, name: str | None = None) -> dict[str, Any]:
        """What a segment of an encode holds, as `vidd.media.probe.worker.segments.segment` returns it."""
        return await self.ask("segment", path, name)

    async def keyframes(self, path: Path, before: float, name: str | None = None) -> list[float]:
        """Some of the last keyframes shown before a time, in seconds from the file's start."""
        found: list[float] = (await self.ask("keyframes", path, name, before=before))["keyframes"]
        return found


async def probe(encoder: Encoder, path: Path, name: str | None = None) -> Media:
    """What a file holds; Refused if it is no video that vidd can process."""
    return await encoder.shared.get(Prober).probe(path, name)


async def probe_report(path: Path) -> dict[str, Any]:
    """What a file holds as plain JSON types, for people who look at one file; Refused as `probe`."""
    prober = Prober()
    try:
        return (await prober.probe(path.absolute())).to_json()
    finally:
        await prober.close()


async def seek_to(encoder: Encoder, path: Path, media: Media, start: float, name: str) -> float:
    """Seconds from the file's start to seek to, so that video and audio from `start` on decode correctly."""
    # MP4 has an index of keyframes, so that ffmpeg itself finds the one before; the second serves the audio decoder.
    point = max(0.0, start - 1)
    if point and not media.container.startswith("mov"):
        point = await encoder.shared.get(Prober).seek_point(path, start, name)
    # Where a tick is a whole frame (AVI), a seek to between two would move the video against the audio.
    rate = media.video[0].rate
    return floor(point * rate) / rate if rate else point

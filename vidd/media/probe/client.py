"""What a media file holds, asked of a child: foreign media is never opened in the daemon itself.

`python -m vidd.media.probe.client FILE` prints one answer for people. Without a file it is the child: a question per line
of stdin, an answer per line of stdout, both JSON. Starting it costs a few hundred milliseconds and a question a few,
so the daemon keeps one child per event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import floor
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from vidd.aio.shield import shield_to_end
from vidd.display_text import quoted
from vidd.errors import Refused, RetryLater
from vidd.model.media import Media
from vidd.processes.conversation import JsonLinesProcess, Lost

# Address space, not memory in use: a damaged file may claim any size, and must not take the machine with it.
_MEMORY = 8 << 30
# Seconds that a whole file may take: a start, and so many bytes a second, of which every keyframe is decoded.
_START, _PACE = 120.0, 500_000
_KEPT = 2
_SMALL = 4 << 20
# Somebody else's doing (a full memory, an operator), which says nothing about the file.
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


class Prober:
    """Answers about media files. `name` is what the operator knows a file by; paths are absolute."""

    def __init__(self, timeout: float = 60.0, *, nice: int = 0) -> None:
        # -P: a module of this name in the current directory is not ours.
        self._dialogue = JsonLinesProcess(
            [sys.executable, "-P", "-m", "vidd.media.probe.client"], memory=_MEMORY, nice=nice
        )
        self._timeout = timeout
        self.nice = nice

    async def probe(self, path: Path, name: str | None = None) -> Media:
        """What the file holds; Refused where it is no video that can be worked on."""
        return Media.from_json((await self._ask("describe", path, name))["media"])

    async def examine(self, path: Path, name: str | None = None, **asked: Any) -> dict[str, Any]:
        """All that a finished file shows when it is read once, as `vidd.media.verify.worker.main` has it."""
        return await self._ask("examine", path, name, **asked)

    async def seek_point(self, path: Path, start: float, name: str | None = None) -> float:
        """Seconds from the file's start to seek to, so that a keyframe comes at or before `start`."""
        point: float = (await self._ask("seek_point", path, name, start=start))["point"]
        return point

    async def count(self, path: Path, start: float, end: float, name: str | None = None) -> int:
        """How many pictures lie from `start` to before `end`, in seconds from the file's start."""
        number: int = (await self._ask("count", path, name, start=start, end=end))["number"]
        return number

    def patience(self, path: Path) -> None:
        """Wait for answers about this file as long as a slow disk needs to read it."""
        self._timeout = _START + path.stat().st_size / _PACE

    async def segment(self, path: Path, name: str | None = None) -> dict[str, Any]:
        """What a segment of an encode holds: `pictures`, `first`, `last`, `scale` and `fault`, as `places.segment` says."""
        return await self._ask("segment", path, name)

    async def keyframes(self, path: Path, before: float, name: str | None = None) -> list[float]:
        """Some of the last keyframes shown before a time, in seconds from the file's start."""
        found: list[float] = (await self._ask("keyframes", path, name, before=before))["keyframes"]
        return found

    async def close(self) -> None:
        """End the child."""
        await self._dialogue.close()

    async def _ask(self, ask: str, path: Path, name: str | None, **more: Any) -> dict[str, Any]:
        shown = name or path.name
        question = {"ask": ask, "path": os.fspath(path), "name": shown, **more}
        try:
            answer = await self._dialogue.ask(question, self._timeout)
        except TimeoutError:
            raise RetryLater(f"The file {quoted(shown)} could not be read within {self._timeout:g} s.") from None
        except Lost as lost:
            if lost.code in _FROM_OUTSIDE:
                raise RetryLater(
                    f"The reader of media was killed while it looked at {quoted(shown)} ({lost})."
                ) from None
            raise Refused(
                f"The file {quoted(shown)} makes the reader of media crash ({lost}): encode it anew."
            ) from None
        if "refused" in answer:
            raise Refused(answer["refused"])
        if "again" in answer:
            raise RetryLater(answer["again"])
        return answer


class Examiners:
    """Children that examine whole files, for as long as that takes, so that nobody's short question waits for them.

    There are as many at once as there are processors; two are kept for the next file.
    """

    def __init__(self) -> None:
        self._idle: list[Prober] = []
        self._busy: set[Prober] = set()
        self._places = asyncio.Semaphore(os.cpu_count() or 1)

    @asynccontextmanager
    async def one(self, path: Path, nice: int) -> AsyncIterator[Prober]:
        """A child to ask about this file, which steps back behind everything else by `nice`.

        What takes no time is asked of the prober: starting a child costs more.
        """
        if path.stat().st_size <= _SMALL:
            yield prober()
            return
        async with self._places:
            fit = next((one for one in self._idle if one.nice == nice), None)
            if fit is not None:
                self._idle.remove(fit)
            child = fit or Prober(nice=nice)
            child.patience(path)
            self._busy.add(child)
            try:
                yield child
            finally:
                self._busy.discard(child)
                self._idle.append(child)
                if len(self._idle) > _KEPT:
                    await shield_to_end(self._idle.pop(0).close())

    async def close(self) -> None:
        """End them all."""
        for child in (*self._idle, *self._busy):
            await child.close()
        self._idle.clear()


_probers: WeakKeyDictionary[asyncio.AbstractEventLoop, Prober] = WeakKeyDictionary()


_examiners: WeakKeyDictionary[asyncio.AbstractEventLoop, Examiners] = WeakKeyDictionary()


def prober() -> Prober:
    """The prober of this event loop, made when it is first asked for."""
    return _probers.setdefault(asyncio.get_running_loop(), Prober())


def examiner(path: Path, nice: int) -> AbstractAsyncContextManager[Prober]:
    """A child of this event loop to examine a whole file with."""
    return _examiners.setdefault(asyncio.get_running_loop(), Examiners()).one(path, nice)


async def probe(path: Path, name: str | None = None) -> Media:
    """What a file holds; Refused with a sentence where it is no video that can be worked on."""
    return await prober().probe(path, name)


async def seek_to(path: Path, media: Media, start: float, name: str) -> float:
    """Seconds from the file's start to seek to, so that picture and sound from `start` on are decoded rightly."""
    # MP4 has an index of keyframes, so that ffmpeg itself finds the one before; the second serves the sound's decoder.
    point = max(0.0, start - 1)
    if point and not media.container.startswith("mov"):
        point = await prober().seek_point(path, start, name)
    # Where a tick is a whole picture (AVI), a seek to between two would move the picture against the sound.
    rate = media.video[0].rate
    return floor(point * rate) / rate if rate else point


async def close_probers() -> None:
    """End this event loop's children; a later question starts others."""
    for kept in (_probers, _examiners):
        one = kept.pop(asyncio.get_running_loop(), None)
        if one is not None:
            await one.close()


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    from vidd.media.probe.worker import measure, reader, segments  # noqa: PLC0415 - only the child opens media, and the import is dear
    from vidd.media.verify.worker import main as worker_main  # noqa: PLC0415 - only the child opens media, and the import is dear

    path, name = Path(question["path"]), question["name"]
    questions: dict[str, Callable[[], dict[str, Any]]] = {
        "describe": lambda: {"media": reader.describe(path, name).to_json()},
        "examine": lambda: worker_main.examine(path, name, question),
        "seek_point": lambda: {"point": measure.seek_point(path, name, question["start"])},
        "segment": lambda: segments.segment(path, name),
        "keyframes": lambda: {"keyframes": segments.keyframes(path, name, question["before"])},
        "count": lambda: {"number": measure.count(path, name, question["start"], question["end"])},
    }
    try:
        return questions[question["ask"]]()
    except Refused as refused:
        return {"refused": refused.sentence}
    except RetryLater as again:
        return {"again": again.sentence}


def main(files: list[str]) -> int:
    """Answer for one file, for people; or converse. The exit code is 1 where the file is refused."""
    if files:
        path = Path(files[0]).absolute()
        answer = _answer({"ask": "describe", "path": str(path), "name": path.name})
        print(json.dumps(answer.get("media", answer), indent=2))  # noqa: T201 - this is the program's answer
        return 0 if "media" in answer else 1
    # In the middle of a C library Python's own handler would wait for the library to return.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A folder: every recording that is put there arrives, once it has stood still.

The file system's notices only wake the watcher up. What is there is decided by looking, at every notice and at
least every `rescan`, because notices are missing on network file systems and for names that are not UTF-8.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from pathlib import Path

from pydantic import Field
from watchfiles import awatch

from vidd.aio.wait import sleep_or_event
from vidd.errors import RetryLater
from vidd.files.disk_space import disk_fault
from vidd.model.arrival import file_arrival
from vidd.model.job import Arrival
from vidd.ports import Listed, SourceContext, Tools
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

_BATCH = 500
_REMEMBERED = 100_000
_UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".download", "~")
_VIDEOS = (
    ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogv",
    ".ts", ".webm", ".wmv",
)  # fmt: skip


class Options(Base):
    """Settings of a source of kind `folder`."""

    path: Path = Field(description="The folder; from the state directory where it is relative, made if missing.")
    pipeline: str | None = Field(None, description="Where its files go.")
    suffixes: tuple[str, ...] = Field(_VIDEOS, description="The ends of names that count; an empty list: all files.")
    recursive: bool = Field(False, description="Look into folders in the folder too.")
    settle: Duration = Field(2.0, ge=0, description="How long a file's size and time must have stood still.")
    rescan: Duration = Field(30.0, gt=0, description="How often to look where the file system sends no notices.")
    priority: int = Field(0, description="The highest is worked on first.")


@dataclass(frozen=True, slots=True)
class Found:
    """A file as one look saw it; `path` is free of symbolic links."""

    path: str
    size: int
    mtime_ns: int


@dataclass
class Looks:
    """What the looks before this one saw. Both tables are pruned to what is still there."""

    settle: float
    pending: dict[str, tuple[Found, float]] = field(default_factory=dict)
    handed: dict[str, Found] = field(default_factory=dict)

    def still(self, files: Sequence[Found], now: float) -> list[Found]:
        """The files of this look that count and have not been handed in; the others are pending.

        A file counts when two looks `settle` apart saw the same size and mtime. One that was renamed in, or was
        there before vidd, carries an mtime that is already older than that: it has stood still for as long, and
        counts at its first look. Notices cannot tell a rename from the start of a slow copy, the mtime can.
        """
        pending, counting = {}, []
        for file in files:
            if self.handed.get(file.path) == file:
                continue
            before, since = self.pending.get(file.path, (None, now))
            since = since if before == file else now
            if (before == file and now - since >= self.settle) or now - file.mtime_ns / 1e9 >= self.settle:
                counting.append(file)
            else:
                pending[file.path] = (file, since)
        self.pending = pending
        there = {file.path for file in files}
        self.handed = {path: one for path, one in self.handed.items() if path in there}
        return counting

    def handed_in(self, files: Sequence[Found]) -> None:
        """Remember these; what is forgotten for lack of room is known to the intake by its key."""
        self.handed |= {file.path: file for file in files}
        for path in list(islice(self.handed, max(0, len(self.handed) - _REMEMBERED))):
            del self.handed[path]

    def next_look(self, now: float) -> float:
        """Seconds until a pending file may count; endless where there is none."""
        return min((max(0.05, since + self.settle - now) for _, since in self.pending.values()), default=inf)


async def watch(options: Options, context: SourceContext) -> None:
    """Hand in what stands still; never returns."""
    folder = context.tools.path(options.path)
    looks = Looks(options.settle)
    notices = _Notices(folder, recursive=options.recursive)
    made = False
    try:
        while True:
            wait = options.rescan
            try:
                if not made:
                    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
                    made = True
                # Before the look, so that nothing falls between the look and the first notice.
                await notices.listen()
                files, trouble = await asyncio.to_thread(look, folder, options)
            except OSError as error:
                context.down(disk_fault(error, f"looking into the folder {folder}").sentence)
            else:
                wait = min(wait, await _hand_in(files, looks, options, context))
                if trouble:
                    context.down(trouble)
                else:
                    context.up()
                if not looks.pending:
                    context.caught_up()
            await sleep_or_event(context.pause(wait), notices.bell)
    finally:
        await notices.stop()


async def _hand_in(files: Sequence[Found], looks: Looks, options: Options, context: SourceContext) -> float:
    """Hand in what counts; returns the longest that the next look may wait."""
    now = context.tools.clock.now().timestamp()
    counting = looks.still(files, now)
    for start in range(0, len(counting), _BATCH):
        batch = counting[start : start + _BATCH]
        await context.admit([_arrival(one, options) for one in batch])
        looks.handed_in(batch)
    return looks.next_look(now)


async def check(options: Options, tools: Tools) -> str:
    """Look into the folder once and say how much is there."""
    folder = tools.path(options.path)
    try:
        files, trouble = await asyncio.to_thread(look, folder, options)
    except FileNotFoundError:
        return f"{folder} is not there yet and will be made"
    except OSError as error:
        raise disk_fault(error, f"looking into the folder {folder}") from error
    return trouble or f"{folder} holds {len(files)} recordings"


async def audit(options: Options, tools: Tools, name: str) -> list[Listed]:  # noqa: ARG001 - a key has no source in it
    """The recordings that are in the folder now; one that has not stood still yet waits."""
    folder = tools.path(options.path)
    try:
        files, trouble = await asyncio.to_thread(look, folder, options)
    except OSError as error:
        raise disk_fault(error, f"looking into the folder {folder}") from error
    if trouble:
        raise RetryLater(trouble)
    now = tools.clock.now().timestamp()
    return [
        Listed(Path(file.path).name, why="It has not stood still yet.", waits=True)
        if now - file.mtime_ns / 1e9 < options.settle
        else Listed(Path(file.path).name, _arrival(file, options))
        for file in files
    ]


def look(folder: Path, options: Options) -> tuple[list[Found], str | None]:
    """The recordings there are, and what could not be looked into. OSError where the folder itself cannot be read."""
    root = os.path.realpath(folder)
    trouble: list[str] = []
    files = {one.path: one for one in _walk(root, root, options, trouble)}
    return list(files.values()), trouble[0] if trouble else None


def _walk(directory: str, root: str, options: Options, trouble: list[str]) -> Iterator[Found]:
    try:
        with os.scandir(directory) as entries:
            listed = list(entries)
    except OSError as error:
        if directory == root:
            raise
        trouble.append(disk_fault(error, f"looking into the folder {directory!a}").sentence)
        return
    ends = tuple(end.lower() for end in options.suffixes)
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if options.recursive:
                yield from _walk(entry.path, root, options, trouble)
        elif (not ends or entry.name.lower().endswith(ends)) and not entry.name.lower().endswith(_UNFINISHED):
            found = _found(entry, root)
            if found:
                yield found


def _found(entry: os.DirEntry[str], root: str) -> Found | None:
    """A regular file in the folder; a symbolic link counts only as the file in the folder that it leads to."""
    path = entry.path
    if entry.is_symlink():
        path = os.path.realpath(path)
        if not Path(path).is_relative_to(root):
            return None
    try:
        if not (entry.is_file() if entry.is_symlink() else entry.is_file(follow_symlinks=False)):
            return None
        stat = Path(path).lstat()
    except OSError:
        return None  # it went away between the listing and this
    return Found(path, stat.st_size, stat.st_mtime_ns)


def _arrival(one: Found, options: Options) -> Arrival:
    return file_arrival(
        Path(one.path), size=one.size, mtime_ns=one.mtime_ns, priority=options.priority, pipeline=options.pipeline
    )


class _Notices:
    """The file system's notices of one folder, as a bell."""

    def __init__(self, folder: Path, *, recursive: bool) -> None:
        self.bell = asyncio.Event()
        self._folder, self._recursive = folder, recursive
        self._inode: int | None = None
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """See to it that somebody listens to the folder that is there now. OSError where there is none."""
        self.bell.clear()
        inode = self._folder.stat().st_ino
        if self._task is None or self._task.done() or inode != self._inode:
            await self.stop()
            self._inode = inode
            self._task = asyncio.create_task(self._run(), name=f"notices of {self._folder}")
            await asyncio.sleep(0)  # its first step opens the notices

    async def stop(self) -> None:
        """Nobody listens when it returns."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async for _ in awatch(self._folder, watch_filter=None, debounce=400, recursive=self._recursive):
                self.bell.set()
        except* RuntimeError:
            # watchfiles gives up at a name that is not UTF-8. The pause keeps a reason that stays from a busy loop.
            await asyncio.sleep(1)
            self.bell.set()
        except* OSError:
            pass  # no notices on this file system: the rescan finds what is there

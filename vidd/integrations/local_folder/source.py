"""Watches a folder: every recording that is put there arrives once it is unchanged for a while.

The file system's notifications only wake the watcher; it lists the folder at every notification and at least every
`rescan`, because notifications are missing on network file systems and for names that are not UTF-8.
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
    settle: Duration = Field(2.0, ge=0, description="How long a file's size and time must be unchanged.")
    rescan: Duration = Field(30.0, gt=0, description="How often to look where the file system sends no notifications.")
    priority: int = Field(0, description="The highest is worked on first.")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as it was listed; `path` is free of symbolic links, `size` in bytes."""

    path: str
    size: int
    mtime_ns: int


@dataclass
class FolderState:
    """What earlier listings found. Both tables hold only files that still exist; `stable_for` is in seconds."""

    stable_for: float
    pending: dict[str, tuple[ListedFile, float]] = field(default_factory=dict)
    admitted: dict[str, ListedFile] = field(default_factory=dict)

    def stable(self, files: Sequence[ListedFile], now: float) -> list[ListedFile]:
        """The files that are stable and not yet admitted; the others become pending.

        A file is stable when two listings `stable_for` apart found the same size and mtime. A file that was renamed into
        the folder, or was there before vidd, has an mtime older than that and is stable at its first listing.
        Notifications cannot tell a rename from the start of a slow copy; the mtime can.
        """
        pending, stable = {}, []
        for file in files:
            if self.admitted.get(file.path) == file:
                continue
            before, since = self.pending.get(file.path, (None, now))
            since = since if before == file else now
            if (before == file and now - since >= self.stable_for) or now - file.mtime_ns / 1e9 >= self.stable_for:
                stable.append(file)
            else:
                pending[file.path] = (file, since)
        self.pending = pending
        there = {file.path for file in files}
        self.admitted = {path: file for path, file in self.admitted.items() if path in there}
        return stable

    def mark_admitted(self, files: Sequence[ListedFile]) -> None:
        """Remember these as admitted; the intake recognizes by its key what is forgotten here for lack of room."""
        self.admitted |= {file.path: file for file in files}
        for path in list(islice(self.admitted, max(0, len(self.admitted) - _REMEMBERED))):
            del self.admitted[path]

    def next_look(self, now: float) -> float:
        """Seconds until a pending file may be stable; infinity where there is none."""
        return min((max(0.05, since + self.stable_for - now) for _, since in self.pending.values()), default=inf)


async def watch(options: Options, context: SourceContext) -> None:
    """Hand in files that are stable; never returns."""
    folder = context.tools.path(options.path)
    state = FolderState(options.settle)
    notifications = _Notifications(folder, recursive=options.recursive)
    created = False
    try:
        while True:
            wait = options.rescan
            try:
                if not created:
                    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
                    created = True
                # Before the listing, so that no change falls between the listing and the first notification.
                await notifications.listen()
                files, trouble = await asyncio.to_thread(_list_files, folder, options)
            except OSError as error:
                context.mark_down(disk_fault(error, f"looking into the folder {folder}").sentence)
            else:
                wait = min(wait, await _hand_in(files, state, options, context))
                if trouble:
                    context.mark_down(trouble)
                else:
                    context.mark_up()
                if not state.pending:
                    context.mark_caught_up()
            await sleep_or_event(context.pause(wait), notifications.event)
    finally:
        await notifications.stop()


async def _hand_in(files: Sequence[ListedFile], state: FolderState, options: Options, context: SourceContext) -> float:
    """Hand in stable files; returns how many seconds the next listing may wait."""
    now = context.tools.clock.now().timestamp()
    stable = state.stable(files, now)
    for start in range(0, len(stable), _BATCH):
        batch = stable[start : start + _BATCH]
        await context.admit([_arrival(file, options) for file in batch])
        state.mark_admitted(batch)
    return state.next_look(now)


async def check(options: Options, tools: Tools) -> str:
    """List the folder once and count its recordings."""
    folder = tools.path(options.path)
    try:
        files, trouble = await asyncio.to_thread(_list_files, folder, options)
    except FileNotFoundError:
        return f"{folder} does not exist yet; vidd will create it"
    except OSError as error:
        raise disk_fault(error, f"looking into the folder {folder}") from error
    return trouble or f"{folder} holds {len(files)} recordings"


async def audit(options: Options, tools: Tools, name: str) -> list[Listed]:  # noqa: ARG001 - a key has no source in it
    """The recordings that are in the folder now; a file that is not stable yet waits."""
    folder = tools.path(options.path)
    try:
        files, trouble = await asyncio.to_thread(_list_files, folder, options)
    except OSError as error:
        raise disk_fault(error, f"looking into the folder {folder}") from error
    if trouble:
        raise RetryLater(trouble)
    now = tools.clock.now().timestamp()
    return [
        Listed(Path(file.path).name, why="The file is still changing.", waits=True)
        if now - file.mtime_ns / 1e9 < options.settle
        else Listed(Path(file.path).name, _arrival(file, options))
        for file in files
    ]


def _list_files(folder: Path, options: Options) -> tuple[list[ListedFile], str | None]:
    """The recordings, and what could not be listed. Raises OSError where the folder itself cannot be read."""
    root = os.path.realpath(folder)
    trouble: list[str] = []
    files = {file.path: file for file in _walk(root, root, options, trouble)}
    return list(files.values()), trouble[0] if trouble else None


def _walk(directory: str, root: str, options: Options, trouble: list[str]) -> Iterator[ListedFile]:
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


def _found(entry: os.DirEntry[str], root: str) -> ListedFile | None:
    """A regular file; a symbolic link stands for the file it leads to, which must be in the folder."""
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
        return None  # it disappeared after the listing
    return ListedFile(path, stat.st_size, stat.st_mtime_ns)


def _arrival(file: ListedFile, options: Options) -> Arrival:
    return file_arrival(
        Path(file.path), size=file.size, mtime_ns=file.mtime_ns, priority=options.priority, pipeline=options.pipeline
    )


class _Notifications:
    """The file system's notifications of one folder; each sets `event`."""

    def __init__(self, folder: Path, *, recursive: bool) -> None:
        self.event = asyncio.Event()
        self._folder, self._recursive = folder, recursive
        self._inode: int | None = None
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Listen to the folder that exists now. Raises OSError where there is none."""
        self.event.clear()
        inode = self._folder.stat().st_ino
        if self._task is None or self._task.done() or inode != self._inode:
            await self.stop()
            self._inode = inode
            self._task = asyncio.create_task(self._run(), name=f"notifications of {self._folder}")
            await asyncio.sleep(0)  # its first step subscribes to the notifications

    async def stop(self) -> None:
        """Stop listening, and return once that has ended."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async for _ in awatch(self._folder, watch_filter=None, debounce=400, recursive=self._recursive):
                self.event.set()
        except* RuntimeError:
            # watchfiles raises this at a name that is not UTF-8. The pause avoids a busy loop while such a name stays.
            await asyncio.sleep(1)
            self.event.set()
        except* OSError:
            pass  # no notifications on this file system: the rescan finds the files

"""A sheet in a .csv or .xlsx file: changed in a temporary file, which replaces it by rename.

A person may save the same file at any time. Before the rename vidd checks the file again, and where it has changed since
vidd read it, vidd applies the change anew. A save that falls between that check and the rename, within microseconds, is
lost if it replaced the file; if it wrote into the old file, vidd still sees it and takes it over. While somebody has the
file open in a spreadsheet program, vidd waits: that program keeps its own copy, and would save it over vidd's change.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from vidd.errors import FaultCode, Refused, RetryLater
from vidd.files.atomic import sync
from vidd.files.disk_space import disk_fault
from vidd.integrations.sheet.backends import csv, xlsx
from vidd.integrations.sheet.backends.owner_file import wait_until_closed
from vidd.integrations.sheet.table import CellEdit, Change, Grid, Version

_LARGEST = 32 * 1024 * 1024
_ATTEMPTS = 5
_QUIET = 0.2
_QUIET_CHECKS = 100
_FORMATS = {".csv": csv, ".tsv": csv, ".xlsx": xlsx, ".xlsm": xlsx}

Signature = tuple[int, int, int]
"""Inode, size and mtime: what changes whenever a file does."""


class SheetFiles:
    """The sheets in files that a daemon writes: a lock for each, and the signature of what vidd last wrote."""

    def __init__(self) -> None:
        self._locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        # A file that vidd wrote is complete, however young it is.
        self.written: dict[Path, Signature] = {}

    def lock(self, path: Path) -> threading.Lock:
        """A thread's lock and not asyncio's: the thread of a cancelled writer runs to its end and must exclude others."""
        return self._locks[path]


def signature(stat: os.stat_result) -> Signature:
    """The signature of a file."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def sheet_format(path: Path) -> ModuleType:
    """The module that reads this kind of file."""
    if path.suffix.lower() not in _FORMATS:
        raise Refused(f"The sheet {path.name!r} is neither .csv nor .xlsx: save it as one of them.")
    return _FORMATS[path.suffix.lower()]


class FileBook:
    """A .csv or .xlsx file; `tab` is the only tab that counts, None for all that are visible."""

    def __init__(self, path: Path, files: SheetFiles, tab: str | None = None) -> None:
        # A symbolic link stays a link: the file it leads to is replaced.
        self.path = Path(os.path.realpath(path))
        self.tab = tab
        self.format = sheet_format(path)
        self._files = files
        self._lock = files.lock(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def address(self) -> str:
        return str(self.path)

    async def version(self) -> Version:
        """See Book. A file is complete only some time after its last change."""
        return await asyncio.to_thread(self._version)

    async def read(self) -> Sequence[Grid]:
        """See Book."""
        return await asyncio.to_thread(self._read)

    async def edit(self, change: Change) -> Sequence[CellEdit]:
        """See Book."""
        return await asyncio.to_thread(self._edit, change)

    def _version(self) -> Version:
        with self._open() as handle:
            stat = os.fstat(handle)
        return Version(signature(stat), datetime.fromtimestamp(stat.st_mtime_ns / 1e9, UTC))

    def _read(self) -> tuple[Grid, ...]:
        with self._open() as handle:
            return self._grids(self._content(handle))

    def _edit(self, change: Change) -> tuple[CellEdit, ...]:
        with self._lock:
            for _ in range(_ATTEMPTS):
                with self._open() as handle:
                    done = self._attempt(handle, change)
                if done is not None:
                    return done
        raise RetryLater(
            f"The sheet {self.path.name!r} is being changed all the time: vidd will retry.",
            after=10,
            code=FaultCode.CONFLICT,
        )

    def _attempt(self, handle: int, change: Change) -> tuple[CellEdit, ...] | None:
        """The edits left out; None where the file changed in the meantime."""
        self._wait_until_quiet(handle)
        seen = signature(os.fstat(handle))
        content = self._content(handle)
        before = self._grids(content)
        requested = [edit for edit in change(before) if isinstance(edit, CellEdit)]
        edits = [edit for edit in requested if _old_text(before, edit) != edit.text]
        if not edits:
            return ()
        new, left = self.format.patch(content, edits)
        writes = [edit for edit in edits if edit not in left]
        if not writes:
            return tuple(left)
        self._check(before, new, writes)
        wait_until_closed(self.path)
        if not self._replace(new, handle, seen):
            return None
        if signature(os.fstat(handle))[1:] != seen[1:]:
            # Somebody wrote into the old file while vidd replaced it: restore that content, then apply the change to it.
            self._wait_until_quiet(handle)
            self._replace(self._content(handle), handle, None)
            return None
        return tuple(left)

    def _replace(self, content: bytes, model: int, seen: Signature | None) -> bool:
        """Replace the file by rename; False where it is no longer the one that was seen. `model` is the old file."""
        part = self.path.with_name(f".{self.path.name}.vidd-part")
        replaced = False
        try:
            with _exclusive(part) as target:
                _write_like(target, content, model)
                if seen is None or signature(self.path.stat()) == seen:
                    part.replace(self.path)
                    replaced = True
                    self._files.written[self.path] = signature(os.fstat(target))
            sync(self.path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_fault(error, f"writing the sheet {self.path}") from error
        finally:
            if not replaced:
                with suppress(OSError):
                    part.unlink()
        return replaced

    def _wait_until_quiet(self, handle: int) -> None:
        """Wait out a program that writes in place: a file that changed a moment ago may be incomplete."""
        for _ in range(_QUIET_CHECKS):
            stat = os.fstat(handle)
            if self._files.written.get(self.path) == signature(stat) or not 0 <= time.time() - stat.st_mtime < _QUIET:
                return
            time.sleep(_QUIET / 4)

    def _check(self, before: Sequence[Grid], new: bytes, edits: Sequence[CellEdit]) -> None:
        """Raise Refused where the new content differs from the old in anything but these edits."""
        after = self._grids(new)
        requested = {(edit.tab, edit.row, edit.column): edit.text for edit in edits}
        for old, now in zip(before, after, strict=True):
            for row in range(1, max(len(old.rows), len(now.rows)) + 1):
                for column in range(max(_width(old, row), _width(now, row))):
                    expected = requested.get((old.tab, row, column), old.text(row, column))
                    if now.text(row, column) != expected:
                        raise Refused(
                            f"The sheet {self.path.name!r} has something in row {row} that vidd cannot preserve, so vidd wrote "
                            "nothing: save the sheet anew from a spreadsheet program, then retry."
                        )

    def _grids(self, content: bytes) -> tuple[Grid, ...]:
        try:
            found: tuple[Grid, ...] = self.format.grids(content, self.tab)
        except RetryLater as fault:
            raise RetryLater(f"{self.path.name}: {fault.sentence}", after=fault.after) from None
        except Refused as fault:
            raise Refused(f"{self.path.name}: {fault.sentence}") from None
        return found

    @contextmanager
    def _open(self) -> Iterator[int]:
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise RetryLater(f"There is no sheet {self.path}: put it there, or correct its path.") from None
        except OSError as error:
            raise disk_fault(error, f"opening the sheet {self.path}") from error
        try:
            yield handle
        finally:
            os.close(handle)

    def _content(self, handle: int) -> bytes:
        try:
            stat = os.fstat(handle)
            if stat.st_size > _LARGEST:
                raise Refused(
                    f"The sheet {self.path.name!r} has more than 32 MiB, and no programme is that large: look at what it is."
                )
            content = os.pread(handle, _LARGEST + 1, 0)
            while len(content) < stat.st_size and (more := os.pread(handle, _LARGEST, len(content))):
                content += more
            quiet = signature(os.fstat(handle)) == signature(stat) and len(content) == stat.st_size
        except OSError as error:
            raise disk_fault(error, f"reading the sheet {self.path}") from error
        if not quiet:
            raise RetryLater(
                f"The sheet {self.path.name!r} is being written just now: vidd will read it again.", after=5
            )
        return content


def make_sheet(path: Path, headings: str) -> None:
    """Create a CSV file with its headings where there is no file."""
    if path.suffix.lower() != ".csv" or path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), path.open("x", encoding="utf-8") as new:
            new.write(headings)
    except OSError as error:
        raise disk_fault(error, f"making the sheet {path}") from error


def _old_text(grids: Sequence[Grid], edit: CellEdit) -> str | None:
    return next((grid.text(edit.row, edit.column) for grid in grids if grid.tab == edit.tab), None)


def _width(grid: Grid, row: int) -> int:
    return len(grid.rows[row - 1]) if row <= len(grid.rows) else 0


@contextmanager
def _exclusive(part: Path) -> Iterator[int]:
    """The temporary file, locked against other processes; what a crash left in it is overwritten."""
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_ino != part.stat().st_ino:
            raise FileNotFoundError(part)
        os.ftruncate(handle, 0)
        yield handle
    finally:
        os.close(handle)


def _write_like(target: int, content: bytes, model: int) -> None:
    """Write the content, and copy mode, owner and extended attributes from the file `model`."""
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(target, remaining) :]
    stat = os.fstat(model)
    for owner, group in ((stat.st_uid, stat.st_gid), (-1, stat.st_gid)):
        with suppress(PermissionError):
            os.fchown(target, owner, group)
            break
    os.fchmod(target, stat.st_mode & 0o7777)
    with suppress(OSError):
        for name in os.listxattr(model):
            os.setxattr(target, name, os.getxattr(model, name))
    os.fsync(target)

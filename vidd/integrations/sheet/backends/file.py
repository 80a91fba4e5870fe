"""A sheet in a file: read whole, changed beside and put in place by rename.

A person may save the same file at any time. Before the rename the file is looked at again, and where it is no
longer what was read, the change is made anew on what is there now. What remains is a save that falls between that
look and the rename, a matter of microseconds; one that wrote into the old file is still seen and taken up.
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

from vidd.errors import Refused, RetryLater
from vidd.files.atomic import sync
from vidd.files.disk_space import disk_fault
from vidd.integrations.sheet.backends import csv, xlsx
from vidd.integrations.sheet.table import Cell, Change, Grid, Stamp

_LARGEST = 32 * 1024 * 1024
_TRIES = 5
_QUIET = 0.2
_LOOKS = 100
_FORMATS = {".csv": csv, ".tsv": csv, ".xlsx": xlsx, ".xlsm": xlsx}

Signature = tuple[int, int, int]
"""Inode, size and mtime: what changes whenever a file does."""

# What vidd itself put in place is whole, however young it is.
_OURS: dict[Path, Signature] = {}

# A thread's lock and not asyncio's: a cancelled writer's thread still runs to its end, and must keep others out.
_LOCKS: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)


def signature(stat: os.stat_result) -> Signature:
    """A file's, as it is now."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def sheet_format(path: Path) -> ModuleType:
    """The module that reads this kind of file."""
    if path.suffix.lower() not in _FORMATS:
        raise Refused(f"The sheet {path.name!r} is neither .csv nor .xlsx: save it as one of them.")
    return _FORMATS[path.suffix.lower()]


class FileBook:
    """A .csv or .xlsx file; `tab` is the only tab that counts, None for all that are visible."""

    def __init__(self, path: Path, tab: str | None = None) -> None:
        # A symbolic link stays a link: the file it leads to is replaced.
        self.path = Path(os.path.realpath(path))
        self.tab = tab
        self.format = sheet_format(path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def address(self) -> str:
        return str(self.path)

    async def stamp(self) -> Stamp:
        """See Book. A file is only whole some time after it changed last."""
        return await asyncio.to_thread(self._stamp)

    async def read(self) -> Sequence[Grid]:
        """See Book."""
        return await asyncio.to_thread(self._read)

    async def edit(self, change: Change) -> Sequence[Cell]:
        """See Book."""
        return await asyncio.to_thread(self._edit, change)

    def _stamp(self) -> Stamp:
        with self._open() as handle:
            stat = os.fstat(handle)
        return Stamp(signature(stat), datetime.fromtimestamp(stat.st_mtime_ns / 1e9, UTC))

    def _read(self) -> tuple[Grid, ...]:
        with self._open() as handle:
            return self._grids(self._content(handle))

    def _edit(self, change: Change) -> tuple[Cell, ...]:
        with _LOCKS[self.path]:
            for _ in range(_TRIES):
                with self._open() as handle:
                    done = self._attempt(handle, change)
                if done is not None:
                    return done
        raise RetryLater(f"The sheet {self.path.name!r} is being changed all the time: it is tried again.", after=10)

    def _attempt(self, handle: int, change: Change) -> tuple[Cell, ...] | None:
        """The cells left alone; None where the file changed in the meantime."""
        self._wait_until_quiet(handle)
        seen = signature(os.fstat(handle))
        content = self._content(handle)
        before = self._grids(content)
        asked = [cell for cell in change(before) if isinstance(cell, Cell)]
        cells = [cell for cell in asked if _old(before, cell) != cell.text]
        if not cells:
            return ()
        new, left = self.format.patched(content, cells)
        writes = [cell for cell in cells if cell not in left]
        if not writes:
            return tuple(left)
        self._check(before, new, writes)
        if not self._replace(new, handle, seen):
            return None
        if signature(os.fstat(handle))[1:] != seen[1:]:
            # Somebody wrote into the old file while it was replaced: his content comes back, the change follows.
            self._wait_until_quiet(handle)
            self._replace(self._content(handle), handle, None)
            return None
        return tuple(left)

    def _replace(self, content: bytes, model: int, seen: Signature | None) -> bool:
        """Put a content in place by rename; False where the file is no longer the one that was seen."""
        part = self.path.with_name(f".{self.path.name}.vidd-part")
        replaced = False
        try:
            with _exclusive(part) as target:
                _write_like(target, content, model)
                if seen is None or signature(self.path.stat()) == seen:
                    part.replace(self.path)
                    replaced = True
                    _OURS[self.path] = signature(os.fstat(target))
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
        """Some programs write in place: a file that changed a moment ago may not be whole yet."""
        for _ in range(_LOOKS):
            stat = os.fstat(handle)
            if _OURS.get(self.path) == signature(stat) or not 0 <= time.time() - stat.st_mtime < _QUIET:
                return
            time.sleep(_QUIET / 4)

    def _check(self, before: Sequence[Grid], new: bytes, cells: Sequence[Cell]) -> None:
        """Never put a file in place that says something else than was asked for."""
        after = self._grids(new)
        asked = {(cell.tab, cell.row, cell.column): cell.text for cell in cells}
        for old, now in zip(before, after, strict=True):
            for row in range(1, max(len(old.rows), len(now.rows)) + 1):
                for column in range(max(_width(old, row), _width(now, row))):
                    expected = asked.get((old.tab, row, column), old.text(row, column))
                    if now.text(row, column) != expected:
                        raise Refused(
                            f"The sheet {self.path.name!r} has something in row {row} that vidd cannot leave as it is, so "
                            "nothing was written: save it anew from a spreadsheet program, then retry."
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
                raise Refused(f"The sheet {self.path.name!r} has more than 32 MiB: no programme is that large.")
            content = os.pread(handle, _LARGEST + 1, 0)
            while len(content) < stat.st_size and (more := os.pread(handle, _LARGEST, len(content))):
                content += more
            quiet = signature(os.fstat(handle)) == signature(stat) and len(content) == stat.st_size
        except OSError as error:
            raise disk_fault(error, f"reading the sheet {self.path}") from error
        if not quiet:
            raise RetryLater(f"The sheet {self.path.name!r} is being written just now: it is read again.", after=5)
        return content


def make_sheet(path: Path, headings: str) -> None:
    """Make a CSV file with its headings where there is none."""
    if path.suffix.lower() != ".csv" or path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), path.open("x", encoding="utf-8") as new:
            new.write(headings)
    except OSError as error:
        raise disk_fault(error, f"making the sheet {path}") from error


def _old(grids: Sequence[Grid], cell: Cell) -> str | None:
    return next((grid.text(cell.row, cell.column) for grid in grids if grid.tab == cell.tab), None)


def _width(grid: Grid, row: int) -> int:
    return len(grid.rows[row - 1]) if row <= len(grid.rows) else 0


@contextmanager
def _exclusive(part: Path) -> Iterator[int]:
    """The file beside, which no other process writes at the same time; what a crash left in it is overwritten."""
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
    """Fill a file, with the mode, owner and extended attributes of another."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(target, rest) :]
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

"""A file of which only some stretches are there: as long as the whole one, with holes, and notes of what is no hole.

The notes are written only after the bytes they speak of were synced, so that a later attempt can trust them after a
power cut. They stay beside the finished file: who needs more of the recording later asks only for the rest.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from vidd.aio.shield import in_thread
from vidd.files.atomic import sync
from vidd.files.disk_space import check_free_space, retry_if_full
from vidd.model.byte_ranges import NotInParts, merged, missing
from vidd.transfer.partial_download import write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from vidd.model.byte_ranges import ByteRange

_BLOCK = 512


class SparseDownload:
    """One file on its way to `directory / name`. `there` is what is safely on the disk."""

    def __init__(self, directory: Path, name: str, *, reserve: int) -> None:
        """Nothing is touched before `open`."""
        self.directory, self.reserve = directory, reserve
        self.final = directory / name
        self._data = directory / f"{name}.window"
        self._notes = directory / f"{name}.window.json"
        self._pin: Mapping[str, Any] = {}
        self._handle = -1
        self.there: list[ByteRange] = []
        self._fresh: list[ByteRange] = []
        self._noting = False

    def noted(self) -> dict[str, Any]:
        """What an earlier attempt left: the `pin` of its file, or why it was to be fetched `whole`; empty without one."""
        try:
            notes = json.loads(self._notes.read_text())
            return dict(notes)
        except (OSError, ValueError, TypeError):
            return {}

    def open(self, pin: Mapping[str, Any], size: int) -> None:
        """Go on with an earlier attempt's file of the same `pin` (what must not have changed), or begin anew."""
        self.close()
        self._pin = dict(pin)
        notes = self.noted()
        same = notes.get("pin") == self._pin
        if same and not self._data.exists() and self.final.exists():
            # It was finished already, and now more of it is needed.
            self.final.replace(self._data)
        self.there = merged((a, b) for a, b in notes["there"]) if same and self._data.exists() else []
        with retry_if_full():
            self._handle = os.open(self._data, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            if not self.there or os.fstat(self._handle).st_size != size:
                self.there = []
                os.ftruncate(self._handle, 0)
                os.ftruncate(self._handle, size)
                if os.fstat(self._handle).st_blocks * _BLOCK > size // 2:
                    raise NotInParts("The file system of the job directories knows no holes.")

    def missing(self, wanted: Iterable[ByteRange]) -> list[ByteRange]:
        """What of these stretches is still to be read."""
        return missing(wanted, self.there)

    async def read(self, start: int, end: int) -> bytes:
        """Bytes that are there."""
        return await in_thread(os.pread, self._handle, end - start, start)

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Put bytes where they belong."""
        with retry_if_full():
            await in_thread(write_all, self._handle, data, offset)

    async def note(self, start: int, end: int) -> None:
        """This stretch is written. Whoever comes while notes are being made leaves his to the one who makes them."""
        self._fresh.append((start, end))
        if self._noting:
            return
        self._noting = True
        try:
            while self._fresh:
                new, self._fresh = self._fresh, []
                with retry_if_full():
                    await in_thread(os.fdatasync, self._handle)
                    self.there = merged(self.there, new)
                    await in_thread(self._save, {"pin": self._pin, "there": self.there})
                check_free_space(self.directory, self.reserve)
        finally:
            self._noting = False

    def _save(self, notes: Mapping[str, Any]) -> None:
        fresh = self._notes.with_suffix(".new")
        fresh.write_text(json.dumps(notes))
        fresh.replace(self._notes)

    async def settle(self) -> None:
        """Sync, and give the file its name."""
        with retry_if_full():
            await in_thread(os.fsync, self._handle)
            self.close()
            self._data.replace(self.final)
            await in_thread(sync, self.directory)

    def discard(self, whole: str | None = None) -> None:
        """Forget what was read. `whole` is why the next attempt, too, should not read in parts."""
        self.close()
        self._data.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)
        self.there = []
        if whole is not None:
            self._save({"whole": whole})

    def close(self) -> None:
        """Leave the file for a later attempt."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

"""A download of some byte ranges to a sparse file, as long as the whole one and with holes.

The notes stay beside the finished file: a step that later needs more of the recording fetches only the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vidd.aio.shield import in_thread
from vidd.files.disk_space import retry_if_full
from vidd.model.byte_ranges import ByteRange, NotInParts, merge, subtract
from vidd.transfer._part_file import PartFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_STAT_BLOCK = 512  # the unit of st_blocks, whatever the file system's own


class SparseDownload(PartFile[ByteRange]):
    """A file on its way to `directory / name`; `present` are the byte ranges that are safely on the disk."""

    def __init__(self, directory: Path, name: str, *, reserve: int) -> None:
        """Nothing is touched before `open`."""
        super().__init__(directory, name, ".window", reserve=reserve)
        self.present: list[ByteRange] = []

    def load_state(self) -> dict[str, Any]:
        """The notes of an earlier attempt: the `pin` of its file, or why to fetch all of it (`whole`); else empty."""
        return self._load_notes()

    def open(self, pin: Mapping[str, Any], size: int) -> None:
        """Resume an earlier attempt at the same `pin` (JSON that names the file's state), or start from nothing.

        `size` is the whole file's, in bytes. NotInParts where the file system knows no holes.
        """
        self.close()
        self._pin = dict(pin)
        notes = self.load_state()
        same = notes.get("pin") == self._pin
        if same and not self.part.exists() and self.final.exists():
            # It was finished already, and now more of it is needed.
            self.final.replace(self.part)
        self.present = merge((a, b) for a, b in notes["there"]) if same and self.part.exists() else []
        with retry_if_full():
            self._open_part()
            if not self.present or os.fstat(self._handle).st_size != size:
                self.present = []
                os.ftruncate(self._handle, 0)
                os.ftruncate(self._handle, size)
                if os.fstat(self._handle).st_blocks * _STAT_BLOCK > size // 2:
                    raise NotInParts("The file system of the job directories knows no holes.")

    def missing(self, needed: Iterable[ByteRange]) -> list[ByteRange]:
        """The parts of `needed` that are still to be fetched."""
        return subtract(needed, self.present)

    async def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, which must be present."""
        return await in_thread(os.pread, self._handle, end - start, start)

    async def finish_range(self, start: int, end: int) -> None:
        """Note that the bytes from `start` to before `end` are written."""
        await self._note((start, end))

    def _merge(self, written: Sequence[ByteRange]) -> Mapping[str, Any]:
        self.present = merge(self.present, written)
        return {"pin": self._pin, "there": self.present}

    def discard(self, reason: str | None = None) -> None:
        """Remove the part file and its notes. `reason` says why the next attempt, too, should fetch all of the file."""
        super().discard()
        self.present = []
        if reason is not None:
            self._save({"whole": reason})

"""A part file beside its final name, with notes (JSON) of what is safely on the disk.

The notes are written only after the bytes they describe were synced, so a resume can trust them after a power cut.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vidd.aio.shield import in_thread
from vidd.files.atomic import sync
from vidd.files.disk_space import check_free_space, retry_if_full

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")


class PartFile(Generic[T]):
    """The file `NAME<suffix>` and its notes `NAME<suffix>.json` in `directory`; `commit` renames the file to NAME.

    `T` is what a download notes: the index of a chunk, or a byte range. `reserve` is the free space (bytes) that the
    disk must keep.
    """

    def __init__(self, directory: Path, name: str, suffix: str, *, reserve: int) -> None:
        self.directory, self.reserve = directory, reserve
        self.final = directory / name
        self.part = directory / f"{name}{suffix}"
        self._state_path = directory / f"{name}{suffix}.json"
        self._pin: Mapping[str, Any] = {}
        self._handle = -1
        self._unsaved: list[T] = []
        self._saving = False

    def _merge(self, written: Sequence[T]) -> Mapping[str, Any]:
        """Add what was written and synced to the state; returns the notes to save."""
        raise NotImplementedError

    def _open_part(self) -> None:
        self._handle = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _load_notes(self) -> dict[str, Any]:
        """The notes of an earlier attempt; empty if there are none, or none that can be read."""
        try:
            return dict(json.loads(self._state_path.read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Write bytes at an offset."""
        with retry_if_full():
            await in_thread(_write_all, self._handle, data, offset)

    async def _note(self, written: T) -> None:
        """Sync and note what was written. While one caller syncs, the others only leave theirs for its next round."""
        self._unsaved.append(written)
        if self._saving:
            return
        self._saving = True
        try:
            while self._unsaved:
                batch, self._unsaved = self._unsaved, []
                with retry_if_full():
                    await in_thread(os.fdatasync, self._handle)
                    await in_thread(self._save, self._merge(batch))
                check_free_space(self.directory, self.reserve)
        finally:
            self._saving = False

    def _save(self, notes: Mapping[str, Any]) -> None:
        fresh = self._state_path.with_suffix(".new")
        fresh.write_text(json.dumps(notes))
        fresh.replace(self._state_path)

    async def commit(self) -> None:
        """Sync the file and rename it to its final name."""
        with retry_if_full():
            await in_thread(os.fsync, self._handle)
            self.close()
            self.part.replace(self.final)
            await in_thread(sync, self.directory)

    def discard(self) -> None:
        """Remove the part file and its notes."""
        self.close()
        self.part.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the part file and leave it for a later attempt."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _write_all(handle: int, data: bytes | bytearray, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written

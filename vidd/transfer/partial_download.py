"""Where a download lands: a part file with notes of what is safely on the disk, renamed when it is whole.

The notes are written only after the bytes they speak of were synced, so a resume can trust them after a power cut.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from vidd.aio.shield import in_thread
from vidd.errors import Refused, RetryLater
from vidd.files.atomic import sync
from vidd.files.digest import digest_of
from vidd.files.disk_space import check_free_space, retry_if_full

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_all(handle: int, data: bytes | bytearray, offset: int) -> None:
    """Put bytes at this place of an open file."""
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


class PartialDownload:
    """One file on its way to `directory / name`. `chunk` is the size in bytes of the pieces that are noted."""

    def __init__(self, directory: Path, name: str, *, chunk: int, reserve: int) -> None:
        """Nothing is touched before `open`."""
        self.directory, self.chunk, self.reserve = directory, chunk, reserve
        self.final = directory / name
        self.part = directory / f"{name}.part"
        self._notes = directory / f"{name}.part.json"
        self._pin: Mapping[str, Any] = {}
        self._handle = -1
        self.done: set[int] = set()
        self._fresh: set[int] = set()
        self._noting = False

    def open(self, pin: Mapping[str, Any], *, anew: bool = False) -> None:
        """Go on where the notes of the same `pin` (what must not have changed) end, or begin anew."""
        self.close()
        self._pin = {**pin, "chunk": self.chunk}
        noted, done = self.noted()
        self.done = done if noted == self._pin and not anew else set()
        with retry_if_full():
            self._handle = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            if not self.done:
                os.ftruncate(self._handle, 0)

    def noted(self) -> tuple[dict[str, Any], set[int]]:
        """The pin and the finished chunks of an earlier attempt; nothing where there was none."""
        try:
            notes = json.loads(self._notes.read_text())
            return dict(notes["pin"]), set(notes["done"]) if self.part.exists() else set()
        except (OSError, ValueError, KeyError, TypeError):
            return {}, set()

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Put bytes where they belong."""
        with retry_if_full():
            await in_thread(write_all, self._handle, data, offset)

    async def finished(self, index: int) -> None:
        """Chunk `index` is written. Whoever comes while notes are being made leaves his to the one who makes them."""
        self._fresh.add(index)
        if self._noting:
            return
        self._noting = True
        try:
            while self._fresh:
                new, self._fresh = self._fresh, set()
                with retry_if_full():
                    await in_thread(os.fdatasync, self._handle)
                    self.done |= new
                    await in_thread(self._save)
                check_free_space(self.directory, self.reserve)
        finally:
            self._noting = False

    def _save(self) -> None:
        fresh = self._notes.with_suffix(".new")
        fresh.write_text(json.dumps({"pin": self._pin, "done": sorted(self.done)}))
        fresh.replace(self._notes)

    async def check(self, size: int | None, sums: Mapping[str, str], *, known: Mapping[str, str] | None = None) -> None:
        """Compare with what was promised; what differs is thrown away, and again later. `known` are sums made already."""
        got = os.fstat(self._handle).st_size
        if got == 0:
            self.discard()
            raise Refused("The file is empty: send it again.")
        if size is not None and got != size:
            self.discard()
            raise RetryLater(f"{got} bytes arrived instead of {size}; it is fetched again.")
        for algorithm, promised in sums.items():
            made = (known or {}).get(algorithm) or await digest_of(self.part, algorithm)
            if made != promised.lower():
                self.discard()
                raise RetryLater(
                    f"The file's {algorithm} is not the promised one; it is fetched again."
                    " (Where the provider's sum means something else, set verify = false.)"
                )

    async def settle(self) -> None:
        """Sync, and give the file its name."""
        with retry_if_full():
            await in_thread(os.fsync, self._handle)
            self.close()
            self.part.replace(self.final)
            await in_thread(sync, self.directory)
        self._notes.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget what landed."""
        self.close()
        self.part.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the part file for a later attempt."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

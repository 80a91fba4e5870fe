"""A download in chunks to a part file, which a later attempt resumes and a commit renames."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vidd.errors import Refused, RetryLater
from vidd.files.digest import digest_of
from vidd.files.disk_space import retry_if_full
from vidd.transfer._part_file import PartFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vidd.transfer.progress_meter import ProgressMeter


class PartialDownload(PartFile[int]):
    """A file on its way to `directory / name`; `done` are the indices of its finished chunks of `chunk` bytes."""

    def __init__(self, directory: Path, name: str, *, chunk: int, reserve: int) -> None:
        """Nothing is touched before `open`."""
        super().__init__(directory, name, ".part", reserve=reserve)
        self.chunk = chunk
        self.done: set[int] = set()

    def open(self, pin: Mapping[str, Any], *, restart: bool = False) -> None:
        """Resume an earlier attempt at the same `pin` (JSON that names the file's state), or start from nothing, with `restart` in any case."""
        self.close()
        self._pin = {**pin, "chunk": self.chunk}
        earlier_pin, done = self.load_state()
        self.done = done if earlier_pin == self._pin and not restart else set()
        with retry_if_full():
            self._open_part()
            if not self.done:
                os.ftruncate(self._handle, 0)

    def load_state(self) -> tuple[dict[str, Any], set[int]]:
        """The pin and the finished chunks of an earlier attempt; both empty if there was none."""
        notes = self._load_notes()
        try:
            return dict(notes["pin"]), set(notes["done"]) if self.part.exists() else set()
        except (ValueError, KeyError, TypeError):
            return {}, set()

    async def finish_chunk(self, index: int) -> None:
        """Note that chunk `index` is written."""
        await self._note(index)

    def _merge(self, written: Sequence[int]) -> Mapping[str, Any]:
        self.done.update(written)
        return {"pin": self._pin, "done": sorted(self.done)}

    async def check(
        self, size: int | None, promised: Mapping[str, str], *, known: Mapping[str, str] | None = None
    ) -> None:
        """Compare the file with its promised size and checksums (hex by algorithm).

        `known` are checksums of the file that are computed already. A file that differs is discarded: RetryLater, or
        Refused if it is empty.
        """
        received = os.fstat(self._handle).st_size
        if received == 0:
            self.discard()
            raise Refused("The file is empty: send it again.")
        if size is not None and received != size:
            self.discard()
            raise RetryLater(f"{received} bytes arrived instead of {size}; vidd will fetch the file again.")
        for algorithm, checksum in promised.items():
            computed = (known or {}).get(algorithm) or await digest_of(self.part, algorithm)
            if computed != checksum.lower():
                self.discard()
                raise RetryLater(
                    f"The file's {algorithm} is not the promised one; vidd will fetch the file again."
                    " (If the provider's checksum means something else, set verify = false.)"
                )

    async def commit(self) -> None:
        """Sync the file, rename it to its final name and remove the notes."""
        await super().commit()
        self._state_path.unlink(missing_ok=True)


class ChunkWriter:
    """Writes the bytes of one chunk of a file of `size` bytes, in order; an attempt goes on at `position`, before `end`."""

    def __init__(self, download: PartialDownload, meter: ProgressMeter, index: int, size: int) -> None:
        self._download, self._meter = download, meter
        self.position, self.end = index * download.chunk, min(size, (index + 1) * download.chunk)

    async def write(self, block: bytearray) -> None:
        """Write the next bytes."""
        await self._download.write(self.position, block)
        self.position += len(block)
        self._meter.add(len(block))

"""A file as the parts of a multipart upload: their MD5s beforehand, their bytes when their turn comes."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidd.aio.bounded import gather_bounded
from vidd.aio.shield import in_thread
from vidd.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST_PARTS = 10_000
_LARGEST = 5 * 2**40
_PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an upload consists of. `digests` are the MD5s of the parts, in order; one part means a single PUT."""

    path: Path
    size: int
    part_size: int
    digests: tuple[bytes, ...]

    @property
    def etag(self) -> str:
        """The ETag S3 makes of it: the MD5, or for several parts the MD5 of their MD5s and how many there are."""
        if len(self.digests) == 1:
            return self.digests[0].hex()
        return f"{hashlib.md5(b''.join(self.digests), usedforsecurity=False).hexdigest()}-{len(self.digests)}"

    def length(self, index: int) -> int:
        """The size of a part in bytes."""
        return min(self.part_size, self.size - index * self.part_size)


async def manifest(path: Path, part_size: int) -> Manifest:
    """Read the file once and sum its parts, two at a time; the parts grow where there would be too many."""
    size = path.stat().st_size
    if size > _LARGEST:
        raise Refused(f"{path.name!a} is larger than the 5 TiB an S3 object may have: publish a smaller rendition.")
    grown = -(-size // _MOST_PARTS)
    part_size = max(part_size, -(-grown // 2**20) * 2**20)
    count = max(1, -(-size // part_size))
    digests: list[bytes] = [b""] * count

    async def one(index: int) -> None:
        digests[index] = await in_thread(_digest, path, index * part_size, part_size)

    await gather_bounded(2, range(count), one)
    return Manifest(path, size, part_size, tuple(digests))


def _digest(path: Path, offset: int, length: int) -> bytes:
    total = hashlib.md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while length and (data := file.read(min(_PIECE, length))):
            total.update(data)
            length -= len(data)
    return total.digest()


class Slice(io.RawIOBase):
    """A part of a file as a file of its own, read from the disk only as it goes out.

    `told` gets the size of every piece read, from whatever thread reads it.
    """

    def __init__(self, path: Path, offset: int, length: int, told: Callable[[int], None]) -> None:
        """Open the file."""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._offset, self._length, self._at, self._told = offset, length, 0, told
        self.given = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where reading goes on, from the part's start."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go elsewhere in the part."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; none at the part's end."""
        left = max(0, self._length - self._at)
        want = left if size is None or size < 0 else min(size, left)
        data = os.pread(self._file, want, self._offset + self._at)
        self._at += len(data)
        self.given += len(data)
        self._told(len(data))
        return data

    def close(self) -> None:
        """Give the file back."""
        if not self.closed:
            os.close(self._file)
        super().close()

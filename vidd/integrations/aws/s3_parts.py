"""The parts of a multipart upload: the MD5s of all beforehand, the bytes of each when it is sent."""

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

_MAX_PARTS = 10_000
_MAX_SIZE = 5 * 2**40
_READ_SIZE = 2**20


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of an upload. `digests` are their MD5s, in order; a file of one part is sent by a single PUT."""

    path: Path
    size: int
    part_size: int
    digests: tuple[bytes, ...]

    @property
    def etag(self) -> str:
        """The ETag that S3 computes: the MD5, or for several parts the MD5 of their MD5s, and their number."""
        if len(self.digests) == 1:
            return self.digests[0].hex()
        return f"{hashlib.md5(b''.join(self.digests), usedforsecurity=False).hexdigest()}-{len(self.digests)}"

    def length(self, index: int) -> int:
        """The size of a part in bytes."""
        return min(self.part_size, self.size - index * self.part_size)


async def manifest(path: Path, part_size: int) -> Manifest:
    """Read the file once and hash its parts, two at a time; parts are larger than `part_size` if there would be too many."""
    size = path.stat().st_size
    if size > _MAX_SIZE:
        raise Refused(f"{path.name!a} is larger than the 5 TiB an S3 object may have: publish a smaller rendition.")
    smallest_part = -(-size // _MAX_PARTS)
    part_size = max(part_size, -(-smallest_part // 2**20) * 2**20)
    count = max(1, -(-size // part_size))
    digests: list[bytes] = [b""] * count

    async def hash_part(index: int) -> None:
        digests[index] = await in_thread(_digest, path, index * part_size, part_size)

    await gather_bounded(2, range(count), hash_part)
    return Manifest(path, size, part_size, tuple(digests))


def _digest(path: Path, offset: int, length: int) -> bytes:
    total = hashlib.md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while length and (data := file.read(min(_READ_SIZE, length))):
            total.update(data)
            length -= len(data)
    return total.digest()


class Slice(io.RawIOBase):
    """A part of a file as a file of its own, read from the disk as it is sent.

    `on_read` gets the size of every read, in the thread that reads.
    """

    def __init__(self, path: Path, offset: int, length: int, on_read: Callable[[int], None]) -> None:
        """Open the file."""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._offset, self._length, self._position, self._on_read = offset, length, 0, on_read
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._length - self._position)
        count = left if size is None or size < 0 else min(size, left)
        data = os.pread(self._file, count, self._offset + self._position)
        self._position += len(data)
        self.bytes_read += len(data)
        self._on_read(len(data))
        return data

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()

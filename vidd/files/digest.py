"""Computes checksums of files, also while a file arrives."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from typing import TYPE_CHECKING

from vidd.aio.shield import in_thread
from vidd.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_CHUNK = 2**20
_ALGORITHMS = {"md5", "sha1", "sha256", "sha512"}


def expected_checksums(facts: dict[str, Any]) -> dict[str, str]:
    """The `checksum` of an arrival's facts ("sha256:<hex>"), by algorithm; empty without one.

    Raises Refused if vidd cannot read it.
    """
    if not (checksum := facts.get("checksum")):
        return {}
    algorithm, _, value = str(checksum).partition(":")
    if algorithm not in _ALGORITHMS or not re.fullmatch(r"[0-9a-fA-F]+", value):
        raise Refused(f"The arrival's checksum {str(checksum)[:80]!a} cannot be read: write it like sha256:<hex>.")
    return {algorithm: value}


async def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """A file's checksum in hex. vidd reads it in chunks, so a cancelled job waits for one chunk only."""
    total, size = hashlib.new(algorithm, usedforsecurity=False), 1

    def read_chunk() -> int:
        data = file.read(_CHUNK)
        total.update(data)
        return len(data)

    with path.open("rb", buffering=0) as file:
        while size:
            size = await in_thread(read_chunk)
    return total.hexdigest()


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """A file's checksum in hex, as `digest_of`, for code that runs in a thread or a child: it blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


class FollowingDigest:
    """Computes a checksum while the chunks of a file arrive, in any order.

    `hex` is the checksum once `run` has returned.
    """

    def __init__(self, path: Path, algorithm: str, *, chunk: int, size: int) -> None:
        """`chunk` and `size` are the size of a chunk and of the file in bytes. Reads nothing before `run`."""
        self._path, self._chunk, self._count = path, chunk, -(-size // chunk)
        self._total = hashlib.new(algorithm, usedforsecurity=False)
        self._arrived: set[int] = set()
        self._new_chunks = asyncio.Event()

    def add_arrived(self, *chunks: int) -> None:
        """Note that the chunks with these numbers (from 0) are in the file."""
        self._arrived.update(chunks)
        self._new_chunks.set()

    @property
    def hex(self) -> str:
        """The checksum of the bytes read so far."""
        return self._total.hexdigest()

    async def run(self) -> None:
        """Read the chunks in order as they arrive, to the end of the file."""
        handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for index in range(self._count):
                while index not in self._arrived:
                    self._new_chunks.clear()
                    await self._new_chunks.wait()
                end = (index + 1) * self._chunk
                for offset in range(index * self._chunk, end, _CHUNK):
                    await in_thread(self._read, handle, offset, min(_CHUNK, end - offset))
        finally:
            os.close(handle)

    def _read(self, handle: int, offset: int, size: int) -> None:
        self._total.update(os.pread(handle, size, offset))

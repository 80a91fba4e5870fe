"""Checksums of files."""

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

_PIECE = 2**20
_SUMS = {"md5", "sha1", "sha256", "sha512"}


def promised_checksums(facts: dict[str, Any]) -> dict[str, str]:
    """The arrival's `checksum` ("sha256:<hex>") by algorithm."""
    if not (checksum := facts.get("checksum")):
        return {}
    algorithm, _, value = str(checksum).partition(":")
    if algorithm not in _SUMS or not re.fullmatch(r"[0-9a-fA-F]+", value):
        raise Refused(f"The arrival's checksum {str(checksum)[:80]!a} cannot be read: write it like sha256:<hex>.")
    return {algorithm: value}


async def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """A file's checksum in hex. It is read in pieces, so that a cancelled job waits for one of them only."""
    total, size = hashlib.new(algorithm, usedforsecurity=False), 1

    def piece() -> int:
        data = file.read(_PIECE)
        total.update(data)
        return len(data)

    with path.open("rb", buffering=0) as file:
        while size:
            size = await in_thread(piece)
    return total.hexdigest()


class FollowingDigest:
    """A checksum computed while the chunks of a file arrive, in whatever order they do.

    `hex` is its value once `run` has returned.
    """

    def __init__(self, path: Path, algorithm: str, *, chunk: int, size: int) -> None:
        """Nothing is read before `run`."""
        self._path, self._chunk, self._count = path, chunk, -(-size // chunk)
        self._total = hashlib.new(algorithm, usedforsecurity=False)
        self._there: set[int] = set()
        self._more = asyncio.Event()

    def arrived(self, *chunks: int) -> None:
        """These chunks are written."""
        self._there.update(chunks)
        self._more.set()

    @property
    def hex(self) -> str:
        """The sum of what was read."""
        return self._total.hexdigest()

    async def run(self) -> None:
        """Follow to the end of the file."""
        handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for index in range(self._count):
                while index not in self._there:
                    self._more.clear()
                    await self._more.wait()
                end = (index + 1) * self._chunk
                for offset in range(index * self._chunk, end, _PIECE):
                    await in_thread(self._take, handle, offset, min(_PIECE, end - offset))
        finally:
            os.close(handle)

    def _take(self, handle: int, offset: int, size: int) -> None:
        self._total.update(os.pread(handle, size, offset))

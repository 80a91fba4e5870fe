"""Checksums of files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from vidd.clients.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

_PIECE = 4 * 2**20


async def digest_of(path: Path, algorithm: str) -> str:
    """A file's checksum in hex; it is read in pieces, so that a cancelled job waits for one of them only."""
    total, size = hashlib.new(algorithm, usedforsecurity=False), 1

    def piece() -> int:
        data = file.read(_PIECE)
        total.update(data)
        return len(data)

    with path.open("rb", buffering=0) as file:
        while size:
            size = await in_thread(piece)
    return total.hexdigest()

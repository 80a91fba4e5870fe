"""Asks a child to scan the packets of a cut and to join its parts; foreign media is never opened in the daemon itself.

One child serves one cut, so that the memory of a long recording is given back.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vidd.display_text import quoted
from vidd.errors import Refused
from vidd.media.smartcut.plan import SmartCutUnavailable
from vidd.processes.worker_client import JsonLinesProcess, WorkerDied, retry_if_interrupted, worker_argv

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MEMORY = 8 << 30
# Seconds that a question may take: a start, and so many bytes a second, which the slowest disk reads.
_START, _BYTES_PER_SECOND = 60.0, 2e6


class Cutter:
    """One cut of one file. `name` is what the operator knows it by; `more` are files that are read beside it."""

    def __init__(self, path: Path, name: str, more: Iterable[Path] = ()) -> None:
        self.worker = JsonLinesProcess(worker_argv("vidd.media.smartcut.worker.main"), memory=_MEMORY)
        self._path, self._name = path, name
        self._timeout = _START + sum(file.stat().st_size for file in {path, *more}) / _BYTES_PER_SECOND

    async def ask(self, ask: str, **more: Any) -> dict[str, Any]:
        """The answer of `vidd.media.smartcut.worker.main`; SmartCutUnavailable if the cut cannot be made in parts."""
        question = {"ask": ask, "path": os.fspath(self._path), "name": self._name, **more}
        try:
            with retry_if_interrupted(f"reading and copying the packets of {quoted(self._name)}", self._timeout):
                return await self.worker.ask(question, timeout=self._timeout)
        except WorkerDied as died:
            raise SmartCutUnavailable(f"vidd cannot cut this file without re-encoding ({died}).") from None
        except Refused as refused:
            # Whether the file can be used at all, the full encode finds out.
            raise SmartCutUnavailable(refused.sentence) from None

    async def close(self) -> None:
        """End the child."""
        await self.worker.close()

"""The directories of jobs; vidd removes a job's directory when the job is over."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from vidd.files.tree import is_unchanged
from vidd.model.media import Artifact


class Workspace:
    """The directories of jobs below `root`; the logs of their programs are in `logs` beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, job_id: str) -> Path:
        """The path of the job's directory; creates the directory if it is missing."""
        path = self.root / job_id
        path.mkdir(parents=True, exist_ok=True)
        return path

    async def has(self, job_id: str, artifacts: Iterable[Artifact]) -> bool:
        """Whether all these artifacts still exist: files with their size, trees with all their files."""
        for artifact in artifacts:
            path = self.root / job_id / artifact.path
            if artifact.tree is not None:
                if not await asyncio.to_thread(is_unchanged, path, artifact):
                    return False
            elif not path.is_file() or path.stat().st_size != artifact.size:
                return False
        return True

    async def remove(self, job_id: str) -> None:
        """Remove a job's directory with everything in it."""
        await asyncio.to_thread(shutil.rmtree, self.root / job_id, ignore_errors=True)

    async def sweep(self, keep: Collection[str]) -> list[str]:
        """Remove the directories of all jobs but these; returns the names of the removed directories."""
        if not self.root.is_dir():
            return []
        gone = [path.name for path in self.root.iterdir() if path.is_dir() and path.name not in keep]
        for name in gone:
            await self.remove(name)
        return gone

    async def sweep_logs(self, keep: Collection[str], before: float) -> None:
        """Remove the logs that vidd last wrote before `before` (seconds since 1970), except those of these jobs."""
        for path in (self.root.parent / "logs").glob("*.log*"):
            if path.name.partition(".")[0] not in keep and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def free(self) -> int:
        """The free bytes on the file system of the directories."""
        return shutil.disk_usage(self.root).free

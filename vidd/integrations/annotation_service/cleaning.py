"""Deletes the content of uploads from the content root once their jobs are published, where that is asked for.

The upload's document has the fingerprint of its content as long as the content is to be deleted, so that vidd goes on after
a kill. Content that was changed since its call stays, and so does what another unfinished job of the source needs.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import structlog

from vidd.aio.shield import in_thread
from vidd.errors import RetryLater
from vidd.model.event import JobMoved
from vidd.model.job import State

if TYPE_CHECKING:
    from vidd.integrations.annotation_service.database import AnnotationDatabase
    from vidd.model.event import Event
    from vidd.model.job import Job
    from vidd.ports import SourceContext

FINGERPRINT = "delete_source"
"""The fact of a job with the fingerprint of the content that is to be deleted."""

_log = structlog.get_logger()
_RETRY_AFTER = 5.0
_SETTLED = {State.PUBLISHED, State.CANCELLED, State.EXCLUDED}


def fingerprint(path: Path) -> str:
    """A digest of the size and time of a file, or of the names, sizes and times of all files below a directory. Blocks.

    Raises OSError.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(file for file in path.rglob("*") if not file.is_dir()) if path.is_dir() else [path]:
        found = file.lstat()
        digest.update(
            f"{file.relative_to(path)}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


class SourceCleaner:
    """Deletes content below `root`."""

    def __init__(self, database: AnnotationDatabase, context: SourceContext, root: Path) -> None:
        self._database, self._context, self._root = database, context, root
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Make it look now."""
        self._wake.set()

    async def run(self) -> None:
        """Delete what is due, whenever it is woken and whenever a job of the source is settled, until cancelled."""
        with self._context.listen(self._note):
            is_marked = False
            while True:
                await self._wake.wait()
                self._wake.clear()
                try:
                    if not is_marked:
                        await self._mark_open_jobs()
                        is_marked = True
                    await self._clean_all()
                except RetryLater:
                    self._wake.set()
                    await self._context.tools.clock.sleep(_RETRY_AFTER)

    def _note(self, event: Event) -> None:
        if isinstance(event, JobMoved) and event.job.source == self._context.name and event.job.state in _SETTLED:
            self._wake.set()

    async def _mark_open_jobs(self) -> None:
        """Write the fingerprints of jobs whose uploads lack them, because the daemon was killed before it wrote them."""
        for job in await self._context.open_jobs():
            if FINGERPRINT in job.facts:
                await self._database.mark_content(str(job.facts["upload_id"]), job.id, str(job.facts[FINGERPRINT]))

    async def _clean_all(self) -> None:
        for upload, job_id in await self._database.content_to_delete():
            job = await self._context.job(job_id)
            if job is None or job.state is not State.PUBLISHED or job.source != self._context.name:
                continue
            # A call for the same content waits, and then finds it gone.
            async with self._context.lock:
                is_settled = await self._clean(job)
            if is_settled:
                await self._database.unmark_content(upload, job_id)

    async def _clean(self, job: Job) -> bool:
        """Delete the content of a job, unless it must stay; False where that must be decided later."""
        path, root = _path_of(job), await in_thread(self._root.resolve)
        others = [other for other in await self._context.open_jobs() if other.state not in _SETTLED]
        if any(_overlap(path, _path_of(other)) for other in others):
            return False
        try:
            deleted = await in_thread(_delete, path, root, str(job.facts.get(FINGERPRINT)), job.id)
        except OSError as error:
            _log.warning("content not deleted", job=job.id, path=str(path), reason=error.strerror)
            return False
        if deleted is not None:
            _log.info("content deleted" if deleted else "content changed, so it stays", job=job.id, path=str(path))
        return True


def _path_of(job: Job) -> Path:
    return Path(unquote(urlsplit(job.location).path))


def _overlap(path: Path, other: Path) -> bool:
    return path.is_relative_to(other) or other.is_relative_to(path)


def _delete(path: Path, root: Path, expected: str, job: str) -> bool | None:
    """Delete a file or a directory; False where it is not what was expected, None where there is nothing any more. Blocks.

    A directory is renamed first, so that half of one is never taken for content.
    """
    if path == root or not path.is_relative_to(root):
        return False
    doomed = path.with_name(f".deleted-{job}")
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed)
    if not path.exists():
        return None
    if path.resolve() != path or fingerprint(path) != expected:
        return False
    if path.is_dir():
        path.rename(doomed)
        shutil.rmtree(doomed)
    else:
        path.unlink()
    return True

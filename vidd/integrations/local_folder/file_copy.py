"""Copies a file of this host into a job's directory, as a clone where the file system can. Never changes the original."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from vidd.aio.shield import in_thread
from vidd.display_text import printable
from vidd.errors import FaultCode, Refused
from vidd.files.atomic import sync
from vidd.files.clone import clone, clone_or_link
from vidd.files.disk_space import check_free_space, retry_if_full

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from vidd.transfer.partial_download import PartialDownload
    from vidd.transfer.progress_meter import ProgressMeter

# Each thread of the pool keeps the memory of one piece.
_PIECE = 2 * 2**20


def path_of(uri: str) -> str:
    """The path in a file URI, whatever bytes it has (RFC 8089)."""
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise Refused(f"{uri[:200]!a} names no file of this host: write file:///path.")
    return os.fsdecode(unquote_to_bytes(parts.path))


def stat_unchanged(path: str, facts: Mapping[str, Any]) -> os.stat_result:
    """The stat of a file. Raises Refused unless the file is what arrived (`size`, `mtime_ns` of the facts)."""
    name = printable(str(path), 200)
    try:
        found = os.stat(path)  # noqa: PTH116 - a path from a URI, followed to the file itself
    except (FileNotFoundError, NotADirectoryError):
        raise Refused(
            f"There is no file {name}: it was moved or deleted since it arrived; put it back.", code=FaultCode.NOT_FOUND
        ) from None
    except (PermissionError, OSError, ValueError) as error:
        raise Refused(f"The file {name} cannot be read ({error}): correct its path or its permissions.") from None
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{name} is no regular file: give the file itself.")
    if found.st_size == 0:
        raise Refused(f"The file {name} is empty: send it again.")
    if facts.get("size") not in {None, found.st_size} or facts.get("mtime_ns") not in {None, found.st_mtime_ns}:
        raise Refused(
            f"The file {name} changed since it arrived: its new version comes as an arrival of its own.",
            code=FaultCode.CONFLICT,
        )
    return found


async def copy_file(
    path: str, facts: Mapping[str, Any], download: PartialDownload, meter: ProgressMeter, *, link: bool = False
) -> bool:
    """Clone or copy the file to `download.final`; returns whether it is a clone. Raises Refused where it has changed.

    `link`: a hard link will do, because nobody writes into the file.
    """
    before = stat_unchanged(path, facts)
    meter.total = before.st_size
    download.discard()
    is_clone = await in_thread(clone_or_link if link else clone, Path(path), download.part)
    if not is_clone:
        await _copy(path, before.st_size, download, meter)
    try:
        stat_unchanged(path, {"size": before.st_size, "mtime_ns": before.st_mtime_ns})
    except Refused:
        download.discard()
        raise
    if is_clone:
        download.part.replace(download.final)
        await in_thread(sync, download.directory)
        meter.add(before.st_size)
        return True
    await download.check(before.st_size, {})
    await download.commit()
    return False


async def _copy(path: str, size: int, download: PartialDownload, meter: ProgressMeter) -> None:
    check_free_space(download.directory, download.reserve, size)
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        name = printable(str(path), 200)
        raise Refused(f"The file {name} cannot be read ({error.strerror}): correct its permissions.") from None
    download.open({"path": os.fsencode(path).hex()}, restart=True)
    try:
        offset = 0
        while piece := await in_thread(os.pread, source, _PIECE, offset):
            await download.write(offset, piece)
            offset += len(piece)
            meter.add(len(piece))
            with retry_if_full():
                check_free_space(download.directory, download.reserve)
    finally:
        os.close(source)

"""Copies a directory of this host, with all files below it, into a job's directory. Never changes the original."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from vidd.aio.shield import in_thread
from vidd.display_text import printable
from vidd.errors import Refused
from vidd.files.atomic import sync
from vidd.files.clone import clone
from vidd.files.disk_space import check_free_space, retry_if_full
from vidd.files.tree import TreeFile, list_files, tree_artifact
from vidd.integrations.local_folder.file_copy import path_of
from vidd.model.media import Outcome
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from vidd.ports import StepContext

_TREE = "source"


def directory_of(location: str) -> Path | None:
    """The directory of this host that an address names; None where it names none. Blocks."""
    if not location.lower().startswith("file:"):
        return None
    path = Path(path_of(location))
    return path if path.is_dir() else None


async def fetch_tree(directory: Path, context: StepContext) -> Outcome:
    """Copy a directory into the job's directory, as the tree `source`."""
    meter = ProgressMeter("fetch", "download", progress=context.progress, observe=context.tools.observe)
    await copy_tree(directory, context.directory / _TREE, meter, context.tools.encoder.disk_reserve)
    meter.report()
    return Outcome((await in_thread(tree_artifact, "source", context.directory, _TREE),))


async def copy_tree(source: Path, final: Path, meter: ProgressMeter, reserve: int) -> None:
    """Copy `source` to `final`. Raises Refused where it holds no file, or anything but files and directories.

    `reserve` is how many bytes the disk must keep free.
    """
    part = final.with_name(f".{final.name}.part")
    await in_thread(_prepare, part, final)
    files = await in_thread(list_files, source)
    if not files:
        raise Refused(f"There is no file in the directory {printable(str(source), 200)}: put files there, then retry.")
    meter.total = sum(leaf.size for leaf in files)
    check_free_space(final.parent, reserve, meter.total)
    for leaf in files:
        await in_thread(_copy, source, part, leaf)
        meter.add(leaf.size)
    part.rename(final)
    await in_thread(sync, final.parent)


def _prepare(part: Path, final: Path) -> None:
    for path in (part, final):
        shutil.rmtree(path, ignore_errors=True)
    with retry_if_full():
        part.mkdir()


def _copy(source: Path, part: Path, leaf: TreeFile) -> None:
    target = part / leaf.path
    with retry_if_full():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not clone(source / leaf.path, target):
                shutil.copyfile(source / leaf.path, target)
        except (FileNotFoundError, PermissionError) as error:
            raise Refused(
                f"{printable(leaf.path, 200)} below {source.name} cannot be read ({error.strerror}): correct it, then retry."
            ) from None
        if target.stat().st_size != leaf.size:
            raise Refused(f"{printable(leaf.path, 200)} below {source.name} changed while vidd copied it: retry.")

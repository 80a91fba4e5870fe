"""Take a directory of this host over, with all files below it. The directory itself is never touched."""

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
from vidd.files.tree import leaves, tree_artifact
from vidd.integrations.local_folder.file_copy import path_of
from vidd.model.media import Outcome
from vidd.transfer.progress_meter import ProgressMeter

if TYPE_CHECKING:
    from vidd.files.tree import Leaf
    from vidd.ports import StepContext

_TREE = "source"


def directory_of(location: str) -> Path | None:
    """The directory of this host that an address means, if it does; blocking."""
    if not location.lower().startswith("file:"):
        return None
    path = Path(path_of(location))
    return path if path.is_dir() else None


async def fetched(directory: Path, context: StepContext) -> Outcome:
    """Copy what is below a directory into the job's, as the tree `source`."""
    meter = ProgressMeter("fetch", "download", progress=context.progress, observe=context.tools.observe)
    await take_tree(directory, context.directory / _TREE, meter, context.tools.encoder.disk_reserve)
    meter.report()
    return Outcome((await in_thread(tree_artifact, "source", context.directory, _TREE),))


async def take_tree(source: Path, final: Path, meter: ProgressMeter, reserve: int) -> None:
    """Copy what is below `source` to `final`. Refused where there is no file, or something that is no file."""
    part = final.with_name(f".{final.name}.part")
    await in_thread(_begin, part, final)
    found = await in_thread(leaves, source)
    if not found:
        raise Refused(f"There is no file in the directory {printable(str(source), 200)}: put them there, then retry.")
    meter.total = sum(leaf.size for leaf in found)
    check_free_space(final.parent, reserve, meter.total)
    for leaf in found:
        await in_thread(_copy, source, part, leaf)
        meter.add(leaf.size)
    part.rename(final)
    await in_thread(sync, final.parent)


def _begin(part: Path, final: Path) -> None:
    for left in (part, final):
        shutil.rmtree(left, ignore_errors=True)
    with retry_if_full():
        part.mkdir()


def _copy(source: Path, part: Path, one: Leaf) -> None:
    target = part / one.path
    with retry_if_full():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not clone(source / one.path, target):
                shutil.copyfile(source / one.path, target)
        except (FileNotFoundError, PermissionError) as error:
            raise Refused(
                f"{printable(one.path, 200)} below {source.name} cannot be read ({error.strerror}): put it there, then retry."
            ) from None
        if target.stat().st_size != one.size:
            raise Refused(f"{printable(one.path, 200)} below {source.name} changed while it was copied: retry.")

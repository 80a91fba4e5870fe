"""Removes a file or a directory, whichever is there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def remove(path: Path, *, ignore_errors: bool = False) -> None:
    """Remove a file, a link, or a directory with everything in it, if it exists.

    With `ignore_errors`, what cannot be removed in a directory stays.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=ignore_errors)
    else:
        path.unlink(missing_ok=True)

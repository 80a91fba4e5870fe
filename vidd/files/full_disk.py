"""A full disk is waited for: it says nothing about the file that was being made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vidd.errors import RetryLater
from vidd.files.disk_space import FULL

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def room_left(doing: str) -> Iterator[None]:
    """RetryLater, which uses up no attempt, where the disk is full; `doing` is what was being done, as in "were joined"."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RetryLater(
            f"The disk was full while {doing}: free some space; the work goes on by itself.", counts=False
        ) from None
